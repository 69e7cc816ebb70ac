"""Two or more lists of items -> one list."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import TypeVar

from rarec.errors import InputError

C = 60.0
"""The constant of the paper; larger values make the first places count less."""

T = TypeVar("T", bound=Hashable)
Key = tuple[float, ...]


def reciprocal_rank_fusion(
    lists: Sequence[Sequence[T]], *, weights: Sequence[float] | None = None, c: float = C
) -> tuple[T, ...]:
    """Every item of the lists, ordered by the sum of ``weight / (c + rank)`` over the lists that have it.

    Equal sums are ordered by the first list, then by the second, and so on; not being in a list comes after all
    that are. A list of weight 0 is left out with its items, so that weights (1, 0) give the first list. Empty lists
    give the empty tuple.

    Args:
        weights: one a list, not negative, not all 0; None weighs all lists alike.
        c: >= 0.
    Raises:
        InputError: no lists, an item twice in one of them, or weights or c out of range.
    Source: Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual rank
        learning methods", SIGIR 2009 (weights are an addition).

    >>> reciprocal_rank_fusion([["a", "b", "c"], ["c", "d"]])
    ('c', 'a', 'b', 'd')
    """
    weights = checked_weights(weights, len(lists), c=c)
    places = [places_of(one) for one, weight in zip(lists, weights, strict=True) if weight > 0]
    weights = [weight for weight in weights if weight > 0]
    items = dict.fromkeys(item for one in places for item in one)
    return tuple(sorted(items, key=lambda item: fusion_key([one.get(item, 0) for one in places], weights, c=c)))


def interleave(lists: Sequence[Sequence[T]]) -> tuple[T, ...]:
    """The lists in turn, beginning with the first; each gives its first item that is not yet placed.

    A list that has no such item is passed over. Every item of every list is placed once; empty lists give the empty
    tuple.

    Raises:
        InputError: no lists, or an item twice in one of them.

    >>> interleave([["a", "b", "c"], ["a", "d"]])
    ('a', 'd', 'b', 'c')
    """
    if not lists:
        raise InputError("no lists to fuse; give at least one")
    waiting = [iter(places_of(one)) for one in lists]
    fused: dict[T, None] = {}
    while waiting:
        for one in list(waiting):
            item = next((item for item in one if item not in fused), None)
            if item is None:
                waiting.remove(one)
            else:
                fused[item] = None
    return tuple(fused)


def fusion_key(places: Sequence[int], weights: Sequence[float], *, c: float) -> Key:
    """What `reciprocal_rank_fusion` sorts by: smaller is better, and no two items of the lists share one.

    A smaller place in any list of positive weight gives a smaller key.

    Args:
        places: the item's 1-based place in each list, 0 where it is not in it.
    """
    # Summed exactly, so that the order of the lists cannot separate sums that are equal.
    score = math.fsum(weight / (c + place) for place, weight in zip(places, weights, strict=True) if place)
    return (-score, *(place or math.inf for place in places))


def places_of(items: Sequence[T]) -> dict[T, int]:
    """Item -> its 1-based place, in the order of the list. Raises InputError if an item comes twice."""
    places = {item: place for place, item in enumerate(items, start=1)}
    if len(places) != len(items):
        twice = next(item for place, item in enumerate(items, start=1) if places[item] != place)
        raise InputError(f"the item {twice!r} is twice in one list; give every item once")
    return places


def checked_weights(weights: Sequence[float] | None, count: int, *, c: float) -> list[float]:
    """One weight for each of `count` lists. Raises InputError as `reciprocal_rank_fusion` says."""
    if count < 1:
        raise InputError("no lists to fuse; give at least one")
    if not (math.isfinite(c) and c >= 0):
        raise InputError(f"c must be a number >= 0, got {c!r}; {C:g} is usual")
    if weights is None:
        return [1.0] * count
    if len(weights) != count:
        raise InputError(f"{len(weights)} weights for {count} lists; give one a list")
    if wrong := [weight for weight in weights if not (math.isfinite(weight) and weight >= 0)]:
        raise InputError(f"a weight is {wrong[0]!r}; weights are numbers >= 0")
    if not any(weights):
        raise InputError(f"all {count} weights are 0; at least one must be positive")
    return [float(weight) for weight in weights]
