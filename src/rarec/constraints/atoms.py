"""A text -> its atoms in order: cues, values of the vocabulary, years, numbers, breaks, and words that say nothing."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rarec.catalogue.folding import Words, words_of
from rarec.constraints.lexicon import MOST_WORDS, lexicon, singular
from rarec.constraints.vocabulary import Meaning, Sort, Vocabulary
from rarec.constraints.years import Years, years_at

MAX_CHARACTERS = 20_000
"""What lies behind these in one text is not read: four thousand words are no wish."""

_DATED = re.compile(r"\(((?:1[89]|20)\d\d)\)")
_LONGEST_TITLE = 10
_SMALL = frozenset(("a", "an", "and", "at", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with"))

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Atom:
    """A piece of a text that is read as one.

    Attributes:
        first, last: words that it covers, the last one included.
        span: character offsets.
        text: folded words with single blanks.
        does: what it may do: names of the lists of english.toml, and ``break`` (end of a clause), ``comma``, ``title``.
        means: values that it may stand for.
        years: the years that it names.
        near: it is only a weaker way to speak of its value.
    """

    first: int
    last: int
    span: tuple[int, int]
    text: str
    does: frozenset[str] = NOTHING
    means: tuple[Meaning, ...] = ()
    years: Years | None = None
    near: bool = False


def atoms_of(text: str, vocabulary: Vocabulary, titles: Sequence[tuple[int, int]] = ()) -> list[Atom]:
    """The atoms of the first `MAX_CHARACTERS` of a text, from left to right; linear in its length.

    Args:
        titles: spans that name items, in any order; what lies in them is nothing but a title.
    """
    text = text[:MAX_CHARACTERS]
    words = words_of(text)
    titled = _titled(words, titles) | _dated(text, words)
    reader = _Reader(text, words, titled, vocabulary)
    found: list[Atom] = []
    at = 0
    while at < len(words.folded):
        if found and (gap := _gap(text, words, at)):
            place = words.starts[at]
            found.append(Atom(at, at - 1, (place, place), "", frozenset((gap,))))
        found.append(reader.atom(at))
        at = found[-1].last + 1
    return found


class _Reader:
    def __init__(self, text: str, words: Words, titled: frozenset[int], vocabulary: Vocabulary) -> None:
        self._text, self._words, self._titled, self._vocabulary = text, words, titled, vocabulary
        self._lexicon = lexicon()
        self._singular = [singular(word) for word in words.folded]

    def atom(self, at: int) -> Atom:
        words = self._words
        if name := self._name_around_a_title(at):
            return name
        if at in self._titled:
            return self._made(at, 1, does=frozenset(("title",)))
        if years := years_at(self._text, words, at, self._titled):
            return self._made(at, years.words, years=years)
        limit = self._limit(at)
        cue, does = self._cue(at, limit)
        size, means, near = self._value(at, limit)
        if cue > size:
            return self._made(at, cue, does=does)
        if means:  # a word may be both, as "crime" is a value and "family" an ordinary word
            return self._made(at, size, does=does if cue == size else NOTHING, means=means, near=near)
        return self._made(at, max(1, cue), does=does)

    def _limit(self, at: int) -> int:
        """How many words may be read as one phrase: up to the next break or title."""
        count = 1
        while (
            count < MOST_WORDS
            and at + count < len(self._words.folded)
            and at + count not in self._titled
            and not _gap(self._text, self._words, at + count)
        ):
            count += 1
        return count

    def _cue(self, at: int, limit: int) -> tuple[int, frozenset[str]]:
        for count in range(limit, 0, -1):
            does = self._lexicon.cues.get(" ".join(self._words.folded[at : at + count]))
            if does:
                return count, does
        return 0, NOTHING

    def _value(self, at: int, limit: int) -> tuple[int, tuple[Meaning, ...], bool]:
        for count in range(limit, 0, -1):
            name = " ".join(self._singular[at : at + count])
            if (means := self._vocabulary.find(name)) and not self._falls_apart(means, at, count):
                return count, means, False
        word = self._singular[at]
        if (value := self._lexicon.near.get(word)) and (means := self._vocabulary.find(value)):
            return 1, means, True
        if (value := self._lexicon.near.get(self._words.folded[at])) and (means := self._vocabulary.find(value)):
            return 1, means, True
        return 0, (), False

    def _falls_apart(self, means: Iterable[Meaning], at: int, count: int) -> bool:
        """Whether a keyword is two categories in a row, as "horror comedy" is."""
        if count < 2 or self._has_category(means):
            return False
        return all(self._has_category(self._vocabulary.find(word)) for word in self._singular[at : at + count])

    def _has_category(self, means: Iterable[Meaning]) -> bool:
        return any(self._vocabulary.count(m) and self._vocabulary.sort(m.attribute) is Sort.NARROW for m in means)

    def _name_around_a_title(self, at: int) -> Atom | None:
        """A person whose name holds what was taken for a title, as "Akira Kurosawa" does."""
        for count in range(min(4, len(self._singular) - at), 1, -1):
            covered = range(at, at + count)
            titled = sum(word in self._titled for word in covered)
            if 0 < titled < count and at + count not in self._titled and at - 1 not in self._titled:
                name = " ".join(self._singular[at : at + count])
                if means := people(self._vocabulary, self._vocabulary.find(name)):
                    return self._made(at, count, means=means)
        return None

    def _made(
        self,
        at: int,
        count: int,
        *,
        does: frozenset[str] = NOTHING,
        means: tuple[Meaning, ...] = (),
        years: Years | None = None,
        near: bool = False,
    ) -> Atom:
        words = self._words
        last = at + count - 1
        span = words.starts[at], words.ends[last]
        return Atom(at, last, span, " ".join(words.folded[at : last + 1]), does, means, years, near)


def people(vocabulary: Vocabulary, means: Iterable[Meaning]) -> tuple[Meaning, ...]:
    """Those that are names of people."""
    return tuple(m for m in means if vocabulary.count(m) and vocabulary.sort(m.attribute) is Sort.PEOPLE)


def _titled(words: Words, titles: Sequence[tuple[int, int]]) -> frozenset[int]:
    covered: set[int] = set()
    for start, end in titles:
        covered.update(range(bisect_right(words.ends, start), bisect_left(words.starts, end)))
    return frozenset(covered)


def _dated(text: str, words: Words) -> frozenset[int]:
    """Words of what is written like a title, in a catalogue or not: capitals and a year in brackets behind."""
    covered: set[int] = set()
    for match in _DATED.finditer(text):
        year = bisect_left(words.starts, match.start(1))
        at = year - 1
        while (
            at >= max(0, year - _LONGEST_TITLE)
            and at not in covered
            and (at == year - 1 or not _gap(text, words, at + 1))
        ):
            if not (text[words.starts[at]].isupper() or text[words.starts[at]].isdigit() or words.folded[at] in _SMALL):
                break
            at -= 1
        while at + 1 < year and words.folded[at + 1] in _SMALL and not text[words.starts[at + 1]].isupper():
            at += 1
        if at + 1 < year:
            covered.update(range(at + 1, year + 1))
    return frozenset(covered)


def _gap(text: str, words: Words, at: int) -> str:
    """What stands between a word and the one before: ``break``, ``comma``, or nothing that counts."""
    between = text[words.ends[at - 1] : words.starts[at]]
    if any(mark in between for mark in ".!?;:\n()[]"):
        return "break"
    if "," in between or "/" in between or " - " in between or "–" in between or "—" in between:
        return "comma"
    return ""
