"""Weights for `reciprocal_rank_fusion`, chosen on examples that are not the test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from rarec.errors import InputError
from rarec.evaluate.fusion.lists import C, places_of, reciprocal_rank_fusion
from rarec.evaluate.fusion.members import member_list
from rarec.evaluate.gold import Gold
from rarec.evaluate.metrics import ndcg_at
from rarec.evaluate.predictions import Predictions
from rarec.evaluate.protocols import EvaluationProtocol
from rarec.types import ItemId

CS = (1.0, 5.0, 20.0, 60.0, 120.0)
_MOST_POINTS = 20_000


@dataclass(frozen=True, slots=True)
class TuningRows:
    """What weights are learned from.

    Attributes:
        lists: member -> example -> list, as it is fused.
        targets: example -> targets; each is a row.
    """

    lists: tuple[tuple[tuple[ItemId, ...], ...], ...]
    targets: tuple[tuple[ItemId, ...], ...]


@dataclass(frozen=True, slots=True)
class LearnedWeights:
    """The setting that was best on the tuning rows.

    Attributes:
        weights: one a member, adding up to 1.
        ndcg: mean NDCG@k over the rows with it. It is the best of many tried, so it flatters: report the figure on
            other examples.
        tried: how many settings were compared.
    """

    weights: tuple[float, ...]
    c: float
    k: int
    ndcg: float
    rows: int
    tried: int


def tuning_rows(
    members: Sequence[Predictions], gold: Gold, *, protocol: EvaluationProtocol | None = None
) -> TuningRows:
    """The lists and targets of a tuning split under a protocol, by default ``new-targets``; rows are (turn, target).

    Raises:
        InputError: a member lacks the list of an example, or has an item twice in it.
    """
    protocol = protocol or EvaluationProtocol()
    wanted = [
        tuple(t for t in example.targets if protocol.targets == "all" or t not in example.repeated)
        for example in gold.examples
    ]
    rows = [(example, targets) for example, targets in zip(gold.examples, wanted, strict=True) if targets]
    return TuningRows(
        tuple(tuple(member_list(m, example, seen=protocol.seen) for example, _ in rows) for m in members),
        tuple(targets for _, targets in rows),
    )


def learn_weights(
    lists: Sequence[Sequence[Sequence[ItemId]]],
    targets: Sequence[Sequence[ItemId]],
    *,
    k: int = 10,
    cs: Sequence[float] = CS,
    steps: int = 20,
) -> LearnedWeights:
    """The weights and c of `reciprocal_rank_fusion` with the highest mean NDCG@k over all (example, target) rows.

    Every point of the simplex whose weights are multiples of 1 / steps is tried with every c. Of equal ones the most
    even weights win, then the c that is nearest to that of the paper, then the larger weights for earlier members.

    Args:
        lists: member -> example -> list, mentioned items removed where the protocol excludes them.
        targets: example -> its targets.
    Raises:
        InputError: fewer than two members, no rows, lengths that differ, an item twice in a list, k, cs or steps
            out of range, or more than 20,000 settings.
    """
    _check(lists, targets, cs, steps)
    figures = _Figures(lists, targets)
    best: tuple[float, float, float, tuple[float, ...], float] | None = None
    tried = 0
    for c in cs:
        for weights in _simplex(len(lists), steps):
            tried += 1
            figure = float(ndcg_at(figures.ranks(weights, c), k).mean())
            key = (-figure, max(weights), abs(c - C), tuple(-weight for weight in weights), c)
            best = key if best is None else min(best, key)
    assert best is not None  # there is at least one c and one point
    weights, c = tuple(abs(weight) for weight in best[3]), best[4]
    found = _ranks(lists, targets, weights, c)
    return LearnedWeights(weights, c, k, float(ndcg_at(found, k).mean()), len(found), tried)


def _check(
    lists: Sequence[Sequence[Sequence[ItemId]]], targets: Sequence[Sequence[ItemId]], cs: Sequence[float], steps: int
) -> None:
    if len(lists) < 2:
        raise InputError(f"{len(lists)} member(s): weights can be learned for two or more")
    if not any(targets):
        raise InputError("no rows to learn weights from; give examples with targets")
    for member, one in enumerate(lists):
        if len(one) != len(targets):
            raise InputError(f"member {member} has {len(one)} lists for {len(targets)} examples; give one an example")
    if steps < 1 or not cs or not all(np.isfinite(c) and c >= 0 for c in cs):
        raise InputError(f"steps must be at least 1 and cs numbers >= 0, got {steps!r} and {tuple(cs)!r}")
    points = comb(steps + len(lists) - 1, len(lists) - 1) * len(cs)
    if points > _MOST_POINTS:
        raise InputError(f"{points} settings to try, more than {_MOST_POINTS}; use fewer steps or values of c")


def _simplex(members: int, steps: int) -> Iterator[tuple[float, ...]]:
    for parts in _parts(members, steps):
        yield tuple(part / steps for part in parts)


def _parts(count: int, total: int) -> Iterator[tuple[int, ...]]:
    """Every way to write `total` as `count` whole numbers >= 0, in ascending order."""
    if count == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _parts(count - 1, total - first):
            yield (first, *rest)


def _ranks(
    lists: Sequence[Sequence[Sequence[ItemId]]], targets: Sequence[Sequence[ItemId]], weights: Sequence[float], c: float
) -> list[int]:
    ranks: list[int] = []
    for example, wanted in enumerate(targets):
        places = places_of(reciprocal_rank_fusion([one[example] for one in lists], weights=weights, c=c))
        ranks += [places.get(target, 0) for target in wanted]
    return ranks


class _Figures:
    """Ranks of all rows for one setting after the other, without sorting.

    A target's rank is the number of items before it; equal sums are ordered by column, which follows the lists.
    """

    def __init__(self, lists: Sequence[Sequence[Sequence[ItemId]]], targets: Sequence[Sequence[ItemId]]) -> None:
        places = [[places_of(one[example]) for one in lists] for example in range(len(targets))]
        tables = [_table(one) for one in places]
        width = max(map(len, tables), default=0)
        self._places = np.full((len(lists), len(tables), width), np.inf)
        rows, columns, self._lost = [], [], []
        for example, (table, wanted) in enumerate(zip(tables, targets, strict=True)):
            for column, (_, found) in enumerate(table):
                self._places[:, example, column] = found
            column_of = {item: column for column, (item, _) in enumerate(table)}
            rows += [example] * len(wanted)
            columns += [column_of.get(target, 0) for target in wanted]
            self._lost += [target not in column_of for target in wanted]
        self._rows, self._columns = np.array(rows, np.int64), np.array(columns, np.int64)
        self._before = np.arange(width) < self._columns[:, None]

    def ranks(self, weights: Sequence[float], c: float) -> NDArray[np.int64]:
        if not self._before.size:
            return np.zeros(len(self._rows), np.int64)
        scores = sum(
            (weight / (c + places) for weight, places in zip(weights, self._places, strict=True) if weight),
            start=np.zeros(self._places.shape[1:]),
        )
        own = scores[self._rows, self._columns][:, None]
        all_scores = scores[self._rows]
        ahead = (all_scores > own) | ((all_scores == own) & self._before)
        found = 1 + np.count_nonzero(ahead, axis=1)
        return np.where(np.array(self._lost) | (own[:, 0] == 0), 0, found).astype(np.int64)


def _table(places: Sequence[dict[ItemId, int]]) -> list[tuple[ItemId, list[float]]]:
    """The items of some lists in the order that decides ties, each with its places, infinite where it has none."""
    items = dict.fromkeys(item for one in places for item in one)
    found = {item: [float(one.get(item, np.inf)) for one in places] for item in items}
    return sorted(found.items(), key=lambda entry: entry[1])
