"""Where names occur in a text: every word sequence that is a name, looked up in one hash table."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rarec.catalogue.names import Kind, names_of
from rarec.types import Item, ItemId

_RESORT_AT = 1000  # past this many at once, sorting again is cheaper than inserting one by one

NOMINAL_ITEMS = 2000
"""The tenth best known of twenty items is no more of a household name than the thousandth of two thousand."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the linker keeps of an item."""

    id: ItemId
    year: int | None
    popularity: float
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Meaning:
    """An item that a name may stand for."""

    item: Known
    kind: Kind


class NameTable:
    """Name -> what it may mean. Readers need no lock: tuples are replaced, never changed."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._meanings: dict[str, tuple[Meaning, ...]] = {}
        self._items: dict[ItemId, Known] = {}
        self._lengths: dict[str, int] = {}  # first two words -> bit n set: some name of n words starts with them
        self._popularities: list[float] = []  # ascending
        self._lock = threading.Lock()
        self.add(items)

    def __len__(self) -> int:
        return len(self._items)

    def add(self, items: Iterable[Item]) -> None:
        """Add items, or replace those that are there."""
        with self._lock:
            new: list[float] = []
            gone: list[float] = []
            for item in items:
                gone += self._remove(item.id)
                names = names_of(item)
                known = Known(item.id, item.year, item.popularity, tuple(names))
                self._items[item.id] = known
                new.append(item.popularity)
                for name, kind in names.items():
                    self._publish(name, Meaning(known, kind))
            self._rank(new, gone)

    def remove(self, ids: Iterable[ItemId]) -> None:
        """Forget items; an id that is not there is none to forget."""
        with self._lock:
            gone = [popularity for item_id in ids for popularity in self._remove(item_id)]
            self._rank([], gone)

    def rank(self, item: Known) -> int:
        """How many items are more popular; in a small catalogue, stretched to the scale of a larger one."""
        place = len(self._popularities) - bisect_right(self._popularities, item.popularity)
        return place * max(NOMINAL_ITEMS, len(self._popularities)) // max(1, len(self._popularities))

    def meanings(self, name: str) -> tuple[Meaning, ...]:
        return self._meanings.get(name, ())

    def occurrences(self, words: list[str]) -> Iterator[tuple[int, int, str]]:
        """(first word, words, name) of every name in a text, from left to right, longer ones first."""
        meanings, lengths = self._meanings, self._lengths
        for first, word in enumerate(words):
            bits = lengths.get(f"{word} {words[first + 1]}", 0) if first + 1 < len(words) else 0
            while bits:
                count = bits.bit_length() - 1
                bits ^= 1 << count
                name = " ".join(words[first : first + count])
                if first + count <= len(words) and name in meanings:
                    yield first, count, name
            if word in meanings:
                yield first, 1, word

    def _publish(self, name: str, meaning: Meaning) -> None:
        self._meanings[name] = (*self._meanings.get(name, ()), meaning)
        words = name.split(" ")
        if len(words) > 1:
            start = f"{words[0]} {words[1]}"
            self._lengths[start] = self._lengths.get(start, 0) | 1 << len(words)

    def _remove(self, item_id: ItemId) -> list[float]:
        known = self._items.pop(item_id, None)
        if known is None:
            return []
        for name in known.names:
            left = tuple(m for m in self._meanings[name] if m.item is not known)
            if left:
                self._meanings[name] = left
            else:
                del self._meanings[name]
        return [known.popularity]

    def _rank(self, new: list[float], gone: list[float]) -> None:
        if len(new) + len(gone) > _RESORT_AT:
            self._popularities = sorted(known.popularity for known in self._items.values())
            return
        for popularity in new:
            insort(self._popularities, popularity)
        for popularity in gone:
            del self._popularities[bisect_left(self._popularities, popularity)]
