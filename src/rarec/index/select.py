"""From approximate scores with proven errors to the exact best n."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rarec.index.engines import Scan
from rarec.index.filtering import Allowed
from rarec.index.quantise import Floats, quantise
from rarec.index.table import Table

RESCORE_BLOCK = 4096
MOST_BONUS = 1e30
RowsAndBonuses = tuple[NDArray[np.int64], Floats]
TINY = np.float32(4e-38)
"""Below the smallest normal fp32 number a library may flush to zero; each term can lose this much."""


def unit_query(query: Floats, bonus: float = 0.0) -> tuple[Floats, float]:
    """The query divided by its length in fp64, and this length; scores scale with it and their order does not.

    Args:
        bonus: the largest that is added. If divided it would be no fp32 number, both are divided by more.
    """
    exact = query.astype(np.float64)
    length = max(float(np.sqrt(np.sum(exact * exact))), bonus / MOST_BONUS)
    return (exact / length).astype(np.float32) if length else query, length


def int8_scores(table: Table, count: int, query: Floats, scan: Scan) -> tuple[Floats, Floats]:
    """Approximate inner products with a unit query, and how far off each may be; both of shape (count,)."""
    width = table.codes.shape[1]
    coded = quantise(query[None, :width])
    dots = scan(table.codes[:count], coded.codes[0])
    scores: Floats = dots.astype(np.float32)
    scores *= coded.scale[0]
    scores *= table.scale[:count]
    for column in range(table.float_columns):
        scores += query[width + column] * table.floats[:count, column]
    error: Floats = table.coded_norm[:count] * (coded.residual[0] + np.float32(4e-6))
    error += table.residual[:count] * (coded.residual[0] + np.float32(1 + 1e-5))
    return scores, error


def fp32_error(lengths: Floats, dimension: int) -> Floats:
    """How far an fp32 inner product with a unit query may be off, whatever the order of summation.

    Args:
        lengths: of the vectors, shape (k,).
    Returns:
        shape (k,).
    """
    error: Floats = lengths * np.float32((dimension + 32) * 2.0**-24 * 1.05)
    return error


def slack(dimension: int, length: float) -> np.float32:
    """Absolute error of the smallest numbers, for a query of this length (scores are rounded to fp32 at the end)."""
    return np.float32(TINY * (dimension + 4) + min(2e-45 / length, 1e30))


def add_bonuses(scores: Floats, error: Floats, rows: NDArray[np.int64], bonuses: Floats, length: float) -> None:
    """Add to the approximate scores of some rows, each once, and to their errors what rounding then may change.

    Args:
        bonuses: of the rows, at least 0.
        length: of the query by `unit_query`.
    """
    if len(rows):
        added = (bonuses.astype(np.float64) / length).astype(np.float32)  # a length may be no fp32 number
        scores[rows] += added
        error[rows] += np.float32(1e-6) * (np.abs(scores[rows]) + error[rows] + added)


def contenders(scores: Floats, error: Floats, extra: np.float32, allowed: Allowed, n: int) -> NDArray[np.int64]:
    """Rows that may be among the best n; no row that is can be missing.

    At least n rows must be allowed. `scores` is overwritten. Every |exact - score| is at most error + extra.
    """
    allowed.silence(scores)
    lower = scores - error
    floor = _floor(lower, n) - 2 * extra
    scores += error
    rows = np.flatnonzero(scores >= floor)
    low = lower[rows]
    kept: NDArray[np.int64] = rows[scores[rows] >= np.partition(low, len(low) - n)[len(low) - n] - 2 * extra]
    return kept


def _floor(lower: Floats, n: int) -> np.float32:
    """A value that at least n of `lower` reach; close to the n-th largest, at a fraction of its cost."""
    folds = len(lower) // max(16 * n, 1024)
    if folds >= 2:
        width = len(lower) // folds
        best = lower[: folds * width].reshape(folds, width).max(axis=0)
        floor = np.partition(best, width - n)[width - n]
        if floor > -np.inf:
            return np.float32(floor)
    return np.float32(np.partition(lower, len(lower) - n)[len(lower) - n])


def exact_best(
    table: Table, rows: NDArray[np.int64], query: Floats, n: int, favoured: RowsAndBonuses
) -> tuple[NDArray[np.int64], Floats]:
    """The best n of `rows`, best first, ties by insertion order, with their scores.

    A score is the fp64 inner product rounded to fp32, and the row's bonus, computed row by row: it does not depend on
    the other rows, on the engine or on the size of the batch.

    Args:
        favoured: rows with a bonus, ascending, and the bonuses.
    """
    exact = query.astype(np.float64)
    scores: Floats = np.empty(len(rows), dtype=np.float32)
    for a in range(0, len(rows), RESCORE_BLOCK):
        block = table.vectors[rows[a : a + RESCORE_BLOCK]].astype(np.float64)
        block *= exact
        scores[a : a + RESCORE_BLOCK] = block.sum(axis=1)
    if len(favoured[0]):
        places = np.minimum(np.searchsorted(favoured[0], rows), len(favoured[0]) - 1)
        scores += np.where(favoured[0][places] == rows, favoured[1][places], np.float32(0))
    if len(rows) > 4 * n:
        kept = np.flatnonzero(scores >= np.partition(scores, len(rows) - n)[len(rows) - n])
        rows, scores = rows[kept], scores[kept]
    best = np.lexsort((table.order[rows], -scores))[:n]
    return rows[best], scores[best]
