"""Numbers with a unit in words: "under two hours", "for 2 players", "less than 20 euros"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from rarec.catalogue.folding import Words
from rarec.constraints.lexicon import Unit, lexicon, singular

_GLUED = re.compile(r"(\d{1,6})([a-z]{1,8})")
_MONEY = "$€£"
# Words before a number -> which bound it is, and whether the number itself is outside.
_BOUNDS = {
    ("under",): ("high", True), ("less", "than"): ("high", True), ("below",): ("high", True),
    ("shorter", "than"): ("high", True), ("cheaper", "than"): ("high", True), ("at", "most"): ("high", False),
    ("fewer", "than"): ("high", True), ("up", "to"): ("high", False), ("within",): ("high", False),
    ("max",): ("high", False), ("maximum",): ("high", False), ("not", "more", "than"): ("high", False),
    ("no", "more", "than"): ("high", False), ("no", "longer", "than"): ("high", False),
    ("not", "longer", "than"): ("high", False), ("not", "over"): ("high", False), ("nothing", "over"): ("high", False),
    ("nothing", "longer", "than"): ("high", False), ("in", "under"): ("high", True), ("not", "above"): ("high", False),
    ("over",): ("low", True), ("more", "than"): ("low", True), ("longer", "than"): ("low", True),
    ("above",): ("low", True), ("at", "least"): ("low", False), ("minimum",): ("low", False),
    ("not", "under"): ("low", False), ("no", "less", "than"): ("low", False), ("no", "shorter", "than"): ("low", False),
}  # fmt: skip
_LONGEST_BOUND = 3
_ARTICLES = frozenset(("a", "an"))


class Amount(NamedTuple):
    """A number that is asked for.

    Attributes:
        first, last: words that it covers.
        low, high: in the unit, inclusive; None is open.
        bound: words said that it is a bound; else the number itself is meant.
    """

    first: int
    last: int
    unit: Unit
    low: float | None
    high: float | None
    bound: bool


def amounts_in(text: str, words: Words) -> Iterator[Amount]:
    """The amounts of a text, from left to right; linear in its words."""
    at = 0
    while at < len(words.folded):
        found = _amount(text, words, at)
        if found is not None:
            yield found
            at = found.last
        at += 1


def _amount(text: str, words: Words, at: int) -> Amount | None:
    folded = words.folded
    for count in range(_LONGEST_BOUND, 0, -1):
        bound = _BOUNDS.get(tuple(folded[at : at + count]))
        if bound is not None:
            number = _number(text, words, at + count)
            if number is None:
                return None
            last, value, unit = number
            step = _step(unit) if bound[1] else 0
            if bound[0] == "high":
                return Amount(at, last, unit, None, value - step, True)
            return Amount(at, last, unit, value + step, None, True)
    start = at + (folded[at] == "between")
    if start < len(folded) and folded[start].isdecimal() and start + 2 < len(folded):
        between = text[words.ends[start] : words.starts[start + 1]].strip()
        second = start + 1 if between in ("-", "–") else start + 2 if folded[start + 1] in ("to", "and", "or") else 0
        if second and (number := _number(text, words, second)):
            last, high, unit = number
            low = float(folded[start][:6]) * unit.said.get(singular(folded[last]), 1)
            if low <= high:
                return Amount(at, last, unit, low, high, True)
    number = _number(text, words, at)
    if number is None:
        return None
    last, value, unit = number
    return Amount(at, last, unit, value, value, False)


def _step(unit: Unit) -> float:
    return 1.0 if unit.covers else 0.01


def _number(text: str, words: Words, at: int) -> tuple[int, float, Unit] | None:
    """The number that starts at a word, in its unit, with the last word that it covers."""
    folded = words.folded
    if at >= len(folded):
        return None
    word = folded[at]
    if glued := _GLUED.fullmatch(word):
        return next(((at, float(glued[1]) * n, u) for u, n in _units(glued[2])), None)
    if word in _ARTICLES:
        value, last = 1.0, at
    elif word.isdecimal() and word.isascii() and len(word) <= 6:
        value, last = float(word), at
        before = words.starts[at]
        if before and text[before - 1] in _MONEY:
            return next(((at, value, u) for u, _ in _units("euro")), None)
        if at + 1 < len(folded) and folded[at + 1].isdecimal() and text[words.ends[at] : words.starts[at + 1]] == ".":
            value, last = float(f"{word}.{folded[at + 1][:2]}"), at + 1
    else:
        return None
    if last + 1 >= len(folded):
        return None
    gap = text[words.ends[last] : words.starts[last + 1]].strip()
    if gap not in ("", "-"):
        return None
    for unit, each in _units(folded[last + 1]):
        half = folded[last + 2 : last + 5] == ["and", "a", "half"]
        return last + 1 + 3 * half, (value + 0.5 * half) * each, unit
    return None


def _units(word: str) -> Iterator[tuple[Unit, int]]:
    for unit in lexicon().units:
        if each := unit.said.get(singular(word)):
            yield unit, each
