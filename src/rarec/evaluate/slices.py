"""Slices of the rows: bands of what is recommended, and of the conversation before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rarec.evaluate.gold import GoldExample, GoldItem

Mask = NDArray[np.bool_]
Bands = Mapping[str, Mask]

_POPULARITY = ((0, 0), (1, 4), (5, 19), (20, 99), (100, None))
_TURNS = ((0, 2), (3, 5), (6, 9), (10, None))
_MENTIONS = ((0, 0), (1, 1), (2, 3), (4, None))
_FIRST_DECADE = 1980


def target_slices(targets: Sequence[GoldItem]) -> dict[str, Bands]:
    """Slices by the target of each row: popularity in training, year, and whether training knows it at all.

    Years fall into decades, those before 1980 into one band, and items without a year into "unknown"; bands that
    no row falls into are left out of the years only, whose range depends on the catalogue.
    """
    popularity = np.array([item.popularity for item in targets], np.int64)
    years = [_decade(item.year) for item in targets]
    named = sorted(set(years), key=lambda band: (band == _UNKNOWN, band != _EARLY, band))
    return {
        "popularity": _ranges(popularity, _POPULARITY),
        "year": {band: np.array([year == band for year in years], np.bool_) for band in named},
        "cold": {"cold": popularity == 0, "warm": popularity > 0},
    }


def context_slices(examples: Sequence[GoldExample]) -> dict[str, Bands]:
    """Slices by the conversation before each row: messages so far, and items mentioned so far."""
    return {
        "turn": _ranges(_numbers(examples, lambda example: example.turns), _TURNS),
        "mentions": _ranges(_numbers(examples, lambda example: len(example.seen)), _MENTIONS),
    }


_UNKNOWN = "unknown"
_EARLY = f"before {_FIRST_DECADE}"


def _decade(year: int | None) -> str:
    if year is None:
        return _UNKNOWN
    return _EARLY if year < _FIRST_DECADE else f"{year // 10 * 10}s"


def _numbers(examples: Sequence[GoldExample], number: Callable[[GoldExample], int]) -> NDArray[np.int64]:
    return np.array([number(example) for example in examples], np.int64)


def _ranges(values: NDArray[np.int64], ranges: Sequence[tuple[int, int | None]]) -> Bands:
    bands: dict[str, Mask] = {}
    for low, high in ranges:
        name = f"{low}+" if high is None else str(low) if low == high else f"{low}-{high}"
        bands[name] = (values >= low) & ((values <= high) if high is not None else True)
    return bands
