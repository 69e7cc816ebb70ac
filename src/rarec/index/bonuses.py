"""What is added to the inner products of a few items of one query."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rarec.errors import InputError
from rarec.index.filtering import Allowed
from rarec.index.quantise import MAX_NORM, Floats
from rarec.index.select import exact_best
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
        for item, value in own.items():
            if not (math.isfinite(value) and 0 <= value < MAX_NORM):
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
