"""Which items of a catalogue have which codes, as sorted arrays: a few bytes a pair, not a hundred in dictionaries.

A code is 38 bits of a text: one text in 270,000 shares its code with one of a million others.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from rarec.item_numbers import Bonuses, ItemNumbers, Numbers, RowOfNumber
from rarec.types import ItemId

MOST_WEIGHT, MOST_GAIN = 1e3, 1e6
"""Of any kind of association: with more, sums of them are no numbers any more."""

_FEW = 10  # items that may always have a text in common, however small the catalogue
_FEW_GONE = 1000  # rows of nobody that are not worth the work
_ROW_BITS = 26  # of a pair of code and row that is sorted as one number
_SHIFT, _ROW = np.uint64(_ROW_BITS), np.uint64((1 << _ROW_BITS) - 1)


class ValuesConfig(BaseModel):
    """How texts in common become scores.

    Attributes:
        weight: of the whole, at most 1,000; 0 turns it off.
        gain: how soon the logarithm bends, at most a million.
        share: of the catalogue, that may have a text that counts (ten items always may); what most have tells nothing.
        most: items that may have it, whatever the catalogue's size.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weight: float = Field(default=1.0, ge=0, le=MOST_WEIGHT)
    gain: float = Field(default=6.0, gt=0, le=MOST_GAIN)
    share: float = Field(default=0.02, gt=0, le=1)
    most: int = Field(default=300, gt=0)

    def most_of(self, size: int) -> float:
        """How many of so many items may have a text that counts."""
        return min(self.most, max(_FEW, self.share * size))


def code_of(text: str) -> int:
    """Of a text, from 1 to 2**38 - 1; 0 for none."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> _ROW_BITS or 1) if text else 0


def _gathered(starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places of all spans, one span after the other."""
    before = np.cumsum(sizes) - sizes
    places: NDArray[np.int64] = np.repeat(starts - before, sizes) + np.arange(int(sizes.sum()))
    return places


@dataclass(frozen=True, slots=True, eq=False)
class Postings:
    """Pairs of code and row, by code and then by row.

    Attributes:
        codes: each once, ascending, uint64, shape (codes,).
        starts: where the rows of each begin, int64, shape (codes + 1,).
        rows: ascending within a code, uint32, shape (pairs,).
    """

    codes: NDArray[np.uint64]
    starts: NDArray[np.int64]
    rows: NDArray[np.uint32]

    @staticmethod
    def of(codes: NDArray[np.uint64], rows: NDArray[np.uint32]) -> Postings:
        """Of pairs in any order, no pair twice, shape (pairs,) both; none give none.

        Raises:
            ValueError: a row is 2**26 or more.
        """
        if len(rows) and rows.max() >> _ROW_BITS:
            raise ValueError(f"row {rows.max()}: at most {1 << _ROW_BITS} fit")
        keys = (codes << _SHIFT) | rows
        keys.sort()
        sorted_codes = keys >> _SHIFT
        first = np.flatnonzero(np.diff(sorted_codes, prepend=sorted_codes[:1] + np.uint64(1)))
        starts = np.append(first, len(keys)).astype(np.int64)
        return Postings(sorted_codes[first], starts, (keys & _ROW).astype(np.uint32))

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.rows)

    def find(self, codes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where in `rows` those of some codes begin, and how many they are, none for an unknown one; (codes,) both."""
        if not len(self.codes):
            return np.zeros(len(codes), dtype=np.int64), np.zeros(len(codes), dtype=np.int64)
        places = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        starts = self.starts[places]
        return starts, np.where(self.codes[places] == codes, self.starts[places + 1] - starts, 0)


def merged(parts: Sequence[Postings], kept: NDArray[np.bool_]) -> Postings:
    """All pairs of some parts that have no row in common, without rows that are not `kept`, shape (rows,)."""
    codes = np.concatenate([np.repeat(part.codes, np.diff(part.starts)) for part in parts])
    rows = np.concatenate([part.rows for part in parts])
    alive = kept[rows]
    return Postings.of(codes[alive], rows[alive])


@dataclass(frozen=True, slots=True, eq=False)
class Rare:
    """Codes that count, with the items that have them.

    Attributes:
        codes: each once, ascending, uint64, shape (codes,).
        starts: where the items of each begin, int64, shape (codes,).
        sizes: how many they are, above 0, int64, shape (codes,).
        numbers: of the items.
        rarity: log(N / m) / log N if m of N items have it, above 0, float64, shape (codes,).
    """

    codes: NDArray[np.uint64]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    numbers: Numbers
    rarity: NDArray[np.float64]

    def __len__(self) -> int:
        """How many codes count."""
        return len(self.codes)

    def items_of(self, place: int) -> Numbers:
        """The items of one code."""
        return self.numbers[self.starts[place] : self.starts[place] + self.sizes[place]]


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """An index as it was at one moment: all that a look-up reads, so that a writer may publish another one meanwhile.

    Attributes:
        of: gives the numbers.
        parts: postings of rows; no two have a row in common, and each has more than twice the pairs of the next.
        numbers: of the items of the rows, shape (rows,).
        alive: whether a row still is its item's, shape (rows,).
        size: how many are.
    """

    of: ItemNumbers
    parts: tuple[Postings, ...] = ()
    numbers: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    alive: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=np.bool_))
    size: int = 0

    def rare(self, codes: Iterable[int], config: ValuesConfig) -> Rare:
        """Those of some codes that count; 0 is none."""
        wanted = np.array(sorted(set(codes) - {0}), dtype=np.uint64)
        found = [part.find(wanted) for part in self.parts]
        sizes = np.sum([sizes for _, sizes in found], axis=0, dtype=np.int64) if found else np.zeros(len(wanted))
        most, gone = config.most_of(self.size), len(self.alive) - self.size
        likely = np.flatnonzero((sizes > 0) & (sizes <= most + gone)) if config.weight else np.empty(0, dtype=np.int64)
        flat, place = [], []
        for part, (starts, sizes) in zip(self.parts, found, strict=True):
            flat.append(part.rows[_gathered(starts[likely], sizes[likely])])
            place.append(np.repeat(np.arange(len(likely)), sizes[likely]))
        rows = np.concatenate(flat) if flat else np.empty(0, dtype=np.uint32)
        of = np.concatenate(place) if place else np.empty(0, dtype=np.int64)
        if gone:
            of, rows = of[self.alive[rows]], rows[self.alive[rows]]
        if len(flat) > 1:
            order = np.argsort(of, kind="stable")
            of, rows = of[order], rows[order]
        sizes = np.bincount(of, minlength=len(likely))
        counting = (sizes > 0) & (sizes <= most) & (sizes < self.size)
        starts, sizes = (np.cumsum(sizes) - sizes)[counting], sizes[counting]
        rarity = np.log(self.size / sizes) / np.log(max(self.size, 2))
        return Rare(wanted[likely][counting], starts, sizes, self.numbers[rows].astype(np.int64), rarity)

    def gains(
        self,
        rare: Rare,
        config: ValuesConfig,
        power: int,
        *,
        places: NDArray[np.int64] | None = None,
        without: Numbers | None = None,
    ) -> Bonuses:
        """``weight * log(1 + gain * sum of rarity ** power)`` of the items of some codes.

        Args:
            places: of the codes, which may come several times; all once by default.
            without: for each of these the item of which it does not speak, -1 for none.
        """
        if places is None:
            places = np.arange(len(rare))
        sizes = rare.sizes[places]
        flat = rare.numbers[_gathered(rare.starts[places], sizes)]
        given = np.repeat(rare.rarity[places] ** power, sizes)
        if without is not None:
            kept = flat != np.repeat(without, sizes)
            flat, given = flat[kept], given[kept]
        found, place = np.unique(flat, return_inverse=True)
        sums = np.bincount(place, given, len(found))
        return Bonuses(self.of, found, config.weight * np.log1p(config.gain * sums))


class InvertedIndex:
    """Which items have which codes; items come and go. One thread may change it while others look codes up."""

    def __init__(self, numbers: ItemNumbers) -> None:
        self._now = Snapshot(numbers)
        self._rows = RowOfNumber()
        self._marks = array("q")  # of each row

    def __len__(self) -> int:
        """How many items there are."""
        return self._now.size

    @property
    def now(self) -> Snapshot:
        """As it is at this moment."""
        return self._now

    def has(self, ids: Collection[ItemId], marks: Sequence[int]) -> NDArray[np.bool_]:
        """Which items are there and were put with these marks, shape (ids,)."""
        rows = self._rows.get(self._now.of.find(ids))
        known = rows >= 0
        known[known] = np.frombuffer(self._marks, dtype=np.int64)[rows[known]] == np.array(marks, dtype=np.int64)[known]
        return known

    def put(
        self, ids: Collection[ItemId], marks: Sequence[int], codes: NDArray[np.uint64], sizes: Sequence[int]
    ) -> None:
        """Add or replace items. Many at once are quicker than one by one.

        Args:
            ids, marks: of the items, each once, and a number each of 64 bits with sign that tells whether one has
                changed.
            codes: of all of them one after the other, none twice for one item.
            sizes: how many each has.
        Raises:
            ValueError: there would be 2**26 rows or more; nothing has changed.
        """
        if not ids:
            return
        now = self._now
        rows = np.arange(len(now.numbers), len(now.numbers) + len(ids), dtype=np.uint32)
        new = Postings.of(codes, np.repeat(rows, sizes))
        numbers = now.of.give(ids)
        gone = self._rows.get(numbers)
        self._rows.put(numbers, rows)
        self._marks.extend(marks)
        alive = np.concatenate([now.alive, np.ones(len(ids), dtype=np.bool_)])
        alive[gone[gone >= 0]] = False
        parts = [*now.parts, new]
        while len(parts) > 1 and len(parts[-2]) <= 2 * len(parts[-1]):  # so none is empty but the last
            parts[-2:] = [merged(parts[-2:], alive)]
        size = now.size + int(np.count_nonzero(gone < 0))
        self._publish(Snapshot(now.of, tuple(parts), np.append(now.numbers, numbers.astype(np.int32)), alive, size))

    def remove(self, ids: Collection[ItemId]) -> None:
        """Remove items; unknown ids are ignored."""
        if not ids:
            return
        now, numbers = self._now, np.unique(self._now.of.find(ids))
        numbers = numbers[self._rows.get(numbers) >= 0]
        if len(numbers):
            alive = now.alive.copy()
            alive[self._rows.get(numbers)] = False
            self._rows.put(numbers, -1)
            self._publish(replace(now, alive=alive, size=now.size - len(numbers)))

    def _publish(self, new: Snapshot) -> None:
        """Take over, without the rows of nobody once they are as many as the others."""
        if len(new.alive) - new.size > max(_FEW_GONE, new.size):
            kept = np.flatnonzero(new.alive)
            place = np.zeros(len(new.alive), dtype=np.uint32)
            place[kept] = np.arange(len(kept), dtype=np.uint32)
            whole, numbers = merged(new.parts, new.alive), new.numbers[kept]
            self._marks = array("q", [self._marks[row] for row in kept.tolist()])
            self._rows.put(numbers, place[kept])
            part = Postings(whole.codes, whole.starts, place[whole.rows])
            new = Snapshot(new.of, (part,), numbers, np.ones(len(kept), dtype=np.bool_), len(kept))
        self._now = new
