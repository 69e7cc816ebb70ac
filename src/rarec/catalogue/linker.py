"""The linker: which items a message speaks of, and where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rarec.catalogue.evidence import Occurrence, has_case, lexicon, score, year_behind
from rarec.catalogue.folding import words_of
from rarec.catalogue.link_memory import LinkMemory
from rarec.catalogue.matching import Meaning, NameTable
from rarec.catalogue.names import Kind
from rarec.types import Item, ItemId, Mention

MAX_CHARACTERS = 250_000
"""What lies behind these in one text is not searched: forty thousand words are no message."""

REMEMBERED = 100_000
"""Recent texts and mentions that are kept, at most about 25 MB."""

# How many times more popular an item must be to win over one that has the name in a more trusted way.
_HANDICAP = {Kind.FULL: 1.0, Kind.BARE: 1.5, Kind.SPELLED: 1.5, Kind.OTHER: 2.0, Kind.HEAD: 4.0, Kind.TAIL: 4.0}


class Found(NamedTuple):
    """An occurrence, the item it would mean, and the characters it covers."""

    seen: Occurrence
    meaning: Meaning
    span: tuple[int, int]


class Linker:
    """Finds the items that a message mentions.

    Names are compared without case, accents and apostrophes: titles with and without year and article, other
    titles from the attributes ``original_title`` and ``aka``, and the parts before and behind a colon or dash.
    The longest name wins; among items of one name the year behind it decides, else popularity. Whether a name
    made of ordinary words is meant as one is judged from its context by weights that were fitted on
    annotated dialogues; docs/linker.md has the figures.

    Items may be added and removed while other threads link. Takes about 40 microseconds and 0.5 kB an item
    to build, and about a millisecond for a message of a hundred words; what was found in recent texts is
    remembered until the items change.

    Args:
        items: to begin with.
        remembered: how many texts and mentions are kept, >= 0; see `LinkMemory`.
    """

    def __init__(self, items: Iterable[Item] = (), *, remembered: int = REMEMBERED) -> None:
        self._table = NameTable(items)
        self._memory = LinkMemory(remembered)
        self._lexicon = lexicon()

    def __len__(self) -> int:
        """How many items it knows."""
        return len(self._table)

    def add(self, items: Iterable[Item]) -> None:
        """Know these items too; one whose id is known is replaced."""
        try:
            self._table.add(items)
        finally:  # after the change: what is found in the middle of it is not kept either
            self._memory.forget()

    def remove(self, ids: Iterable[ItemId]) -> None:
        """Forget these items; an unknown id is ignored."""
        try:
            self._table.remove(ids)
        finally:
            self._memory.forget()

    def link(self, text: str) -> tuple[Mention, ...]:
        """The mentions in a text, from left to right, without overlaps; an item may occur twice.

        The span covers the name and the year behind it if it was used. Sentiment stays "mentioned". Text
        without names gives nothing. Time grows linearly with the text, up to its first 250,000 characters; the
        rest is not searched.
        """
        text = text[:MAX_CHARACTERS]
        generation, known = self._memory.generation, self._memory.get(text)
        if known is not None:
            return known
        sure = [found for found in self.candidates(text) if score(found.seen, self._lexicon) > 0]
        mentions = tuple(Mention(f.meaning.item.id, span=f.span) for f in _without_overlaps(sure))
        self._memory.put(text, mentions, generation)
        return mentions

    def candidates(self, text: str) -> Iterator[Found]:
        """Every place where some name stands, with the item that it would mean, before anything is judged."""
        words = words_of(text)
        cased = has_case(text, words)
        resolved: dict[tuple[str, int | None], tuple[Meaning, str, int, int]] = {}
        for first, count, name in self._table.occurrences(words.folded):
            end = words.ends[first + count - 1]
            year, year_end = year_behind(text, end) or (None, end)
            if (name, year) not in resolved:  # some names have hundreds of meanings
                meanings = self._table.meanings(name)
                if not meanings:
                    continue  # removed by another thread just now
                meaning, fit = self._resolve(meanings, year)
                titled = max(1, sum(m.kind <= Kind.OTHER for m in meanings))
                resolved[name, year] = meaning, fit, self._table.rank(meaning.item), titled
            meaning, fit, rank, rivals = resolved[name, year]
            seen = Occurrence(text, words, cased, first, count, name, meaning.kind, rank, rivals, fit)
            span = (words.starts[first], year_end if fit in ("exact", "near") else end)
            yield Found(seen, meaning, span)

    def _resolve(self, meanings: Sequence[Meaning], year: int | None) -> tuple[Meaning, str]:
        if year is None:
            return self._likeliest(meanings), ""
        for fit, slack in (("exact", 0), ("near", 1)):
            of_year = [m for m in meanings if m.item.year is not None and abs(m.item.year - year) <= slack]
            if of_year:
                return self._likeliest(of_year), fit
        return self._likeliest(meanings), "wrong"

    def _likeliest(self, meanings: Sequence[Meaning]) -> Meaning:
        if len(meanings) == 1:
            return meanings[0]
        return min(meanings, key=lambda m: ((self._table.rank(m.item) + 3) * _HANDICAP[m.kind], m.kind))


def _without_overlaps(found: Sequence[Found]) -> list[Found]:
    """The longest first, then from the left; what touches a taken character is dropped."""
    taken: set[int] = set()
    chosen: list[Found] = []
    for candidate in sorted(found, key=lambda f: (-f.seen.size, f.span)):
        covered = range(*candidate.span)
        if taken.isdisjoint(covered):
            taken.update(covered)
            chosen.append(candidate)
    return sorted(chosen, key=lambda f: f.span)
