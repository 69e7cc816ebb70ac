"""Unions that evidence asks for: made in the order of its strength, each only if nothing before it forbids it."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rarec.corpus.clusters import Clusters, Reason
from rarec.corpus.judging import Rules, Verdict, contradiction, too_long
from rarec.corpus.sides import Side, Sides

_NAMES = ("one", "other", "bearer", "other_bearer", "reason", "order", "fewer", "gap")


class Unions:
    """Pairs of groups that may be one, as columns of whole numbers."""

    def __init__(self) -> None:
        self._columns = {name: array("i") for name in _NAMES}

    def __len__(self) -> int:
        return len(self._columns["one"])

    def add(self, one: int, other: int, bearers: tuple[int, int], verdict: Verdict) -> None:
        """Ask for the union of two groups, `one` < `other`; `bearers` are the records that show the evidence."""
        for column, value in zip(
            self._columns.values(), (one, other, *bearers, verdict.reason, *verdict.strength), strict=True
        ):
            column.append(value)

    def make(self, clusters: Clusters, rules: Rules) -> NDArray[np.bool_]:
        """Make them; records whose group is another one now, or has grown, are marked. Shape (records,)."""
        before = clusters.labels
        if not len(self):
            return np.zeros(len(before), np.bool_)
        kept: list[int] = []
        gone: list[int] = []
        sides = Sides(clusters)
        for component in self._components():
            for label, head in _united(component, sides, clusters, rules):
                gone.append(label)
                kept.append(head)
        if not gone:
            return np.zeros(len(before), np.bool_)
        clusters.merge(np.array(kept, np.int32), np.array(gone, np.int32))
        return np.isin(clusters.labels, np.unique(np.array(kept, np.int32)))

    def _components(self) -> Iterator[list[tuple[int, int, int, int, int]]]:
        """Unions that hang together, best first: (one, other, bearer, bearer, reason). Others do not touch them."""
        columns = {name: np.frombuffer(column, np.int32) for name, column in self._columns.items()}
        labels, ends = np.unique(np.r_[columns["one"], columns["other"]], return_inverse=True)
        one, other = ends[: len(self)], ends[len(self) :]
        component = _components(one, other, len(labels))[one]
        keys = ("other_bearer", "bearer", "other", "one", "gap", "fewer", "order")
        order = np.lexsort(np.stack([*(columns[name] for name in keys), component]))
        component = component[order]
        rows = np.stack([columns[name][order] for name in _NAMES[:5]], axis=1)
        starts = np.flatnonzero(np.r_[True, component[1:] != component[:-1]]).tolist()
        for low, high in zip(starts, [*starts[1:], len(rows)], strict=True):
            yield [tuple(row) for row in rows[low:high].tolist()]


def _components(one: NDArray[np.int64], other: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The smallest place that can be reached from each of `count` places over pairs."""
    reached = np.arange(count)
    while True:
        before = reached.copy()
        least = np.minimum(reached[one], reached[other])
        np.minimum.at(reached, one, least)
        np.minimum.at(reached, other, least)
        reached = reached[reached]
        if (reached == before).all():
            return reached


def _united(
    component: list[tuple[int, int, int, int, int]], sides: Sides, clusters: Clusters, rules: Rules
) -> Iterator[tuple[int, int]]:
    """Groups that go into another one, with the one that they end in; every union is logged."""
    heads: dict[int, int] = {}
    made: dict[int, Side] = {}
    for one, other, bearer, other_bearer, number in component:
        first, second = _head(one, heads), _head(other, heads)
        if first == second:
            continue
        a, b = made.get(first) or sides.of(first), made.get(second) or sides.of(second)
        reason = Reason(number)
        if contradiction(a, b, rules) or too_long(a, b, rules) or _meet_again(a, b, reason):
            continue
        kept, gone = min(first, second), max(first, second)
        heads[gone] = kept
        made[kept] = a.with_other(b)
        clusters.joined.add(bearer, other_bearer, reason)
    for label in heads:
        yield label, _head(label, heads)


def _head(label: int, heads: dict[int, int]) -> int:
    while (above := heads.get(label, label)) != label:
        label = above
    return label


def _meet_again(a: Side, b: Side, reason: Reason) -> bool:
    """Whether a union by the title alone would bring two records of a source together by the way of a third."""
    return reason is Reason.ONLY_CANDIDATE and bool(a.sources & b.sources)


__all__ = ["Unions"]
