"""What was understood: constraints with the words that they come from, and what cannot be enforced."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from rarec.types import Filters

YEAR = "year"
"""Name of the years among attributes, as in filter expressions."""

Source = Literal["rules", "model"]


@dataclass(frozen=True, slots=True)
class Constraint:
    """One wish that a filter can enforce.

    Attributes:
        attribute: of the items, or `YEAR`.
        values: as the catalogue writes them; an item must have one, or none if `negated`. Empty for years.
        year_min, year_max: inclusive; None is open. Only for years.
        turn: index of the turn that said it.
        span: (start, end) character offsets in that turn's text.
        label: for people, e.g. ``"1990-1999"``, ``"not Horror"``.
        hard: it is enforced; a soft one is only shown.
        required: an item must have the one value, whatever other values of the attribute are wished for
            ("horror comedy"); else values of one attribute add up ("horror or comedy").
    """

    attribute: str
    values: tuple[str, ...]
    label: str
    turn: int
    span: tuple[int, int]
    negated: bool = False
    year_min: int | None = None
    year_max: int | None = None
    hard: bool = True
    required: bool = False

    @property
    def id(self) -> str:
        """Names it within its conversation, also after later turns: ``turn:start:attribute:label``."""
        return f"{self.turn}:{self.span[0]}:{self.attribute}:{self.label}"


@dataclass(frozen=True, slots=True)
class Unenforced:
    """A wish that was seen and that no filter can hold.

    Attributes:
        text: the words.
        why: for people.
    """

    text: str
    why: str
    turn: int
    span: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Constraints:
    """What the user turns of a conversation ask for, in order of appearance; the empty value asks for nothing.

    Attributes:
        source: who read the words: the rules, or a language model whose values were found in the vocabulary.
        reason: why the rules did it although a model was there, else empty.
    """

    parts: tuple[Constraint, ...] = ()
    unenforced: tuple[Unenforced, ...] = ()
    source: Source = "rules"
    reason: str = ""

    @property
    def hard(self) -> tuple[Constraint, ...]:
        """Those that are enforced."""
        return tuple(part for part in self.parts if part.hard)

    @property
    def soft(self) -> tuple[Constraint, ...]:
        """Those that are only shown."""
        return tuple(part for part in self.parts if not part.hard)

    @property
    def filters(self) -> Filters:
        """The hard ones as filters. Values of one attribute add up, unless they are `required`."""
        return self.on(Filters())

    def on(self, base: Filters) -> Filters:
        """The hard ones together with filters that hold anyway; those win where both leave nothing.

        Values wished for in an attribute that `base` already filters are cut to those that it allows, if it allows any.
        """
        any_of = {name: tuple(values) for name, values in base.any_of.items()}
        none_of = {name: tuple(values) for name, values in base.none_of.items()}
        all_of = {name: tuple(values) for name, values in base.all_of.items()}
        low, high = base.year_min, base.year_max
        wanted: dict[str, tuple[str, ...]] = {}
        for part in self.hard:
            if part.attribute == YEAR and not part.values:
                low, high = _narrowed(low, high, part)
            elif part.negated:
                none_of[part.attribute] = _joined(none_of.get(part.attribute, ()), part.values)
            elif part.required:
                all_of[part.attribute] = _joined(all_of.get(part.attribute, ()), part.values)
            else:
                wanted[part.attribute] = _joined(wanted.get(part.attribute, ()), part.values)
        for name, values in wanted.items():
            allowed = {value.casefold() for value in any_of.get(name, values)}
            any_of[name] = tuple(v for v in values if v.casefold() in allowed) or any_of[name]
        return Filters(any_of, none_of, low, high, base.exclude, all_of)

    def without(self, ids: Collection[str]) -> Constraints:
        """The same without the constraints of these ids; unknown ones are ignored.

        A model does not quote the same words each time, nor those that the rules find when they read in its place. So
        one is left out also if an id names the same attribute and label at another place of its turn, or in a later
        one; said anew after that, it holds again.
        """
        return replace(self, parts=tuple(part for part in self.parts if not _is_among(ids, part)))

    def of_turn(self, turn: int) -> Constraints:
        """The same without what other turns said that cannot be enforced."""
        return replace(self, unenforced=tuple(wish for wish in self.unenforced if wish.turn == turn))

    def let_go(self, parts: Collection[Constraint]) -> Constraints:
        """The same with some of its parts as leans; they are reported as not enforced."""
        why = "nothing is left with it beside what was said later"
        told = tuple(Unenforced(part.label, why, part.turn, part.span) for part in parts)
        kept = tuple(replace(part, hard=part.hard and part not in parts) for part in self.parts)
        return replace(self, parts=kept, unenforced=(*self.unenforced, *told))

    def loosenings(self) -> tuple[Constraint, ...]:
        """The hard ones in the order in which to give them up when nothing is left: the newest first."""
        return tuple(sorted(self.hard, key=lambda part: (part.turn, part.span), reverse=True))

    def summary(self) -> str:
        """One line for people, e.g. ``"1990-1999 · not Horror · maybe Korean"``; empty if nothing was understood."""
        told = [part.label if part.hard else f"maybe {part.label}" for part in self.parts]
        return " · ".join([*told, *(f"not enforced: {one.text}" for one in self.unenforced)])


def _is_among(ids: Collection[str], part: Constraint) -> bool:
    if part.id in ids:
        return True
    same = [id.split(":", 2) for id in ids if id.endswith(f":{part.attribute}:{part.label}")]
    return any(_turn(place[0]) >= part.turn for place in same if place[2:] == [f"{part.attribute}:{part.label}"])


def years_label(low: int | None, high: int | None) -> str:
    """Years in words: ``"1990-1999"``, ``"2000 or later"``, ``"1994"``."""
    if low is not None and high is not None:
        return str(low) if low == high else f"{low}-{high}"
    return f"{low} or later" if low is not None else f"{high} or earlier"


def values_label(values: Iterable[str], *, negated: bool) -> str:
    """Values in words: ``"Comedy or Drama"``, ``"not Horror"``."""
    shown = list(values)
    text = " or ".join(shown) if len(shown) <= 4 else f"{shown[0]} and {len(shown) - 1} like it"
    return f"not {text}" if negated else text


def flag_label(attribute: str, *, negated: bool) -> str:
    """An attribute of yes and no in words: ``"hardy"``, ``"not hardy"``."""
    name = " ".join(attribute.replace("_", " ").split()).removeprefix("is ")
    return f"not {name}" if negated else name


def _turn(text: str) -> int:
    """The turn that an id begins with; -1 for what is no id."""
    return int(text) if len(text) < 10 and text.isdecimal() else -1


def _joined(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*old, *new)))


def _narrowed(low: int | None, high: int | None, part: Constraint) -> tuple[int | None, int | None]:
    """Both ranges at once; the old one where they share no year."""
    first = part.year_min if low is None else low if part.year_min is None else max(low, part.year_min)
    last = part.year_max if high is None else high if part.year_max is None else min(high, part.year_max)
    return (low, high) if first is not None and last is not None and first > last else (first, last)
