"""What a seeker knows of the item that it looks for: everything but its title and its id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from rarec.catalogue.evidence import lexicon
from rarec.catalogue.folding import folded_words, words_of
from rarec.catalogue.names import ALTERNATIVES
from rarec.prompt import one_line
from rarec.simulation.hidden import TitleWords
from rarec.types import Item

DECADE = "decade"
TEXT = "text"
"""Attributes that are made here: of the year, and of single words of an item's text."""

_VALUE_CHARS = 60
_LIKE_CHARS = 120
_TEXT_WORDS = 4
_ENOUGH = 4
"""Words of the text are looked at only for an item with fewer aspects than that."""
_SHORTEST = 4


@dataclass(frozen=True, slots=True)
class Aspect:
    """One thing that is true of the target, e.g. ("genres", "Drama") or ("decade", "1980s")."""

    attribute: str
    value: str

    def holds(self, item: Item) -> bool:
        """Whether it is true of an item."""
        if self.attribute == DECADE and item.year is not None and decade_of(item.year) == self.value:
            return True
        if self.attribute == TEXT and self.value.casefold() in item.text.casefold():
            return True
        return self.value.casefold() in {_plain(value).casefold() for value in item.attributes.get(self.attribute, ())}


@dataclass(frozen=True, slots=True)
class SeekerProfile:
    """What a seeker is given. It holds no title and no id of the target, nor a word that gives the title away.

    Attributes:
        aspects: the most common in the catalogue first; may be empty.
        since: first year of the target's decade; None when the year is not known.
        likes: titles of items that the seeker liked before.
    """

    aspects: tuple[Aspect, ...] = ()
    since: int | None = None
    likes: tuple[str, ...] = ()


class AspectCounts:
    """How many items of a catalogue share each aspect; an attribute named in `without` is never spoken of."""

    def __init__(self, items: Sequence[Item], *, without: Collection[str] = ()) -> None:
        self._without = frozenset(without) | frozenset(ALTERNATIVES)
        self._items = len(items)
        self._counts: Counter[tuple[str, str]] = Counter()
        for item in items:
            self._counts.update({_key(aspect) for aspect in self.aspects(item)})

    def aspects(self, item: Item) -> Iterator[Aspect]:
        """Every aspect of an item's year and attributes, in the order of the item."""
        if item.year is not None:
            yield Aspect(DECADE, decade_of(item.year))
        for attribute, values in item.attributes.items():
            if attribute not in self._without:
                yield from (Aspect(attribute, plain) for value in values if (plain := _plain(value)))

    def count(self, aspect: Aspect) -> int:
        """How many items share it; 0 for words of a text."""
        return self._counts[_key(aspect)]

    def is_common(self, aspect: Aspect) -> bool:
        """Whether more than half of the catalogue shares it, so that nobody would ask for it."""
        return self.count(aspect) > max(2, self._items / 2)


def profile_of(
    item: Item, counts: AspectCounts, *, hidden: TitleWords | None = None, likes: Sequence[Item] = ()
) -> SeekerProfile:
    """The profile of a target.

    A value or a liked title with a word of the target's title is left out, and so are values that hold its id or a
    web address; so is an attribute whose name does. An item without attributes, year and text gives an empty profile.

    Args:
        hidden: the item's `TitleWords`, if they are made already.
        likes: items that the seeker liked before.
    """
    hides = hidden or TitleWords(item)
    own = folded_words(item.id)
    known = {_key(a): a for a in counts.aspects(item) if not any(_tells(t, hides, own) for t in (a.attribute, a.value))}
    aspects = sorted(known.values(), key=lambda a: -counts.count(a))
    aspects = [a for a in aspects if not counts.is_common(a)] or aspects
    if len(aspects) < _ENOUGH and not hides.gives_away(TEXT):
        aspects += list(_text_aspects(item, hides, own))
    said = (one_line(like.title, limit=_LIKE_CHARS) for like in likes)
    since = item.year // 10 * 10 if any(a.attribute == DECADE for a in aspects) and item.year is not None else None
    return SeekerProfile(tuple(aspects), since, tuple(title for title in said if title and not hides.gives_away(title)))


def decade_of(year: int) -> str:
    """``1987`` -> ``"1980s"``."""
    return f"{year // 10 * 10}s"


def _text_aspects(item: Item, hides: TitleWords, own: Sequence[str]) -> Iterator[Aspect]:
    """The first words of the text that say something by themselves."""
    ordinary = lexicon().ordinary
    words = words_of(item.text)
    seen: set[str] = set()
    for folded, start, end in zip(words.folded, words.starts, words.ends, strict=True):
        word = item.text[start:end]
        if len(folded) < _SHORTEST or folded in ordinary or folded.isdecimal() or folded in seen:
            continue
        if _tells(word, hides, own):
            continue
        seen.add(folded)
        yield Aspect(TEXT, _plain(word))
        if len(seen) == _TEXT_WORDS:
            return


def _tells(text: str, hides: TitleWords, own: Sequence[str]) -> bool:
    return hides.gives_away(text) or _identifies(text, own)


def _identifies(value: str, own: Sequence[str]) -> bool:
    """Whether a value holds the item's id or a web address."""
    words = folded_words(value)
    held = bool(own) and any(words[i : i + len(own)] == list(own) for i in range(len(words)))
    return held or "://" in value or value.casefold().startswith("www.")


def _plain(value: str) -> str:
    return one_line(value, limit=_VALUE_CHARS)


def _key(aspect: Aspect) -> tuple[str, str]:
    return aspect.attribute, aspect.value.casefold()
