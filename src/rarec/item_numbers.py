"""Whole numbers that stand for item ids, so that arrays can say which items are meant."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from rarec.types import ItemId

Numbers = NDArray[np.int64]


class ItemNumbers:
    """Gives every id a number, 0 to the first. One that is forgotten and comes again gets another number.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._numbers: dict[ItemId, int] = {}
        self._ids: list[ItemId] = []
        self._giving = threading.Lock()

    def __len__(self) -> int:
        """How many numbers were given; all are below."""
        return len(self._ids)

    def give(self, ids: Collection[ItemId]) -> Numbers:
        """Their numbers, shape (ids,); those that have none get one."""
        with self._giving:
            for id in ids:
                if id not in self._numbers:
                    self._ids.append(id)
                    self._numbers[id] = len(self._ids) - 1
            return self.find(ids)

    def find(self, ids: Collection[ItemId]) -> Numbers:
        """Their numbers, -1 for an unknown id, shape (ids,)."""
        return np.fromiter(map(self._numbers.get, ids, repeat(-1)), dtype=np.int64, count=len(ids))

    def number(self, id: object) -> int:
        """Of one id, -1 if it is unknown."""
        return self._numbers.get(id, -1)  # type: ignore[call-overload, no-any-return]

    def id(self, number: int) -> ItemId:
        """Of a number that was given; empty if it was forgotten since."""
        return self._ids[number]

    def forget(self, ids: Iterable[ItemId]) -> None:
        """Free what is kept for ids; unknown ones are ignored."""
        with self._giving:
            for id in ids:
                if (number := self._numbers.pop(id, None)) is not None:
                    self._ids[number] = ItemId("")


class RowOfNumber:
    """Which row of a table an item has, by its number. One thread may change it at a time."""

    def __init__(self) -> None:
        self._rows = np.full(1, -1, dtype=np.int32)  # the last is never an item's, and -1 points to it too

    def get(self, numbers: NDArray[np.signedinteger]) -> NDArray[np.int64]:
        """The rows, -1 where there is none, shape (numbers,); a number may be any."""
        rows = self._rows  # once: a writer may replace it
        found: NDArray[np.int64] = rows[np.minimum(numbers, len(rows) - 1)].astype(np.int64)
        return found

    def __getitem__(self, number: int) -> int:
        """The row of one, -1 if there is none."""
        rows = self._rows
        return int(rows[min(number, len(rows) - 1)])

    def put(self, numbers: NDArray[np.signedinteger], rows: NDArray[np.integer] | int) -> None:
        """Set the rows of some items; of a number that comes twice the last counts. -1 takes an item out."""
        most = int(numbers.max(initial=-1)) + 1
        if most >= len(self._rows):
            grown = np.full(max(most + 1, 2 * len(self._rows)), -1, dtype=np.int32)
            grown[: len(self._rows)] = self._rows
            self._rows = grown
        self._rows[numbers] = rows

    def all(self) -> NDArray[np.int32]:
        """The rows of the numbers from 0 on, -1 for none; a view."""
        return self._rows[:-1]


@dataclass(frozen=True, eq=False)
class Bonuses(Mapping[ItemId, float]):
    """What is added to the scores of some items.

    A mapping from ids, too: of the items that are not forgotten by the time it is first read so.

    Attributes:
        of: gives the numbers.
        numbers: of the items, ascending, shape (k,).
        added: what each gets, at least 0, shape (k,).
    """

    of: ItemNumbers
    numbers: Numbers
    added: NDArray[np.float64]

    @staticmethod
    def total(of: ItemNumbers, parts: Iterable[Bonuses]) -> Bonuses:
        """The sum of several."""
        known = list(parts)
        flat = np.concatenate([np.empty(0, dtype=np.int64), *(part.numbers for part in known)])
        found, place = np.unique(flat, return_inverse=True)
        sums = np.bincount(place, np.concatenate([np.empty(0), *(part.added for part in known)]), len(found))
        return Bonuses(of, found, sums.astype(np.float64))

    @cached_property
    def _by_id(self) -> dict[ItemId, float]:
        pairs = zip(self.numbers.tolist(), self.added.tolist(), strict=True)
        return {id: value for number, value in pairs if (id := self.of.id(number))}

    def __getitem__(self, id: ItemId) -> float:
        return self._by_id[id]

    def __iter__(self) -> Iterator[ItemId]:
        return iter(self._by_id)

    def __len__(self) -> int:
        return len(self._by_id)

    def __repr__(self) -> str:
        return f"Bonuses({self._by_id!r})"
