"""What would give an item's title away, and blanking it from texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rarec.catalogue.evidence import lexicon
from rarec.catalogue.folding import folded_words, words_of
from rarec.catalogue.names import ALTERNATIVES, names_of
from rarec.types import Item

BLANK = "…"
"""Stands where a word was taken out."""

_ARTICLES = frozenset(("the", "a", "an"))
_LONG = 4
"""From so many letters on, a longer word that begins with a title's word gives it away too."""
_GLUED = 6
"""From so many letters on, a word that holds a title anywhere gives it away too, such as a tag without spaces."""
_JOINERS = str.maketrans("", "", "\u200c\u200d")
_APOSTROPHES = str.maketrans(dict.fromkeys("'’‘`´", " "))
_BLANKS = re.compile(rf"{BLANK}(?:[\s,]*{BLANK})+")


@dataclass(frozen=True, slots=True)
class Blanked:
    """A text without the words that would give the title away, and how many words that were."""

    text: str
    words: int


class TitleWords:
    """The words of an item's title and of its other names, however they are inflected or joined.

    Function words ("the", "of", "it") count only in a name that has no others: "It" is hidden for an item of that
    name, "of" is not for "Salt of the Sea".
    """

    def __init__(self, item: Item) -> None:
        names = [name.split() for name in names_of(item)]
        for title in (item.title, *(t for a in ALTERNATIVES for t in item.attributes.get(a, ()))):
            names += [folded_words(title), folded_words(title.translate(_APOSTROPHES))]
        self._words = frozenset(word for name in names for word in _telling(name))
        self._stems = frozenset(map(_stem, self._words))
        self._joined = frozenset("".join(name) for name in names if len(name) > 1) | self._words
        self._longest = max(map(len, self._joined), default=0)
        self._glued = tuple(name for name in self._joined if len(name) >= _GLUED)
        self._long = tuple(word for word in self._words if len(word) >= _LONG)
        self._foreign = tuple(word for word in self._words if not word.isascii())
        self._literal = "" if folded_words(item.title) else item.title.strip().casefold()

    def gives_away(self, text: str) -> bool:
        """Whether `blank` would take anything out."""
        return self.blank(text).words > 0

    def blank(self, text: str) -> Blanked:
        """`text` with "…" for every word that gives the title away; neighbouring blanks become one.

        A title without letters and digits ("!!!") is taken out as it stands. Empty text stays empty.
        """
        text = text.translate(_JOINERS)
        spans = self._spans(text)
        parts: list[str] = []
        done = 0
        for start, end in spans:
            parts += [text[done:start], BLANK]
            done = end
        blanked = "".join([*parts, text[done:]])
        found = len(spans)
        if spans:
            blanked = _BLANKS.sub(BLANK, blanked)
        if self._literal and self._literal in blanked.casefold():
            blanked, found = self._without_literal(blanked), found + 1
        return Blanked(blanked, found)

    def _spans(self, text: str) -> list[tuple[int, int]]:
        words = words_of(text)
        spans = list(zip(words.starts, words.ends, strict=True))
        # Raised numbers stand apart in titles but not in texts, hence each word once more.
        parts = [folded_words(text[start:end]) for start, end in spans]
        hidden = {place for place, own in enumerate(parts) if any(map(self._hides, own))}
        for first in range(len(spans)):
            hidden.update(self._run(words.folded, first))
        return [spans[place] for place in sorted(hidden)]

    def _run(self, words: Sequence[str], first: int) -> range:
        """The places from `first` on that are a name when they are read as one word: "Iron man", "i-r-o-n-m-a-n"."""
        joined, found = "", first
        for place in range(first, len(words)):
            joined += words[place]
            if len(joined) > self._longest:
                break
            if joined in self._joined and place > first:
                found = place + 1
        return range(first, found)

    def _hides(self, word: str) -> bool:
        if word in self._joined or _stem(word) in self._stems:
            return True
        return any(map(word.startswith, self._long)) or any(own in word for own in (*self._glued, *self._foreign))

    def _without_literal(self, text: str) -> str:
        mark = "" if BLANK in self._literal or self._literal in BLANK else BLANK
        pattern = re.compile(re.escape(self._literal), re.IGNORECASE)
        while pattern.search(text):
            text = pattern.sub(mark, text)
        return text


def _telling(name: Sequence[str]) -> Iterable[str]:
    function = lexicon().function
    return [w for w in name if w not in function] or [w for w in name if w not in _ARTICLES] or name


def _stem(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") else word
