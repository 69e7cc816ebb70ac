"""Rewards of a ranking against the true items of a turn, each from 0 to 1.

A list shorter than k cannot gain by it: denominators come from the truth. An empty ranking is worth 0. A turn without
truth has no reward at all, so that it can never pass for a bad ranking.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from math import log2

from rarec.errors import InputError
from rarec.types import ItemId

Reward = Callable[[Sequence[ItemId], Collection[ItemId]], float]
"""ranking (best first), truth -> what it is worth; higher is better."""


def ndcg(ranking: Sequence[ItemId], truth: Collection[ItemId], *, k: int = 10) -> float:
    """Discounted gain of the true items among the first k, divided by the best that k places can hold.

    Raises:
        InputError: k < 1, no truth, or an item is twice in the ranking.
    Source: Järvelin and Kekäläinen 2002, with binary gain.

    >>> ndcg(["a", "b", "c"], {"c"})
    0.5
    """
    ranks = ranks_of(ranking, truth, k=k)
    return sum(gain(rank) for rank in ranks) / ideal_gain(len(set(truth)), k)


def recall(ranking: Sequence[ItemId], truth: Collection[ItemId], *, k: int = 10) -> float:
    """Share of the true items that are among the first k. Raises as `ndcg` does.

    >>> recall(["a", "b", "c"], {"c", "d"})
    0.5
    """
    return len(ranks_of(ranking, truth, k=k)) / len(set(truth))


def mrr(ranking: Sequence[ItemId], truth: Collection[ItemId], *, k: int = 10) -> float:
    """1 / rank of the first true item among the first k, else 0. Raises as `ndcg` does.

    >>> mrr(["a", "b", "c"], {"b", "c"})
    0.5
    """
    ranks = ranks_of(ranking, truth, k=k)
    return 1.0 / ranks[0] if ranks else 0.0


def ranks_of(ranking: Sequence[ItemId], truth: Collection[ItemId], *, k: int) -> list[int]:
    """Ranks from 1 to k that hold a true item, ascending. Raises as `ndcg` does."""
    if k < 1:
        raise InputError(f"k must be at least 1, got {k!r}")
    if not truth:
        raise InputError("a turn without a true item has no reward; leave such turns out of the rollouts")
    check_distinct(ranking)
    wanted = frozenset(truth)
    return [rank for rank, item in enumerate(ranking[:k], start=1) if item in wanted]


def check_distinct(ranking: Sequence[ItemId]) -> None:
    """Refuse a ranking that names an item twice.

    Raises:
        InputError: it does; the message names the item.
    """
    if len(set(ranking)) == len(ranking):
        return
    twice = next(item for place, item in enumerate(ranking) if item in ranking[:place])
    raise InputError(f"the ranking names {twice!r} more than once; keep its first place only")


def gain(rank: int) -> float:
    """What a true item at a rank (from 1) adds to the discounted gain."""
    return 1.0 / log2(rank + 1)


def ideal_gain(relevant: int, k: int) -> float:
    """The largest discounted gain that k places can hold."""
    return sum(gain(rank) for rank in range(1, min(relevant, k) + 1))
