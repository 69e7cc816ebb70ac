"""What a seed's policy did at each of the report turns, before it was aligned and after: a line of JSON a turn.

Every figure of a run is an average over these lines, and follows from the lists in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import isclose, nan
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rarec.align.logged import FIRST, PeopleFigures, agreement_of, refused_of
from rarec.align.measuring import Measured
from rarec.align.turns import TokenisedTurn
from rarec.alignment.figures import AGREEMENT, ALONE, FIGURES, HELD, JUDGED, REFUSED, Figure, figures_named
from rarec.alignment.records import read_records, write_records
from rarec.errors import InputError
from rarec.reward import Feedback, ndcg, recall
from rarec.types import ItemId

TURNS = "turns.jsonl"
_CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Served:
    """What one policy offered at a turn, and what was made of it.

    Attributes:
        offered: the policy's first items, best first: those that the judge was shown, or the first ten. Mentioned ones
            are never among them.
        ranking: the same items in the judge's order; empty where there is none, or it gave no usable answer.
        figures: name -> value, from 0 to 1, of those that the turn has.
        places: where the items that people were shown stand in the policy's order of all items, from 1; empty where a
            judge was asked.
    Raises:
        InputError: the ranking is not of the items that were offered.
    """

    offered: tuple[ItemId, ...]
    ranking: tuple[ItemId, ...]
    figures: Mapping[str, float]
    places: Mapping[ItemId, int] = field(default_factory=dict[ItemId, int])

    def __post_init__(self) -> None:
        if self.ranking and (len(self.ranking) != len(self.offered) or set(self.ranking) != set(self.offered)):
            raise InputError("the judge's ranking is not of the items that were offered")

    @property
    def served(self) -> tuple[ItemId, ...]:
        """In the order in which a user would see them."""
        return self.ranking or self.offered


@dataclass(frozen=True, slots=True)
class TurnResult:
    """One report turn under the weights that were started from and under the aligned ones.

    Attributes:
        turn: its id, unique in the file.
        truth: what the turn recommended, or what people liked or clicked; in the catalogue and not mentioned before.
            Empty where people only refused.
        sets: what people were shown, and did with it; empty where a judge was asked.
    Raises:
        InputError: a figure is unknown or not that of its lists, or before and after have different ones.
    """

    turn: str
    dialogue: str
    truth: tuple[ItemId, ...]
    before: Served
    after: Served
    sets: tuple[Feedback, ...] = ()

    def __post_init__(self) -> None:
        if not self.before.figures or self.before.figures.keys() != self.after.figures.keys():
            raise InputError(f"turn {self.turn!r} has no figures, or other ones before than after")
        shown = {item for one in self.sets for item in one.shown}
        for served in (self.before, self.after):
            if served.places.keys() != shown:
                raise InputError(f"the places of turn {self.turn!r} are not of the items that were shown")
            for name, value in served.figures.items():
                if name not in FIGURES:
                    raise InputError(f"turn {self.turn!r} has an unknown figure {name!r}")
                expected = _FROM_LISTS[name](self, served)
                if expected is not None and not isclose(value, expected, abs_tol=_CLOSE):
                    raise InputError(f"{name} of turn {self.turn!r} is {value!r}, its lists have {expected!r}")

    def gain(self, name: str) -> float:
        """Of a figure, after minus before; NaN where the turn does not have it."""
        return self.after.figures.get(name, nan) - self.before.figures.get(name, nan)


def figures_of(results: Iterable[TurnResult]) -> tuple[Figure, ...]:
    """Those that any turn has; the first leads."""
    return figures_named(name for result in results for name in result.before.figures)


def turn_results(
    turns: Sequence[TokenisedTurn],
    before: Sequence[Served],
    after: Sequence[Served],
    sets: Sequence[tuple[Feedback, ...]] | None = None,
) -> tuple[TurnResult, ...]:
    """One a turn, in their order; no turns give none."""
    return tuple(
        TurnResult(one.turn.id, one.turn.dialogue, one.turn.truth, first, last, own)
        for one, first, last, own in zip(turns, before, after, sets or [()] * len(turns), strict=True)
    )


def served_by_judge(found: Measured) -> list[Served]:
    """Of each turn, in their order."""
    return [
        Served(offered, ranking, {JUDGED: judged, ALONE: alone, HELD: held})
        for offered, ranking, judged, alone, held in zip(
            found.offered, found.rankings, found.judged, found.alone, found.held, strict=True
        )
    ]


def served_to_people(found: PeopleFigures) -> list[Served]:
    """Of each turn, in their order."""
    return [
        Served(
            first,
            (),
            {name: value for name, value in zip((AGREEMENT, ALONE, REFUSED), values, strict=True) if value is not None},
            places,
        )
        for first, places, *values in zip(
            found.first, found.places, found.agreement, found.alone, found.refused, strict=True
        )
    ]


def write_turn_results(folder: Path, results: Iterable[TurnResult]) -> None:
    """Write ``turns.jsonl``. Raises StoreError if it cannot be written."""
    write_records(
        folder / TURNS, ({**asdict(result), "sets": list(map(_feedback_record, result.sets))} for result in results)
    )


def read_turn_results(folder: Path) -> tuple[TurnResult, ...]:
    """What `write_turn_results` wrote. Raises StoreError if it is damaged, or a figure is not of its lists."""
    return tuple(read_records(folder / TURNS, _turn_result))


def _alone(result: TurnResult, served: Served) -> float | None:
    """None where the first ten are not in the file."""
    return ndcg(served.offered, result.truth, k=FIRST) if len(served.offered) >= FIRST else None


def _first(served: Served) -> set[ItemId]:
    return {item for item, place in served.places.items() if place <= FIRST}


def _or_nan(value: float | None) -> float:
    """A turn whose lists have no such figure cannot have one."""
    return nan if value is None else value


_FROM_LISTS: Mapping[str, Callable[[TurnResult, Served], float | None]] = MappingProxyType(
    {
        JUDGED: lambda result, served: ndcg(served.served, result.truth, k=FIRST),
        AGREEMENT: lambda result, served: _or_nan(agreement_of(served.places, result.sets)),
        ALONE: _alone,
        HELD: lambda result, served: recall(served.offered, result.truth, k=max(1, len(served.offered))),
        REFUSED: lambda result, served: _or_nan(refused_of(_first(served), result.sets)),
    }
)


def _feedback_record(found: Feedback) -> Mapping[str, Sequence[ItemId]]:
    verdicts = {name: sorted(getattr(found, name)) for name in ("clicked", "liked", "refused")}
    return {"shown": found.shown, **verdicts}


def _turn_result(record: Mapping[str, Any]) -> TurnResult:
    return TurnResult(
        str(record["turn"]),
        str(record["dialogue"]),
        _ids(record["truth"]),
        _one_served(record["before"]),
        _one_served(record["after"]),
        tuple(_feedback(one) for one in record["sets"]),
    )


def _one_served(record: Mapping[str, Any]) -> Served:
    figures = {str(name): float(value) for name, value in record["figures"].items()}
    places = {ItemId(str(item)): int(place) for item, place in record["places"].items()}
    return Served(_ids(record["offered"]), _ids(record["ranking"]), figures, places)


def _feedback(record: Mapping[str, Any]) -> Feedback:
    verdicts = {name: frozenset(_ids(record[name])) for name in ("clicked", "liked", "refused")}
    return Feedback(_ids(record["shown"]), **verdicts)


def _ids(values: Sequence[Any]) -> tuple[ItemId, ...]:
    return tuple(ItemId(str(value)) for value in values)
