"""Beyond accuracy: how much of the catalogue lists show, how popular it is, how unlike each other its items are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from rarec.evaluate.gold import GoldItem
from rarec.types import ItemId

K = 10


class BeyondAccuracy:
    """Measures of lists over one catalogue.

    Args:
        items: the catalogue.
        targets: what was to be found, one entry a row; the popularity of lists is compared with theirs.
    """

    def __init__(self, items: Mapping[ItemId, GoldItem], targets: Sequence[ItemId]) -> None:
        self._percentile = _percentiles(items)
        self._values = {
            item: frozenset((name, value) for name, values in facts.attributes.items() for value in values)
            for item, facts in items.items()
        }
        self._size = len(items)
        self._targets = _mean([self._percentile[item] for item in targets if item in self._percentile])
        self._unlike: dict[tuple[ItemId, ItemId], float | None] = {}

    def __call__(self, lists: Sequence[Sequence[ItemId]]) -> dict[str, float | None]:
        """Measures over the first ten places of lists, from which mentioned items were removed where they should be.

        ``coverage@10``: share of the catalogue that occurs in any list. ``popularity@10``: mean popularity
        percentile of what is shown, 0 (least) to 1. ``popularity-bias@10``: the same minus that of the targets.
        ``diversity@10``: mean over lists of the mean Jaccard distance of the attributes of two of its items;
        None if no two items with attributes are ever shown together. All None without lists.
        """
        tops = [tuple(items[:K]) for items in lists]
        shown = [item for top in tops for item in top]
        popularity = _mean([self._percentile[item] for item in shown])
        bias = None if popularity is None or self._targets is None else popularity - self._targets
        return {
            f"coverage@{K}": len(set(shown)) / self._size if tops else None,
            f"popularity@{K}": popularity,
            f"popularity-bias@{K}": bias,
            f"diversity@{K}": _mean([d for d in map(self._diversity, tops) if d is not None]),
        }

    def _diversity(self, top: Sequence[ItemId]) -> float | None:
        return _mean([d for d in (self._distance(a, b) for a, b in combinations(top, 2)) if d is not None])

    def _distance(self, a: ItemId, b: ItemId) -> float | None:
        key = (a, b) if a < b else (b, a)
        if key not in self._unlike:
            one, other = self._values[a], self._values[b]
            union = len(one | other)
            self._unlike[key] = 1 - len(one & other) / union if one and other else None
        return self._unlike[key]


def _percentiles(items: Mapping[ItemId, GoldItem]) -> dict[ItemId, float]:
    """Share of the other items that are less popular, ties counted half."""
    counts = np.array([facts.popularity for facts in items.values()], np.int64)
    ordered = np.sort(counts)
    below = np.searchsorted(ordered, counts, side="left")
    level = np.searchsorted(ordered, counts, side="right") - below - 1
    shares = (below + level / 2) / max(len(counts) - 1, 1)
    return dict(zip(items, shares.tolist(), strict=True))


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
