"""Filters -> the rows that may be returned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rarec.errors import InputError
from rarec.index.table import NO_YEAR, Snapshot
from rarec.types import Filters

FEW = 4096
"""Up to this many allowed rows, scoring them one by one is faster than a scan."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """The rows that pass, in the form that is cheapest to apply.

    Attributes:
        count: how many pass.
        rows: all of them, ascending, when they are few; else None.
        mask: true where a row passes, when attributes or years were asked; else None.
        dropped: rows that do not pass, when there is no mask.
    """

    count: int
    rows: NDArray[np.int64] | None
    mask: NDArray[np.bool_] | None
    dropped: NDArray[np.int64]

    def silence(self, scores: NDArray[np.float32]) -> None:
        """Set the scores of all other rows to minus infinity."""
        if self.mask is not None:
            np.copyto(scores, -np.inf, where=~self.mask)
        elif len(self.dropped):
            scores[self.dropped] = -np.inf


def check_filters(filters: Filters, known: Mapping[str, object]) -> None:
    """Refuse what cannot be meant.

    Raises:
        InputError: an attribute that no item ever had, values that are not a tuple, or years the wrong way round.
    """
    for name, values in (*filters.any_of.items(), *filters.none_of.items(), *filters.all_of.items()):
        if is_bare(values):
            raise InputError(f"the filter on {name!r} is the string {values!r}; give a tuple, e.g. ({values!r},)")
        if name not in known:
            names = ", ".join(repr(k) for k in sorted(known)) or "none"
            raise InputError(f"no item has the attribute {name!r}; the attributes are: {names}")
    low, high = filters.year_min, filters.year_max
    if low is not None and high is not None and low > high:
        raise InputError(f"year_min {low!r} is after year_max {high!r}; swap them")


def is_bare(values: object) -> bool:
    """Whether a string stands where a tuple of strings belongs: its letters would be taken for values."""
    return isinstance(values, str)


def allow(snapshot: Snapshot, filters: Filters, excluded: NDArray[np.int64]) -> Allowed:
    """The rows that pass; `excluded` are the live rows of `filters.exclude`."""
    dropped = np.concatenate([snapshot.removed, excluded])
    mask = _mask(snapshot, filters)
    if mask is None:
        count = snapshot.count - len(dropped)
        if count > FEW:
            return Allowed(count, None, None, dropped)
        mask = np.ones(snapshot.count, dtype=np.bool_)
    mask[dropped] = False
    count = int(np.count_nonzero(mask))
    return Allowed(count, np.flatnonzero(mask) if count <= FEW else None, mask, dropped[:0])


def _mask(snapshot: Snapshot, filters: Filters) -> NDArray[np.bool_] | None:
    mask: NDArray[np.bool_] | None = None
    for name, values in filters.any_of.items():
        having = _having(snapshot, name, values)
        mask = having if mask is None else mask & having
    for name, values in filters.all_of.items():
        for value in values:
            having = _having(snapshot, name, (value,))
            mask = having if mask is None else mask & having
    for name, values in filters.none_of.items():
        lacking = ~_having(snapshot, name, values)
        mask = lacking if mask is None else mask & lacking
    if filters.year_min is not None or filters.year_max is not None:
        years = _in_years(snapshot, filters.year_min, filters.year_max)
        mask = years if mask is None else mask & years
    return mask


def _having(snapshot: Snapshot, name: str, values: tuple[str, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(snapshot.count, dtype=np.bool_)
    for value in values:
        for rows in snapshot.postings[name].rows_of(value, below=snapshot.count):
            mask[rows] = True
    return mask


def _in_years(snapshot: Snapshot, low: int | None, high: int | None) -> NDArray[np.bool_]:
    years = snapshot.table.years[: snapshot.count]
    mask: NDArray[np.bool_] = years != NO_YEAR
    if low is not None:
        mask &= years >= low
    if high is not None:
        mask &= years <= high
    return mask
