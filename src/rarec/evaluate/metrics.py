"""Accuracy of one row: the ranks of its relevant items -> a number from 0 to 1.

A rank is 1 for the best place; 0 is a miss, however long the list was. Denominators are fixed by the gold and never
by the list, so a short list cannot gain.

Two units are in use. *Per target* (the protocol of "Large Language Models as Zero-Shot Conversational Recommenders",
CIKM 2023): a row is one target of one turn, and its own rank is all that counts. *Per turn*: a row is one turn, and
its targets are the relevant set, as in information retrieval.
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

    Source: Järvelin and Kekäläinen 2002, with binary gain. Raises as `recall_at` does.

    >>> ndcg_at([1, 3, 0], k=10).tolist()
    [1.0, 0.5, 0.0]
    """
    found = _checked(ranks, k)
    hit = (found >= 1) & (found <= k)
    return np.where(hit, 1.0 / np.log2(np.where(hit, found, 1) + 1.0), 0.0)


def mrr_at(ranks: Sequence[int] | Ranks, k: int) -> Values:
    """1 / rank for each rank in 1..k, else 0.0. Raises as `recall_at` does.

    >>> mrr_at([1, 4, 0], k=10).tolist()
    [1.0, 0.25, 0.0]
    """
    found = _checked(ranks, k)
    hit = (found >= 1) & (found <= k)
    return np.where(hit, 1.0 / np.where(hit, found, 1), 0.0)


def per_turn(measure: str, ranks: Ranks, k: int, starts: NDArray[np.intp]) -> Values:
    """A measure ("R", "N" or "MRR") per turn: shape (targets,) -> (turns,).

    Recall is the share of the turn's targets that were found, NDCG is divided by the best that k places can
    hold, and the reciprocal rank is that of the first target found.

    Args:
        starts: where each turn's targets begin in `ranks`, ascending, the first 0; no turn is empty.
    Raises:
        InputError: k < 1, a rank is negative, or the measure is unknown.
    """
    if not len(starts):
        return np.zeros(0, np.float64)
    counts = np.diff(np.r_[starts, len(ranks)])
    if measure == "R":
        return np.asarray(np.add.reduceat(recall_at(ranks, k), starts) / counts, np.float64)
    if measure == "MRR":
        return np.asarray(np.maximum.reduceat(mrr_at(ranks, k), starts), np.float64)
    if measure != "N":
        raise InputError(f"unknown measure {measure!r}; use R, N or MRR")
    ideal = np.cumsum(1.0 / np.log2(np.arange(2, k + 2)))
    return np.asarray(np.add.reduceat(ndcg_at(ranks, k), starts) / ideal[np.minimum(counts, k) - 1], np.float64)


PER_TARGET = {"R": recall_at, "N": ndcg_at, "MRR": mrr_at}


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
