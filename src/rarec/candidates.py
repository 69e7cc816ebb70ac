"""What the retriever offers to the language model in a turn."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rarec.types import Filters, Item


def allowed(item: Item, filters: Filters) -> bool:
    """Whether one item passes, by the rules of `Filters`; an index applies the same to all at once."""
    values = {
        name: {v.casefold() for v in item.attributes.get(name, ())}
        for name in (*filters.any_of, *filters.none_of, *filters.all_of)
    }
    if item.id in filters.exclude:
        return False
    if any(values[name].isdisjoint(v.casefold() for v in wanted) for name, wanted in filters.any_of.items()):
        return False
    if any(not values[name].isdisjoint(v.casefold() for v in bad) for name, bad in filters.none_of.items()):
        return False
    if not all(values[name].issuperset(v.casefold() for v in needed) for name, needed in filters.all_of.items()):
        return False
    low, high = filters.year_min, filters.year_max
    if low is None and high is None:
        return True
    return item.year is not None and (low is None or item.year >= low) and (high is None or item.year <= high)


def diversify(vectors: NDArray[np.float32], scores: NDArray[np.float32], *, n: int, weight: float = 0.5) -> list[int]:
    """Choose n of m candidates that score well and differ from each other.

    Maximal marginal relevance: each step takes the candidate with the largest
    ``(1 - weight) * score - weight * (largest cosine to what was taken)``, scores scaled to [0, 1].

    Args:
        vectors: shape (m, d), any length.
        scores: shape (m,), higher is better.
        n: how many; fewer come back if m < n.
        weight: of difference, from 0 (plain order) to 1.
    Returns:
        positions in the order in which they were taken.
    Raises:
        ValueError: `weight` is outside [0, 1].
    Source: Carbonell and Goldstein 1998, "The use of MMR".
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"weight must be between 0 and 1, got {weight!r}")
    if not len(scores):
        return []
    order = np.argsort(-scores, kind="stable")  # of equal values the better score goes first
    vectors, scores = vectors[order], scores[order]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    spread = float(scores.max() - scores.min())
    gain = (1 - weight) * ((scores - scores.min()) / spread if spread > 0 else np.zeros(len(scores)))
    nearest = np.full(len(scores), -1.0)
    taken: list[int] = []
    while len(taken) < min(n, len(scores)):
        value = gain - weight * (nearest if taken else 0)
        value[taken] = -np.inf
        best = int(np.argmax(value))
        taken.append(best)
        nearest = np.maximum(nearest, unit @ unit[best])
    return [int(order[i]) for i in taken]
