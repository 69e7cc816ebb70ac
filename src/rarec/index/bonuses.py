"""What a search is given to add to the inner products of some items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rarec.errors import InputError
from rarec.index.quantise import MAX_NORM, Floats
from rarec.item_numbers import Bonuses, ItemNumbers, Numbers
from rarec.types import ItemId


def checked_bonuses(
    bonuses: Sequence[Mapping[ItemId, float]] | None, queries: int, numbers: ItemNumbers
) -> list[tuple[Numbers, Floats]]:
    """The numbers of the items, -1 for unknown ones, and what each gets, for every query; None gives nobody anything.

    Raises:
        InputError: there is not one mapping a query, or a value is negative, too large or no number.
    """
    if bonuses is None:
        return [(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))] * queries
    if len(bonuses) != queries:
        raise InputError(f"there are {queries} queries but {len(bonuses)} mappings of bonuses; give one each")
    found = []
    for own in bonuses:
        if isinstance(own, Bonuses) and own.of is numbers:
            meant, values = own.numbers, own.added
        else:
            meant, values = numbers.find(own), np.fromiter(own.values(), dtype=np.float64, count=len(own))
        wrong = ~((values >= 0) & (values < MAX_NORM))  # whatever is no number is neither
        if wrong.any():
            item, value = list(own.items())[int(wrong.argmax())]
            raise InputError(f"the bonus of item {item!r} is {value!r}; it must be a number of at least 0")
        found.append((meant, values.astype(np.float32)))
    return found
