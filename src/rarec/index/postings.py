"""Which rows have which value of an attribute: sorted row lists, cheap to build in bulk and to append to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows grouped by value: those of `keys[i]` are `rows[offsets[i]:offsets[i + 1]]`, ascending."""

    keys: NDArray[np.int32]
    offsets: NDArray[np.int64]
    rows: Rows

    @classmethod
    def build(cls, keys: NDArray[np.int32], rows: Rows) -> Segment:
        """Group pairs (keys[i], rows[i]); the rows of one key must already ascend."""
        order = np.argsort(keys, kind="stable")
        ordered = keys[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=np.int32(-1)))
        return cls(ordered[starts], np.append(starts, len(keys)), rows[order])

    def pairs(self) -> NDArray[np.int32]:
        """The key of each entry of `rows`."""
        return np.repeat(self.keys, np.diff(self.offsets))

    def find(self, key: int) -> Rows:
        place = int(np.searchsorted(self.keys, key))
        if place == len(self.keys) or self.keys[place] != key:
            return self.rows[:0]
        return self.rows[self.offsets[place] : self.offsets[place + 1]]


class Postings:
    """The rows of every value of one attribute; values are compared without case.

    A value, not a container: adding rows gives a new one, and what a reader holds does not change. Segments of similar
    size are merged, so that there are never more than about log2(rows).
    """

    def __init__(self, keys: dict[str, int] | None = None, segments: tuple[Segment, ...] = ()) -> None:
        self._keys = {} if keys is None else keys  # only ever added to, so that versions may share it
        self._segments = segments

    def extended(self, values: Sequence[str], folded: Mapping[str, str], rows: Rows) -> Postings:
        """The same, and row `rows[i]` has the i-th value; rows ascend, above all earlier ones.

        `folded` gives each different value without case: there are far fewer of them than values.
        """
        keys = self._keys
        number = {value: keys.setdefault(name, len(keys)) for value, name in folded.items()}
        numbers = np.fromiter(map(number.__getitem__, values), dtype=np.int32, count=len(rows))
        return Postings(keys, _pushed(self._segments, Segment.build(numbers, rows)))

    def rows_of(self, value: str, *, below: int) -> list[Rows]:
        """The rows under `below` that have the value, as one array a segment."""
        key = self._keys.get(value.casefold())
        if key is None:
            return []
        found = (segment.find(key) for segment in self._segments)
        return [rows[: np.searchsorted(rows, below)] for rows in found]

    def renumbered(self, new_row: Rows) -> Postings:
        """The same with row r called `new_row[r]`, which ascends; -1 drops a row."""
        segments: tuple[Segment, ...] = ()
        for segment in self._segments:
            rows = new_row[segment.rows]
            kept = rows >= 0
            segments = _pushed(segments, Segment.build(segment.pairs()[kept], rows[kept]))
        return Postings(self._keys, segments)


def _pushed(old: tuple[Segment, ...], segment: Segment) -> tuple[Segment, ...]:
    if not len(segment.rows):
        return old
    segments = [*old, segment]
    while len(segments) > 1 and len(segments[-2].rows) <= 2 * len(segments[-1].rows):
        newer, older = segments.pop(), segments.pop()
        keys = np.concatenate([older.pairs(), newer.pairs()])
        segments.append(Segment.build(keys, np.concatenate([older.rows, newer.rows])))
    return tuple(segments)
