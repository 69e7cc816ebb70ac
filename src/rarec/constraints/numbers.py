"""Numbers in words: "under two hours", "for 2 players", "less than 20 euros", "price below 20", "cheaper than 20"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
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
    ("lighter", "than"): ("high", True), ("smaller", "than"): ("high", True), ("lower", "than"): ("high", True),
    ("less", "expensive", "than"): ("high", True), ("not", "heavier", "than"): ("high", False),
    ("no", "heavier", "than"): ("high", False), ("nothing", "above"): ("high", False),
    ("budget", "of"): ("high", False), ("budget", "is"): ("high", False), ("limit", "of"): ("high", False),
    ("over",): ("low", True), ("more", "than"): ("low", True), ("longer", "than"): ("low", True),
    ("above",): ("low", True), ("at", "least"): ("low", False), ("minimum",): ("low", False),
    ("not", "under"): ("low", False), ("no", "less", "than"): ("low", False), ("no", "shorter", "than"): ("low", False),
    ("heavier", "than"): ("low", True), ("higher", "than"): ("low", True), ("bigger", "than"): ("low", True),
    ("larger", "than"): ("low", True), ("more", "expensive", "than"): ("low", True),
    ("nothing", "under"): ("low", False), ("nothing", "below"): ("low", False), ("not", "below"): ("low", False),
    ("not", "less", "than"): ("low", False),
}  # fmt: skip
# Words behind a number, the same.
_BEHIND = {
    ("or", "less"): "high", ("or", "under"): "high", ("or", "below"): "high", ("or", "cheaper"): "high",
    ("or", "lighter"): "high", ("at", "most"): "high", ("max",): "high", ("maximum",): "high", ("tops",): "high",
    ("or", "more"): "low", ("or", "over"): "low", ("or", "above"): "low", ("and", "up"): "low", ("at", "least"): "low",
    ("minimum",): "low",
}  # fmt: skip
_SIGNS = {"<": ("high", True), "<=": ("high", False), ">": ("low", True), ">=": ("low", False)}
_NOT = frozenset(("not", "no", "nothing", "dont", "doesnt", "isnt", "never", "without", "cant", "shouldnt", "mustnt"))
_AFTER_NOT = frozenset((
    "want", "need", "like", "anything", "something", "to", "be", "is", "it", "that", "costs", "cost", "spend", "pay",
    "a", "any", "me", "show", "much",
))  # fmt: skip
# Words of bounds that say what the number counts.
_ABOUT = {
    "cheaper": "euros", "expensive": "euros", "budget": "euros", "lighter": "kg", "heavier": "kg", "shorter": "minutes",
    "longer": "minutes",
}  # fmt: skip
_BEFORE_A_NUMBER = ("", ":", *_MONEY, *_SIGNS)
_LONGEST_BOUND = 3
_LONGEST_NAME = 3
_ARTICLES = frozenset(("a", "an"))
_BEFORE_A_BOUND = frozenset(("is", "of", "be", "must", "should", "has", "to", "with", "range", "the", "that", "at"))


class Amount(NamedTuple):
    """A number that is asked for.

    Attributes:
        first, last: words that it covers.
        unit: what it counts; None if the words do not say.
        low, high: in the unit, inclusive unless `strict`; None is open.
        bound: words said that it is a bound; else the number itself is meant.
        strict: the bound itself is outside.
        attribute: what is named before it or in it, e.g. "price under 50"; empty if nothing is.
    """

    first: int
    last: int
    unit: Unit | None
    low: float | None
    high: float | None
    bound: bool
    strict: bool = False
    attribute: str = ""


def amounts_in(text: str, words: Words, names: Mapping[str, str] | None = None) -> Iterator[Amount]:
    """The amounts of a text, from left to right; linear in its words.

    Args:
        names: folded names of attributes of numbers -> attributes.
    """
    names = names or {}
    at = 0
    while at < len(words.folded):
        found = _amount(text, words, at, names)
        if found is not None:
            yield found
            at = found.last
        at += 1


def _amount(text: str, words: Words, at: int, names: Mapping[str, str]) -> Amount | None:
    folded = words.folded
    for count in range(_LONGEST_BOUND, 0, -1):
        bound = _BOUNDS.get(tuple(folded[at : at + count]))
        if bound is not None:
            return _bounded(text, words, at, at + count, bound, names)
    if at and (sign := _SIGNS.get(text[words.ends[at - 1] : words.starts[at]].strip())):
        return _bounded(text, words, at, at, sign, names)
    if (found := _between(text, words, at, names)) is not None:
        return found
    number = _number(text, words, at)
    if number is not None and folded[at] not in _ARTICLES:
        behind = _bounded_behind(text, words, number, at, _name_before(words, at, names))
        if behind is not None:
            return behind
    if number is None or number[2] is None:
        return None
    last, value, unit = number
    return Amount(at, last, unit, value, value, False)


def _bounded_behind(
    text: str, words: Words, number: tuple[int, float, Unit | None], first: int, name: str
) -> Amount | None:
    """ "50 euros or less", "20 and up"."""
    last, value, unit = number
    if last + 1 < len(words.folded) and text[words.ends[last] : words.starts[last + 1]].strip() not in ("", *_MONEY):
        return None
    for count in (2, 1):
        end = _BEHIND.get(tuple(words.folded[last + 1 : last + 1 + count]))
        if end is not None and last + count < len(words.folded):
            low, high = (None, value) if end == "high" else (value, None)
            return Amount(first, last + count, unit, low, high, True, False, name)
    return None


def _bounded(
    text: str, words: Words, at: int, place: int, bound: tuple[str, bool], names: Mapping[str, str]
) -> Amount | None:
    """A number behind the words of a bound, or behind an attribute's name that follows them: "maximum price of 30".

    Args:
        at, place: the first word of the bound, and the one behind it.
    """
    said = words.folded[at:place]
    end, strict = bound
    if _is_refused(words, at) and not _NOT & set(said):
        end, strict = "low" if end == "high" else "high", not strict
    name = _name_before(words, at, names)
    if not name and (size := _name_at(words, place, names)):
        name = names[_joined(words, place, size)]
        place += size
        place += place < len(words.folded) and words.folded[place] in ("of", "is")
    number = _number(text, words, place)
    if number is None or text[words.ends[place - 1] : words.starts[place]].strip() not in _BEFORE_A_NUMBER:
        return None
    last, value, unit = number
    if unit is None:
        about = next((_ABOUT[word] for word in said if word in _ABOUT), "")
        unit = next((unit for unit in lexicon().units if unit.name == about), None)
    if unit is not None and unit.covers and strict:  # people are counted
        value, strict = value + (-1 if end == "high" else 1), False
    low, high = (None, value) if end == "high" else (value, None)
    return Amount(at, last, unit, low, high, True, strict, name)


def _between(text: str, words: Words, at: int, names: Mapping[str, str]) -> Amount | None:
    """ "between 20 and 50", "20-50 euros"; without a unit only behind "between" or a name."""
    folded = words.folded
    told = folded[at] == "between"
    start = at + told
    first = _number(text, words, start)
    if first is None or folded[start] in _ARTICLES or first[0] + 1 >= len(folded):
        return None
    stop, low, of = first
    gap = text[words.ends[stop] : words.starts[stop + 1]].strip()
    second = stop + 1 if gap in ("-", "–") else stop + 2 if folded[stop + 1] in ("to", "and", "or") else 0
    number = _number(text, words, second) if second else None
    if number is None or folded[second] in _ARTICLES:
        return None
    last, high, unit = number
    name = _name_before(words, at, names)
    if unit is None and (of is not None or not (told or name)):
        return None
    if unit is not None and of is None:
        low *= unit.said.get(singular(folded[last]), 1)
    return Amount(at, last, unit, low, high, True, False, name) if low <= high else None


def _is_refused(words: Words, at: int) -> bool:
    """Whether a negation speaks of the bound that begins at a word: "nothing that costs more than 50"."""
    place = at - 1
    while place > max(0, at - 5) and words.folded[place] in _AFTER_NOT:
        place -= 1
    return place >= 0 and words.folded[place] in _NOT


def _name_before(words: Words, at: int, names: Mapping[str, str]) -> str:
    """The attribute whose name stands before a word, with no more than "is", "must be" or the like between."""
    place = at
    while place > max(0, at - 3) and words.folded[place - 1] in _BEFORE_A_BOUND:
        place -= 1
    for size in range(min(_LONGEST_NAME, place), 0, -1):
        if attribute := names.get(_joined(words, place - size, size)):
            return attribute
    return ""


def _name_at(words: Words, at: int, names: Mapping[str, str]) -> int:
    """How many words from one on are an attribute's name; 0 if they are none."""
    sizes = range(min(_LONGEST_NAME, len(words.folded) - at), 0, -1)
    return next((size for size in sizes if _joined(words, at, size) in names), 0)


def _joined(words: Words, at: int, size: int) -> str:
    return " ".join(map(singular, words.folded[at : at + size]))


def _number(text: str, words: Words, at: int) -> tuple[int, float, Unit | None] | None:
    """The number that starts at a word, in its unit if it has one, with the last word that it covers."""
    folded = words.folded
    if at >= len(folded):
        return None
    word = folded[at]
    if glued := _GLUED.fullmatch(word):
        return next(((at, float(glued[1]) * n, u) for u, n in _units(glued[2])), None)
    if word in _ARTICLES:
        value, last = 1.0, at
    elif word.isdecimal() and word.isascii() and len(word) <= 6:
        last, value = _written(text, words, at)
        before = words.starts[at]
        behind = text[words.ends[last] :][:2].strip()[:1]
        if (before and text[before - 1] in _MONEY) or (behind and behind in _MONEY):
            return next(((last, value, u) for u, _ in _units("euro")), None)
        if behind == "%":
            return None
    else:
        return None
    gap = text[words.ends[last] : words.starts[last + 1]].strip() if last + 1 < len(folded) else "."
    for unit, each in _units(folded[last + 1]) if gap in ("", "-") else ():
        half = folded[last + 2 : last + 5] == ["and", "a", "half"]
        return last + 1 + 3 * half, (value + 0.5 * half) * each, unit
    return None if word in _ARTICLES else (last, value, None)


def _written(text: str, words: Words, at: int) -> tuple[int, float]:
    """A number in digits with what follows its point or comma, and the last of its words: 19.90, 19,90, 1,500."""
    folded, digits, last = words.folded, words.folded[at], at
    while last + 1 < len(folded) and folded[last + 1].isdecimal() and folded[last + 1].isascii():
        mark, part = text[words.ends[last] : words.starts[last + 1]], folded[last + 1]
        if mark == "," and len(part) == 3 and last - at < 2:
            digits += part
        elif mark in (".", ",") and len(part) <= (6 if mark == "." else 2):
            return last + 1, float(f"{digits}.{part}")
        else:
            break
        last += 1
    return last, float(digits)


def _units(word: str) -> Iterator[tuple[Unit, float]]:
    for unit in lexicon().units:
        if each := unit.said.get(singular(word)):
            yield unit, each
