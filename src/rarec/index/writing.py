"""What adding items computes from them before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from rarec.errors import InputError
from rarec.index.filtering import is_bare
from rarec.index.postings import Postings
from rarec.index.table import NO_YEAR
from rarec.types import Item


def latest_of_each(items: Sequence[Item]) -> list[int]:
    """For each id, in order of first appearance, the place of its last item."""
    return list({item.id: i for i, item in enumerate(items)}.values())


def years_of(items: Sequence[Item]) -> NDArray[np.int64]:
    """The items' years; unknown is NO_YEAR."""
    years = [NO_YEAR if item.year is None else item.year for item in items]
    try:
        return np.array(years, dtype=np.int64)
    except (OverflowError, TypeError, ValueError) as error:
        wrong = next(item for item in items if not _is_year(item.year))
        raise InputError(f"item {wrong.id!r} has the year {wrong.year!r}; give a whole number or None") from error


def _is_year(year: object) -> bool:
    return year is None or (isinstance(year, int) and abs(year) < 2**62)


@dataclass(frozen=True, slots=True)
class Tags:
    """All values of one attribute: `values[i]` belongs to the item at `places[i]`, which ascends.

    Attributes:
        folded: each different value -> the same without case.
    """

    values: list[str]
    folded: dict[str, str]
    places: NDArray[np.int32]


def tags_of(items: Sequence[Item]) -> dict[str, Tags]:
    """The items' attribute values by name.

    Raises:
        InputError: an attribute is not a tuple of strings.
    """
    values: dict[str, list[tuple[str, ...]]] = {}
    places: dict[str, list[int]] = {}
    for place, item in enumerate(items):
        for name, tags in item.attributes.items():
            if name not in values:
                values[name], places[name] = [], []
            values[name].append(tags)
            places[name].append(place)
    return {name: _tags(items, name, values[name], places[name]) for name in values}


def _tags(items: Sequence[Item], name: str, values: list[tuple[str, ...]], places: list[int]) -> Tags:
    try:
        if any(map(is_bare, values)):
            raise TypeError
        flat = list(chain.from_iterable(values))
        folded = {value: str.casefold(value) for value in dict.fromkeys(flat)}
    except TypeError as error:
        wrong = next(i for i, tags in enumerate(values) if is_bare(tags) or not _all_strings(tags))
        raise InputError(
            f"attribute {name!r} of item {items[places[wrong]].id!r} is {values[wrong]!r}; give a tuple of strings"
        ) from error
    lengths = np.fromiter(map(len, values), dtype=np.int64, count=len(values))
    return Tags(flat, folded, np.repeat(np.array(places, dtype=np.int32), lengths))


def _all_strings(tags: object) -> bool:
    return isinstance(tags, list | tuple) and all(isinstance(tag, str) for tag in tags)


def grown_postings(old: Mapping[str, Postings], tags: Mapping[str, Tags], start: int) -> dict[str, Postings]:
    """The lists with the new items in rows start, start + 1, ..."""
    grown = dict(old)
    for name, added in tags.items():
        grown[name] = grown.get(name, Postings()).extended(added.values, added.folded, added.places + np.int32(start))
    return grown
