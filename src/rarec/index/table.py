"""The rows of the exact index: arrays that grow, and snapshots of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rarec.index.postings import Postings
from rarec.index.quantise import Floats, norms, quantise
from rarec.types import ItemId

NO_YEAR = np.iinfo(np.int64).min
BLOCK = 4096
COLUMNS = ("vectors", "codes", "floats", "scale", "residual", "coded_norm", "norm", "order", "years")


class Table:
    """Columns with room for `capacity` rows. Rows below a snapshot's count are never written again.

    The last `float_columns` of a vector (a popularity or bias term of any size) stay fp32 in the scan: one large
    value in a row would otherwise cost all others their precision.
    """

    def __init__(self, dimension: int, float_columns: int, capacity: int) -> None:
        self.float_columns = float_columns
        self.capacity = capacity
        self.vectors: Floats = np.empty((capacity, dimension), dtype=np.float32)
        self.codes = np.empty((capacity, dimension - float_columns), dtype=np.int8)
        self.floats: Floats = np.empty((capacity, float_columns), dtype=np.float32, order="F")
        self.scale: Floats = np.empty(capacity, dtype=np.float32)
        self.residual: Floats = np.empty(capacity, dtype=np.float32)
        self.coded_norm: Floats = np.empty(capacity, dtype=np.float32)
        self.norm: Floats = np.empty(capacity, dtype=np.float32)
        self.order = np.empty(capacity, dtype=np.int64)
        self.years = np.empty(capacity, dtype=np.int64)

    @property
    def dimension(self) -> int:
        return int(self.vectors.shape[1])

    def write(self, start: int, vectors: Floats, order: NDArray[np.int64], years: NDArray[np.int64]) -> None:
        """Fill rows from `start` on; block by block, to bound what is allocated on the way."""
        stop = start + len(vectors)
        self.vectors[start:stop] = vectors
        self.order[start:stop] = order
        self.years[start:stop] = years
        self.floats[start:stop] = vectors[:, self.codes.shape[1] :]
        for a in range(start, stop, BLOCK):
            b = min(a + BLOCK, stop)
            block = self.vectors[a:b]
            coded = quantise(block[:, : self.codes.shape[1]])
            self.codes[a:b] = coded.codes
            self.scale[a:b] = coded.scale
            self.coded_norm[a:b] = coded.norm
            self.norm[a:b] = norms(block)
            # The fp32 columns round too; their share is in the row's residual.
            self.residual[a:b] = coded.residual + np.float32(4e-6) * self.norm[a:b]

    def resized(self, rows: NDArray[np.int64] | slice, count: int, capacity: int) -> Table:
        """A copy of the given `count` rows, with room for more."""
        copy = Table(self.dimension, self.float_columns, capacity)
        for name in COLUMNS:
            getattr(copy, name)[:count] = getattr(self, name)[rows]
        return copy


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one search sees.

    Attributes:
        count: rows in use, removed ones included.
        ids: at least `count` of them, by row.
        removed: rows that are no longer there, ascending.
        postings: attribute -> its lists; names stay known when their last item goes.
    """

    table: Table
    count: int
    ids: list[ItemId]
    removed: NDArray[np.int64]
    postings: Mapping[str, Postings]
