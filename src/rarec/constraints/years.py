"""Years in words: a year, a decade, a century, a range, and what stands before and behind."""

from __future__ import annotations

import re
from typing import NamedTuple

from rarec.catalogue.folding import Words

_DECADES = {
    "twenties": 1920, "thirties": 1930, "forties": 1940, "fifties": 1950, "sixties": 1960, "seventies": 1970,
    "eighties": 1980, "nineties": 1990, "noughties": 2000,
}  # fmt: skip
_PARTS = {"early": (0, 3), "mid": (4, 6), "late": (7, 9)}
_YEAR = re.compile(r"(?:1[89]|20)\d\d")
_LONG = re.compile(r"((?:1[89]|20)\d0)s")
_SHORT = re.compile(r"([03-9]0)s")
_CENTURY = re.compile(r"(19|20|21)(?:st|th)")
_OWN = frozenset(("my", "his", "her", "their", "your", "our"))
_SKIPPED = frozenset(("the", "year", "years", "early", "mid", "late", "decade", "of"))
# Words before a year -> which of its ends they open, and by how much the other one moves.
_BEFORE = {
    ("before",): (None, -1), ("prior", "to"): (None, -1), ("pre",): (None, -1), ("older", "than"): (None, -1),
    ("earlier", "than"): (None, -1), ("until",): (None, 0), ("till",): (None, 0), ("up", "to"): (None, 0),
    ("no", "later", "than"): (None, 0), ("not", "later", "than"): (None, 0), ("not", "newer", "than"): (None, 0),
    ("no", "newer", "than"): (None, 0), ("not", "after"): (None, 0), ("nothing", "after"): (None, 0),
    ("nothing", "newer", "than"): (None, 0), ("nothing", "past"): (None, 0),
    ("after",): (1, None), ("post",): (1, None), ("newer", "than"): (1, None), ("later", "than"): (1, None),
    ("younger", "than"): (1, None), ("more", "recent", "than"): (1, None), ("past",): (1, None), ("since",): (0, None),
    ("no", "older", "than"): (0, None), ("not", "older", "than"): (0, None), ("nothing", "older", "than"): (0, None),
    ("nothing", "before"): (0, None), ("not", "before"): (0, None), ("no", "earlier", "than"): (0, None),
    ("not", "earlier", "than"): (0, None), ("starting", "from"): (0, None), ("starting", "in"): (0, None),
    ("nothing", "from", "before"): (0, None), ("not", "from", "before"): (0, None),
    ("nothing", "made", "before"): (0, None),
    ("anything", "since"): (0, None), ("dont", "want", "anything", "before"): (0, None),
    ("dont", "want", "anything", "older", "than"): (0, None), ("dont", "want", "anything", "after"): (None, 0),
}  # fmt: skip
_BEHIND = {
    ("or", "newer"): (0, None), ("or", "later"): (0, None), ("and", "later"): (0, None), ("and", "newer"): (0, None),
    ("onwards",): (0, None), ("onward",): (0, None), ("and", "onwards"): (0, None),
    ("and", "up"): (0, None), ("and", "after"): (0, None), ("or", "after"): (0, None), ("or", "younger"): (0, None),
    ("or", "older"): (None, 0), ("or", "earlier"): (None, 0), ("and", "older"): (None, 0),
    ("and", "earlier"): (None, 0),
    ("or", "before"): (None, 0), ("and", "before"): (None, 0),
}  # fmt: skip
_LOOSE = frozenset(("around", "about", "circa", "roughly"))
_NAMED = frozenset(("from", "in", "of", "made", "released", "published", "year"))


class Years(NamedTuple):
    """Years that a text names.

    Attributes:
        words: how many words are covered.
        low, high: inclusive; None is open.
        cued: words around it say that a year is meant, so that a number alone is not taken for one.
        loose: "around 1995".
        bound: one end is open, so that a negation before it is part of the bound.
    """

    words: int
    low: int | None
    high: int | None
    cued: bool
    loose: bool = False
    bound: bool = False


class _Period(NamedTuple):
    words: int
    low: int
    high: int
    decade: bool


def years_at(text: str, words: Words, at: int, titled: frozenset[int]) -> Years | None:
    """The years that are named from word `at` on, with the words before them that belong; None if there are none."""
    folded = words.folded
    start, opening = at, None
    for count in (4, 3, 2, 1):
        opening = _BEFORE.get(tuple(folded[at : at + count]))
        if opening is not None:
            start = at + count
            break
    loose = opening is None and folded[at] in _LOOSE
    start += loose
    cued = bool(opening) or loose
    while opening is None and start < min(len(folded), at + 3) and folded[start] in _NAMED | {"between"}:
        start, cued = start + 1, True
    period = _period(folded, start, titled)
    if period is None:
        return None
    end = start + period.words
    if opening is not None:
        return _opened(opening, period, end - at)
    both = _second(text, words, end, titled)
    if both is not None and both[1].high >= period.low:
        stop, second = both
        return Years(stop - at, period.low, second.high, cued=True)
    if behind := _behind(text, words, end):
        return _opened(behind[0], period, end + behind[1] - at)
    if loose and not period.decade:
        return Years(end - at, period.low - 2, period.high + 2, cued=True, loose=True)
    if at > 0 and folded[at - 1] in _OWN:
        return None
    return Years(end - at, period.low, period.high, cued=cued or period.decade)


def _behind(text: str, words: Words, end: int) -> tuple[tuple[int | None, int | None], int] | None:
    """What stands behind a year and opens one end, with the number of its words: "or later", "on", "+"."""
    folded = words.folded
    for count in (2, 1):
        opening = _BEHIND.get(tuple(folded[end : end + count]))
        if opening is not None:
            return opening, count
    if folded[end : end + 1] == ["on"] and not text[words.ends[end] :][:2].strip(".,!? \n"):
        return (0, None), 1
    return ((0, None), 0) if text[words.ends[end - 1] :][:1] == "+" else None


def _opened(opening: tuple[int | None, int | None], period: _Period, words: int) -> Years:
    low, high = opening
    if low is not None:
        first = period.low if low == 0 else period.high + 1
        return Years(words, first, None, cued=True, bound=True)
    last = period.high if high == 0 else period.low - 1
    return Years(words, None, last, cued=True, bound=True)


def _second(text: str, words: Words, at: int, titled: frozenset[int]) -> tuple[int, _Period] | None:
    """The end of a range: "to 1995", "- 1995", "and 1995"; the word behind it, and the period."""
    folded = words.folded
    if at >= len(folded):
        return None
    between = text[words.ends[at - 1] : words.starts[at]]
    if between.strip() in ("-", "–", "—") and (period := _period(folded, at, titled)):
        return at + period.words, period
    if folded[at] in ("to", "and", "or", "through", "until", "till") and (period := _period(folded, at + 1, titled)):
        return at + 1 + period.words, period
    return None


def _period(folded: list[str], at: int, titled: frozenset[int]) -> _Period | None:
    """A year, decade or century that starts at a word, behind "the" and the like."""
    place, part = at, ""
    while place < min(len(folded), at + 4) and folded[place] in _SKIPPED:
        part = folded[place] if folded[place] in _PARTS else part
        place += 1
    if place >= len(folded) or any(word in titled for word in range(at, place + 1)):
        return None
    word = folded[place]
    count = place + 1 - at
    if _YEAR.fullmatch(word):
        return _Period(count, int(word), int(word), False)
    if (century := _CENTURY.fullmatch(word)) and folded[place + 1 : place + 2] == ["century"]:
        last = int(century[1]) * 100
        return _Period(count + 1, last - 99, last, True)
    if match := _LONG.fullmatch(word):
        decade = int(match[1])
    elif match := _SHORT.fullmatch(word):
        decade = (2000 if match[1] == "00" else 1900) + int(match[1])
    elif word in _DECADES:
        decade = _DECADES[word]
    else:
        return None
    first, last = _PARTS.get(part, (0, 9))
    return _Period(count, decade + first, decade + last, True)
