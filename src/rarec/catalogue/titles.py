"""A written title -> the item that it names, for text that names items on purpose, such as a model's list.

The linker looks for titles within sentences and must judge whether a word is meant as one; here that is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rarec.catalogue.folding import folded_words
from rarec.catalogue.names import Kind, bare_name, names_of
from rarec.errors import InputError
from rarec.types import Item, ItemId

LinkKind = Literal["exact", "short", "close"]

MIN_LETTERS = 5
"""Titles with fewer letters and digits are never linked by edit distance."""

_MAX_CHARACTERS = 400
_UNKNOWN_YEAR = 2
_CODES = {char: code for code, char in enumerate("abcdefghijklmnopqrstuvwxyz0123456789 ")}
_SHORT = (Kind.HEAD, Kind.TAIL)


@dataclass(frozen=True, slots=True)
class TitleLink:
    """What a title was linked to.

    Attributes:
        kind: `exact` after normalisation; `short`, if one of the two titles is the part of the other before or behind
            a colon or dash, and the years agree; `close`, if a few letters differ.
        edits: how many letters differ; 0 unless `close`.
    """

    item: ItemId
    kind: LinkKind = "exact"
    edits: int = 0


@dataclass(frozen=True, slots=True)
class _Meaning:
    place: int
    kind: Kind


class TitleIndex:
    """Finds the item of a catalogue that a title, perhaps with a year, names.

    Titles are compared without case, accents and punctuation, with "Title, The" as "The Title" and roman numerals as
    digits; a leading article may be missing. Where both sides have a year they must agree within one. Of several items
    the one with the nearer year wins, then the more popular, then the first.

    Args:
        items: the catalogue; may be empty.
        max_edits: how many letters of a title of five or more may differ if nothing else fits; titles that differ in
            a digit are different titles. Off unless asked for: language models spell well, and a title two letters
            away is mostly another one ("The King" for "The Ring").
    Raises:
        InputError: `max_edits` is negative.
    """

    def __init__(self, items: Iterable[Item], *, max_edits: int = 0) -> None:
        if max_edits < 0:
            raise InputError(f"max_edits must be at least 0, got {max_edits!r}")
        self._items: Sequence[Item] = tuple(items)
        self._max_edits = max_edits
        self._meanings: dict[str, list[_Meaning]] = {}
        self._keys: list[str] = []
        for place, item in enumerate(self._items):
            names = _names(item)
            self._keys.append(next((name for name, kind in names.items() if kind == Kind.FULL), ""))
            for name, kind in names.items():
                self._meanings.setdefault(name, []).append(_Meaning(place, kind))

    def __len__(self) -> int:
        """How many items it knows."""
        return len(self._items)

    def link(self, title: str, year: int | None = None) -> TitleLink | None:
        """The item that a title names, or None. Only the first 400 characters are read; blank text names nothing.

        >>> index = TitleIndex([Item(ItemId("1"), "Grey Harbour, The", year=1990)])
        >>> index.link("the grey harbour", 1991)
        TitleLink(item='1', kind='exact', edits=0)
        >>> index.link("The Grey Harbour", 2005) is None
        True
        """
        versions = tuple(_versions(title[:_MAX_CHARACTERS]))
        for find in (self._exact, self._short, self._close):
            for version in versions:
                if link := find(version, year):
                    return link
        return None

    def _exact(self, title: str, year: int | None) -> TitleLink | None:
        names = {name: kind for name, kind in _title_names(title).items() if kind <= Kind.SPELLED}
        found = [
            (max(kind, meaning.kind), meaning.place)
            for name, kind in names.items()
            for meaning in self._meanings.get(name, ())
            if meaning.kind not in _SHORT
        ]
        place = self._best(found, year)
        return None if place is None else TitleLink(self._items[place].id)

    def _short(self, title: str, year: int | None) -> TitleLink | None:
        if year is None:  # "Part of a series" is not the series: only the year can tell
            return None
        found = [
            (max(kind, meaning.kind), meaning.place)
            for name, kind in _title_names(title).items()
            for meaning in self._meanings.get(name, ())
            if (kind in _SHORT) != (meaning.kind in _SHORT) and self._items[meaning.place].year is not None
        ]
        place = self._best(found, year)
        return None if place is None else TitleLink(self._items[place].id, "short")

    def _close(self, title: str, year: int | None) -> TitleLink | None:
        key = _full_name(title)
        if not self._max_edits or _letters(key) < MIN_LETTERS or not self._items:
            return None
        differing = np.abs(self._counts - _histogram(key)).sum(axis=1)
        found: list[tuple[int, int]] = []
        for place in np.flatnonzero(differing <= 2 * self._max_edits).tolist():
            other = self._keys[place]
            if _letters(other) >= MIN_LETTERS and _digits(other) == _digits(key):
                edits = _edits(key, other, limit=self._max_edits)
                if edits is not None:
                    found.append((edits, place))
        best = self._best(found, year)
        if best is None:
            return None
        return TitleLink(self._items[best].id, "close", next(edits for edits, place in found if place == best))

    def _best(self, found: Iterable[tuple[int, int]], year: int | None) -> int | None:
        """The place of the best of (distance, place), or None if no year agrees."""
        ranked: list[tuple[int, int, float, int]] = []
        for distance, place in found:
            item = self._items[place]
            gap = _UNKNOWN_YEAR if year is None or item.year is None else abs(item.year - year)
            if gap <= 1 or year is None or item.year is None:
                ranked.append((distance, gap, -item.popularity, place))
        return min(ranked)[3] if ranked else None

    @cached_property
    def _counts(self) -> NDArray[np.int16]:
        """How often each title has each character: two titles k edits apart differ in at most 2 k of these counts."""
        return np.stack([_histogram(key) for key in self._keys])


def normal_title(title: str) -> str:
    """A title as it is compared, without its leading article: equal for titles that are linked as `exact`.

    >>> normal_title("Amélie's Garden, The")
    'amelies garden'
    """
    return bare_name(title) or _full_name(title)


def _names(item: Item) -> dict[str, Kind]:
    """Every name of an item; titles without a letter, and very long ones, stand for themselves."""
    names = names_of(item)
    if Kind.FULL not in names.values() and (own := _as_written(item.title)):
        names[own] = Kind.FULL
    return names


def _title_names(title: str) -> dict[str, Kind]:
    return _names(Item(ItemId("?"), title))


def _full_name(title: str) -> str:
    return next((name for name, kind in _title_names(title).items() if kind == Kind.FULL), "")


def _as_written(title: str) -> str:
    return " ".join(folded_words(title)) or " ".join(title.casefold().split())


def _versions(title: str) -> Iterator[str]:
    yield title
    stripped = title.rstrip()
    if stripped.endswith(")") and (start := stripped.rfind("(")) > 0:
        yield stripped[:start]


def _letters(key: str) -> int:
    return sum(map(str.isalnum, key))


def _digits(key: str) -> list[str]:
    return [word for word in key.split(" ") if any(map(str.isdecimal, word))]


def _histogram(key: str) -> NDArray[np.int16]:
    counts = np.zeros(len(_CODES) + 1, np.int16)
    for char in key[:_MAX_CHARACTERS]:
        counts[_CODES.get(char, len(_CODES))] += 1
    return counts


def _edits(one: str, other: str, *, limit: int) -> int | None:
    """Levenshtein distance, or None if it is more than `limit`."""
    if abs(len(one) - len(other)) > limit:
        return None
    before = list(range(len(other) + 1))
    for row, char in enumerate(one, start=1):
        now = [row]
        for column, letter in enumerate(other, start=1):
            now.append(min(before[column] + 1, now[-1] + 1, before[column - 1] + (char != letter)))
        if min(now) > limit:
            return None
        before = now
    return before[-1] if before[-1] <= limit else None
