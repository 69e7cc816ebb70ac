"""Events of all turns in order -> the constraints that stand at the end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from rarec.constraints.events import Event, Subject, TakeBack, Want
from rarec.constraints.result import YEAR, Constraint, Constraints, Unenforced, values_label


def merged(events: Iterable[Event]) -> Constraints:
    """The last word counts.

    Years, and wishes for values of an attribute, take the place of those of earlier turns, unless they are said to be
    added; a wish takes back the refusal of the same value, and the other way round. Refusals add up.
    """
    parts: list[Constraint] = []
    unenforced: list[Unenforced] = []
    for event in events:
        if isinstance(event, Unenforced):
            unenforced.append(event)
        elif isinstance(event, Subject):
            shut = [p for p in parts if p.hard and not p.negated and p.turn < event.turn and p.attribute in event.kinds]
            if shut:
                parts = [replace(p, hard=p.hard and p not in shut) for p in parts]
                why = f"no value is called this; {' and '.join(p.label for p in shut)} would leave it out, now a lean"
                unenforced.append(Unenforced(event.text, why, event.turn, event.span))
        elif isinstance(event, TakeBack):
            parts = _taken_back(parts, event)
            if event.attribute is None:
                unenforced.clear()
        else:
            parts = _with(parts, event)
    return Constraints(tuple(parts), tuple(unenforced))


def _taken_back(parts: list[Constraint], event: TakeBack) -> list[Constraint]:
    kept = []
    for part in parts:
        if event.attribute not in (None, part.attribute) or (event.only_negated and not part.negated):
            kept.append(part)
        elif event.values and (left := tuple(v for v in part.values if v not in event.values)):
            kept.append(_relabelled(part, left))
    return kept


def _with(parts: list[Constraint], want: Want) -> list[Constraint]:
    new = want.constraint
    if new.attribute == YEAR and not new.values:
        return [*(p for p in parts if p.attribute != YEAR or p.values or p.turn == new.turn), new]
    kept = []
    for part in parts:
        if part.attribute != new.attribute:
            kept.append(part)
        elif want.narrows and part.turn == new.turn and not part.negated and part.hard == new.hard:
            if both := tuple(value for value in part.values if value in new.values):
                new = replace(new, values=both, label=f"{part.label}, {new.label}", span=(part.span[0], new.span[1]))
        elif part.negated == new.negated:
            replaced = not new.negated and not want.also and part.turn < new.turn and new.hard
            if replaced or (part.values == new.values and new.hard >= part.hard):
                continue
            if part.values == new.values:
                return parts  # a wish stays one when it is said again with less force
            kept.append(part)
        elif left := tuple(v for v in part.values if v not in new.values):
            kept.append(_relabelled(part, left))
    return [*kept, new]


def _relabelled(part: Constraint, values: tuple[str, ...]) -> Constraint:
    if values == part.values:
        return part
    return replace(part, values=values, label=values_label(values, negated=part.negated))
