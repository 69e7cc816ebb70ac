"""Counting over millions of items in a few bytes each."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

QUANTILES = (0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0)
_MOST_KEYS = 1000
OTHER = "(others)"


class Lengths:
    """Lengths of texts, four bytes each."""

    def __init__(self) -> None:
        self._found = array("I")

    def add(self, length: int) -> None:
        """One more."""
        self._found.append(min(length, 0xFFFFFFFF))

    def quantiles(self) -> dict[float, float]:
        """Quantile -> length; empty if there are none."""
        values = self._values()
        return dict(zip(QUANTILES, map(float, np.quantile(values, QUANTILES)), strict=True)) if len(values) else {}

    def histogram(self) -> list[tuple[int, int, int]]:
        """(from, up to and without, how many), in bins that double: 1-1, 2-3, 4-7 ...; zero has one of its own."""
        values = self._values()
        bits = np.zeros(len(values), np.int64)
        positive = values > 0
        bits[positive] = np.floor(np.log2(values[positive])).astype(np.int64) + 1
        counts = np.bincount(bits) if len(values) else np.zeros(0, np.int64)
        return [(1 << (k - 1) if k else 0, 1 << k, int(count)) for k, count in enumerate(counts)]

    def _values(self) -> NDArray[np.uint32]:
        return np.frombuffer(self._found, dtype=np.uint32) if self._found else np.zeros(0, np.uint32)


@dataclass(frozen=True, slots=True)
class Repeated:
    """What comes more than once.

    Attributes:
        groups, items: different things that do, and how many items have them.
        chosen: hash -> how many items have it, for some groups.
    """

    groups: int
    items: int
    chosen: Mapping[int, int]


class Hashes:
    """Eight bytes an item; of three million, two different ones have an equal hash with a chance of 1 in 4 million."""

    def __init__(self) -> None:
        self._found = array("Q")

    def add(self, value: int) -> None:
        """One more."""
        self._found.append(value)

    def repeated(self, n: int, *, largest: bool, least: int = 2) -> Repeated:
        """What comes `least` times or more, with n groups chosen: the largest, or those that come first."""
        if not self._found:
            return Repeated(0, 0, {})
        values, first, counts = np.unique(
            np.frombuffer(self._found, dtype=np.uint64), return_index=True, return_counts=True
        )
        several = np.flatnonzero(counts >= least)
        order = np.lexsort((first[several], -counts[several] if largest else first[several]))
        chosen = several[order[:n]]
        return Repeated(len(several), int(counts[several].sum()), {int(values[at]): int(counts[at]) for at in chosen})


def hash_of(*parts: object) -> int:
    """Eight bytes of a hash, the same on every machine."""
    written = "\0".join(map(str, parts)).encode("utf-8", "replace")
    return int.from_bytes(hashlib.blake2b(written, digest_size=8).digest(), "little")


class Names:
    """Counts of names, of which there should be few; past a thousand different ones the rest is counted together."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def add(self, name: str) -> None:
        """One more."""
        known = name in self._counts or len(self._counts) < _MOST_KEYS
        self._counts[name if known else OTHER] += 1

    def counts(self) -> dict[str, int]:
        """Name -> how often, the most frequent first."""
        return dict(sorted(self._counts.items(), key=lambda pair: (-pair[1], pair[0])))


def quantile_of(counts: Mapping[int, int], share: float) -> int:
    """The smallest value that at least this share of the counted ones does not exceed; `counts` is not empty."""
    wanted, seen = share * sum(counts.values()), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= wanted:
            return value
    return max(counts)
