"""What is added to the inner products of a few items of one query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rarec.errors import InputError
from rarec.index.filtering import Allowed
from rarec.index.quantise import MAX_NORM, Floats
from rarec.index.select import TINY, exact_best, fp32_error, unit_query
from rarec.index.table import Table
from rarec.types import ItemId

Bonuses = Sequence[Mapping[ItemId, float]]


def check_bonuses(bonuses: Bonuses | None, queries: int) -> None:
    """Refuse bonuses that the search could not keep its promise with.

    Raises:
        InputError: there is not one mapping a query, or a value is negative, too large or no number.
    """
    if bonuses is None:
        return
    if len(bonuses) != queries:
        raise InputError(f"there are {queries} queries but {len(bonuses)} mappings of bonuses; give one each")
    for own in bonuses:
        values = np.fromiter(own.values(), dtype=np.float64, count=len(own))
        wrong = ~((values >= 0) & (values < MAX_NORM))  # whatever is no number is neither
        if wrong.any():
            item, value = list(own.items())[int(wrong.argmax())]
            raise InputError(f"the bonus of item {item!r} is {value!r}; it must be a number of at least 0")


def with_bonuses(
    table: Table,
    best: tuple[NDArray[np.int64], Floats],
    query: Floats,
    favoured: tuple[NDArray[np.int64], Floats],
    allowed: Allowed,
    n: int,
) -> tuple[NDArray[np.int64], Floats]:
    """The best n by inner product and bonus.

    An item without a bonus that is among them is among the best n by inner product too: whatever stands before it
    there stands before it here.

    Args:
        best: rows of the best n by inner product, or of all that pass if these are fewer, and their scores.
        favoured: rows with a bonus, each once, and the bonuses.
    """
    passing = allowed.among(favoured[0])
    rows, bonuses = favoured[0][passing], favoured[1][passing]
    if len(best[0]) == n:
        rising = _may_reach(table, rows, bonuses, query, best[1][-1])
        rows, bonuses = rows[rising], bonuses[rising]
    if not len(rows):
        return best
    ascending = np.argsort(rows)
    rows, bonuses = rows[ascending], bonuses[ascending]
    found, products = exact_best(table, rows, query, len(rows))
    scores = products + bonuses[np.searchsorted(rows, found)]
    plain = ~np.isin(best[0], rows)
    found, scores = np.concatenate([best[0][plain], found]), np.concatenate([best[1][plain], scores])
    order = np.lexsort((table.order[found], -scores))[:n]
    return found[order], scores[order]


def _may_reach(
    table: Table, rows: NDArray[np.int64], bonuses: Floats, query: Floats, floor: np.float32
) -> NDArray[np.bool_]:
    """Which rows may have a score of at least `floor`, by fp32 products and how far off these can be."""
    unit, length = unit_query(query)
    near = (table.vectors[rows] @ unit).astype(np.float64) + fp32_error(table.norm[rows], table.dimension)
    most = length * near + bonuses
    # Both scores are rounded to fp32: by a share of them, or where they are below its normal numbers by 1.4e-45.
    margin = 1e-6 * (np.abs(most) + abs(float(floor))) + length * float(TINY) * (table.dimension + 4) + 3e-45
    reached: NDArray[np.bool_] = most + margin >= floor
    return reached
