"""Which rows have which codes: sorted arrays, six bytes a pair instead of a hundred in dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """Pairs of code and row, by code and then by row.

    Attributes:
        codes: each once, ascending, uint32, shape (codes,).
        starts: where the rows of each begin, int64, shape (codes + 1,).
        rows: ascending within a code, uint32, shape (pairs,).
    """

    codes: NDArray[np.uint32]
    starts: NDArray[np.int64]
    rows: NDArray[np.uint32]

    @staticmethod
    def of(codes: NDArray[np.uint32], rows: NDArray[np.uint32]) -> Postings:
        """Of pairs in any order, no pair twice, shape (pairs,) both; none give none."""
        keys = (codes.astype(np.uint64) << np.uint64(32)) | rows
        keys.sort()
        sorted_codes = (keys >> np.uint64(32)).astype(np.uint32)
        first = np.flatnonzero(np.diff(sorted_codes, prepend=sorted_codes[:1] + np.uint32(1)))
        starts = np.append(first, len(keys)).astype(np.int64)
        return Postings(sorted_codes[first], starts, keys.astype(np.uint32))

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.rows)

    def find(self, codes: NDArray[np.uint32]) -> list[NDArray[np.uint32]]:
        """The rows of each of some codes, none for an unknown one."""
        if not len(self.codes):
            return [self.rows] * len(codes)
        places = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        known = self.codes[places] == codes
        return [
            self.rows[self.starts[place] : self.starts[place + 1]] if own else self.rows[:0]
            for place, own in zip(places.tolist(), known.tolist(), strict=True)
        ]


def merged(parts: Sequence[Postings], kept: NDArray[np.bool_]) -> Postings:
    """All pairs of some parts that have no row in common, without rows that are not `kept`, shape (rows,)."""
    codes = np.concatenate([np.repeat(part.codes, np.diff(part.starts)) for part in parts])
    rows = np.concatenate([part.rows for part in parts])
    alive = kept[rows]
    return Postings.of(codes[alive], rows[alive])
