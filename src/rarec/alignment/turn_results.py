"""What a seed's policy did at each of the report turns, before it was aligned and after: a line of JSON a turn.

Every figure of a run is an average over these lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isclose
from pathlib import Path
from typing import Any

from rarec.align.measuring import Measured
from rarec.align.turns import TokenisedTurn
from rarec.alignment.records import read_records, write_records
from rarec.errors import InputError
from rarec.reward import ndcg, recall
from rarec.types import ItemId

TURNS = "turns.jsonl"
_CUT = 10
_CLOSE = 1e-9


@dataclass(frozen=True, slots=True)
class Served:
    """What one policy offered at a turn, and what the judge made of it.

    Attributes:
        offered: the policy's first n items, best first; mentioned ones are never among them.
        ranking: the same items in the judge's order; empty where it gave no usable answer.
        alone: NDCG@10 of the policy's own order, from 0 to 1.
        judged: NDCG@10 of the judge's order; of the policy's where the judge gave none.
        held: share of the turn's true items that were offered.
    Raises:
        InputError: the ranking is not of the items that were offered.
    """

    offered: tuple[ItemId, ...]
    ranking: tuple[ItemId, ...]
    alone: float
    judged: float
    held: float

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
        truth: what the turn recommended, in the catalogue and not mentioned before.
    Raises:
        InputError: a figure is not that of its list.
    """

    turn: str
    dialogue: str
    truth: tuple[ItemId, ...]
    before: Served
    after: Served

    def __post_init__(self) -> None:
        for served in (self.before, self.after):
            expected = {
                "judged": ndcg(served.served, self.truth, k=_CUT),
                "held": recall(served.offered, self.truth, k=max(1, len(served.offered))),
            }
            if len(served.offered) >= _CUT:
                expected["alone"] = ndcg(served.offered, self.truth, k=_CUT)
            for name, value in expected.items():
                if not isclose(getattr(served, name), value, abs_tol=_CLOSE):
                    raise InputError(
                        f"{name} of turn {self.turn!r} is {getattr(served, name)!r}, its list has {value!r}"
                    )

    @property
    def gain(self) -> float:
        """Of NDCG@10 after the judge."""
        return self.after.judged - self.before.judged


def turn_results(turns: Sequence[TokenisedTurn], before: Measured, after: Measured) -> tuple[TurnResult, ...]:
    """One a turn, in their order; no turns give none."""
    return tuple(
        TurnResult(one.turn.id, one.turn.dialogue, one.turn.truth, *served)
        for one, *served in zip(turns, _served(before), _served(after), strict=True)
    )


def _served(found: Measured) -> list[Served]:
    return [
        Served(*parts)
        for parts in zip(found.offered, found.rankings, found.alone, found.judged, found.held, strict=True)
    ]


def write_turn_results(folder: Path, results: Iterable[TurnResult]) -> None:
    """Write ``turns.jsonl``. Raises StoreError if it cannot be written."""
    write_records(folder / TURNS, map(asdict, results))


def read_turn_results(folder: Path) -> tuple[TurnResult, ...]:
    """What `write_turn_results` wrote. Raises StoreError if it is damaged, or a figure is not of its list."""
    return tuple(read_records(folder / TURNS, _turn_result))


def _turn_result(record: Mapping[str, Any]) -> TurnResult:
    return TurnResult(
        str(record["turn"]),
        str(record["dialogue"]),
        _ids(record["truth"]),
        _one_served(record["before"]),
        _one_served(record["after"]),
    )


def _one_served(record: Mapping[str, Any]) -> Served:
    figures = (float(record[name]) for name in ("alone", "judged", "held"))
    return Served(_ids(record["offered"]), _ids(record["ranking"]), *figures)


def _ids(values: Sequence[Any]) -> tuple[ItemId, ...]:
    return tuple(ItemId(str(value)) for value in values)
