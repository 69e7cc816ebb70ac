"""Accuracy of one row: the rank of its one relevant item -> a number from 0 to 1.

A rank is 1 for the best place; 0 is a miss, however long the list was. A row is one target of one example, so
an example with three targets gives three rows, and an average over rows has a fixed denominator.

Source: the protocol of "Large Language Models as Zero-Shot Conversational Recommenders" (CIKM 2023).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rarec.errors import InputError

MISS = 0

Ranks = NDArray[np.int64]
Values = NDArray[np.float64]


def recall_at(ranks: Sequence[int] | Ranks, k: int) -> Values:
    """1.0 for each rank in 1..k, else 0.0; no ranks give an empty array.

    Raises:
        InputError: k < 1, or a rank is negative or not whole.

    >>> recall_at([1, 3, 0], k=2).tolist()
    [1.0, 0.0, 0.0]
    """
    found = _checked(ranks, k)
    return ((found >= 1) & (found <= k)).astype(np.float64)


def ndcg_at(ranks: Sequence[int] | Ranks, k: int) -> Values:
    """1 / log2(rank + 1) for each rank in 1..k, else 0.0; the ideal is 1 because one item is relevant.

    Raises:
        InputError: k < 1, or a rank is negative or not whole.

    >>> ndcg_at([1, 3, 0], k=10).tolist()
    [1.0, 0.5, 0.0]
    """
    found = _checked(ranks, k)
    hit = (found >= 1) & (found <= k)
    return np.where(hit, 1.0 / np.log2(np.where(hit, found, 1) + 1.0), 0.0)


def _checked(ranks: Sequence[int] | Ranks, k: int) -> Ranks:
    if k < 1:
        raise InputError(f"k must be at least 1, got {k!r}")
    found = np.asarray(ranks)
    if found.size == 0:
        return np.zeros(found.shape, np.int64)
    if found.dtype.kind not in "iu":
        raise InputError(f"ranks must be whole numbers, got {found.dtype}; write a miss as {MISS}")
    if found.min() < 0:
        raise InputError(f"a rank is {int(found.min())!r}; ranks start at 1, a miss is {MISS}")
    return found.astype(np.int64)
