"""What a search is given to add to the inner products of some items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rarec.errors import InputError
from rarec.index.quantise import MAX_NORM, Floats
from rarec.item_numbers import Bonuses, ItemNumbers
from rarec.types import ItemId


def checked_bonuses(
    bonuses: Sequence[Mapping[ItemId, float]] | None, queries: int, numbers: ItemNumbers
) -> list[tuple[Mapping[ItemId, float], Floats]]:
    """For every query who gets something, and what, in the same order; None gives nobody anything.

    Args:
        numbers: `Bonuses` of others become dictionaries.
    Raises:
        InputError: there is not one mapping a query, or a value is negative, too large or no number.
    """
    if bonuses is None:
        bonuses = [{}] * queries
    if len(bonuses) != queries:
        raise InputError(f"there are {queries} queries but {len(bonuses)} mappings of bonuses; give one each")
    return [_checked(dict(o) if isinstance(o, Bonuses) and o.of is not numbers else o) for o in bonuses]


def _checked(own: Mapping[ItemId, float]) -> tuple[Mapping[ItemId, float], Floats]:
    values = own.added if isinstance(own, Bonuses) else np.fromiter(own.values(), dtype=np.float64, count=len(own))
    wrong = ~((values >= 0) & (values < MAX_NORM))  # whatever is no number is neither
    if wrong.any():
        place = int(wrong.argmax())
        item = own.of.id(int(own.numbers[place])) if isinstance(own, Bonuses) else list(own)[place]
        raise InputError(f"the bonus of item {item!r} is {float(values[place])!r}; it must be a number of at least 0")
    return own, values.astype(np.float32)
