"""Item features: what the item tower reads."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

EXTRA_FEATURES = 4
"""Item features beside the text vector: popularity, is it known, year, is it known."""
LEAST_POPULAR_RANK = 1e6
CENTRE_YEAR, YEAR_SPREAD = 2000, 25


class PopularityScale:
    """Turns popularities of any scale into a feature that depends only on the rank in a catalogue.

    The feature is 1 for the most popular item and falls with the logarithm of the rank to 0 at rank one
    million, so that adding a long tail of unpopular items changes nothing for the others. Popularity 0
    means *unknown*.
    """

    def __init__(self, popularities: Sequence[float] | NDArray[np.float64]) -> None:
        known = np.asarray(popularities, dtype=np.float64)
        self._ascending = np.sort(known[known > 0])

    def __call__(self, popularities: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float32]:
        """Shape (n,) -> (n, 2): the feature in [0, 1], and 1 where it is known."""
        values = np.asarray(popularities, dtype=np.float64)
        above = len(self._ascending) - np.searchsorted(self._ascending, values, side="right")
        feature = np.clip(1 - np.log1p(above) / math.log(LEAST_POPULAR_RANK), 0, 1)
        known = values > 0
        return np.stack([np.where(known, feature, 0), known], axis=1).astype(np.float32)


def year_features(years: Sequence[int | None]) -> NDArray[np.float32]:
    """Years, None where unknown -> (n, 2): centred and scaled to about [-2, 1], and 1 where it is known."""
    known = np.array([y is not None for y in years], dtype=np.float32)
    values = np.array([CENTRE_YEAR if y is None else y for y in years], dtype=np.float32)
    return np.stack([np.clip((values - CENTRE_YEAR) / YEAR_SPREAD, -8, 8), known], axis=1)


def item_features(
    vectors: NDArray[np.float32],
    popularities: Sequence[float] | NDArray[np.float64],
    years: Sequence[int | None],
    *,
    scale: PopularityScale,
) -> NDArray[np.float32]:
    """What `Retriever.items` reads.

    Args:
        vectors: embeddings of the item texts, unit rows, shape (n, d).
        popularities, years: of the same items.
        scale: of the catalogue that they belong to.
    Returns:
        shape (n, d + 4); no items give shape (0, d + 4).
    """
    extra = np.concatenate([scale(popularities), year_features(years)], axis=1)
    assert extra.shape[1] == EXTRA_FEATURES
    return np.concatenate([vectors.astype(np.float32), extra], axis=1)
