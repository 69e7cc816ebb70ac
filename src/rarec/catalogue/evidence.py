"""What speaks for a name in a text being a mention: features of one occurrence, added up with fitted weights."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import NamedTuple

from rarec.catalogue.folding import Words, fold
from rarec.catalogue.names import PARTS, Kind

Features = dict[str, float]

RANK_FLOOR = 200
"""Added to ranks: the hundred best known items of ten thousand are known, those of one hundred need not be."""

KIND_FEATURES = {kind: kind.name.lower() for kind in Kind}
_OPENING = frozenset("\"“‘«‹「『'*")
_CLOSING = frozenset("\"”’»›」』'*")
_STOPS = frozenset(".!?\n:;")
_BLANKS = " \t\"'“‘*(["
_YEAR_GAP = frozenset(" .!?,:'\"*-”’")
_LOOK_BACK = 12
# Longer words that titles write small, and words that people write large anywhere.
_SMALL = frozenset(("with", "from", "into", "over"))
_ALWAYS_LARGE = frozenset(("i", "im", "ive", "ill", "id", "ok", "tv", "lol"))


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Word lists, folded like everything that is compared with them, and the weights of the features.

    Attributes:
        ordinary: words that say little by themselves; `function` is the part of them that says nothing.
        weights_ordinary, weights_distinctive: for names made of ordinary words only, and for the others.
    """

    ordinary: frozenset[str]
    function: frozenset[str]
    pronouns: frozenset[str]
    phrases: frozenset[str]
    cues: Mapping[str, frozenset[str]]
    weights_ordinary: Mapping[str, float]
    weights_distinctive: Mapping[str, float]


@cache
def lexicon() -> Lexicon:
    """The packaged word lists and weights."""
    words = _sections("ordinary.txt")
    weights = tomllib.loads(_read("weights.toml"))
    return Lexicon(
        ordinary=words["pronoun"] | words["function"] | words["words"],
        function=words["pronoun"] | words["function"],
        pronouns=words["pronoun"],
        phrases=frozenset(" ".join(map(fold, line.split())) for line in _lines("phrases.txt")),
        cues=_sections("cues.txt"),
        weights_ordinary=weights["ordinary"],
        weights_distinctive=weights["distinctive"],
    )


class Occurrence(NamedTuple):
    """A name in a text.

    Attributes:
        text, words, cased: the text, its words, and whether capitals tell anything in it.
        first, size: the words that the name is made of.
        kind, rank, meanings: how the item that it means came by the name, how many items are more popular,
            and how many items have the name as a title.
        year_fit: "exact", "near", "wrong", or "" where no year follows.
    """

    text: str
    words: Words
    cased: bool
    first: int
    size: int
    name: str
    kind: Kind
    rank: int
    meanings: int
    year_fit: str


def is_ordinary(seen: Occurrence, known: Lexicon) -> bool:
    """Whether the name has no word of its own."""
    words = seen.words.folded[seen.first : seen.first + seen.size]
    return all(word in known.ordinary or word.isdecimal() for word in words)


def score(seen: Occurrence, known: Lexicon) -> float:
    """Log-odds that the occurrence is a mention; above zero it counts as one."""
    weights = known.weights_ordinary if is_ordinary(seen, known) else known.weights_distinctive
    return sum(weights.get(name, 0.0) * value for name, value in features(seen, known).items())


def features(seen: Occurrence, known: Lexicon) -> Features:
    """Name -> value of everything that is not zero."""
    text, words, first = seen.text, seen.words, seen.first
    after = first + seen.size
    start, end = words.starts[first], words.ends[after - 1]
    own = words.folded[first:after]
    rank = math.log10(seen.rank + RANK_FLOOR)
    found: Features = {"bias": 1.0, f"words_{min(seen.size, 4)}": 1.0, KIND_FEATURES[seen.kind]: 1.0, "rank": rank}
    found["meanings"] = math.log2(seen.meanings)
    found["edge"] = float((first == 0) + (after == len(words.folded)))
    casing = _casing(seen, start)
    pronoun = seen.name in known.pronouns
    found["function"] = 0.0 if pronoun else sum(word in known.function for word in own) / seen.size
    found["distinctive"] = float(min(3, sum(word not in known.ordinary and not word.isdecimal() for word in own)))
    flags = {
        f"year_{seen.year_fit}": bool(seen.year_fit),
        "phrase": seen.name in known.phrases,
        "quoted": start > 0 and end < len(text) and text[start - 1] in _OPENING and text[end] in _CLOSING,
        "whole": seen.size == len(words.folded),
        "short": len(seen.name) <= 2 or text[start:end].isdecimal(),
        "behind": after < len(words.folded) and words.folded[after] in known.cues["behind"],
        "numbered": after < len(words.folded) and _is_numbered(text, words, after),
        "pronoun_small": pronoun and casing != "capital_inside",
        casing: True,
    }
    if not seen.cased:
        found["rank_caseless"] = rank
    if first:
        flags["strong"] = words.folded[first - 1] in known.cues["strong"]
        flags["weak"] = words.folded[first - 1] in known.cues["weak"]
    if seen.size > 1:
        gaps = zip(words.ends[first : after - 1], words.starts[first + 1 : after], strict=True)
        flags["broken"] = any(not _STOPS.isdisjoint(text[left:right]) for left, right in gaps)
    found |= {name: 1.0 for name, is_so in flags.items() if is_so}
    return found


def _is_numbered(text: str, words: Words, after: int) -> bool:
    """Whether a part number that is not in the name follows ("... 3", "... part 2"): probably another item."""
    place = after + (words.folded[after] in PARTS and after + 1 < len(words.folded))
    number = words.folded[place]
    close = text[words.ends[after - 1] : words.starts[after]].isspace()
    return close and number.isdecimal() and len(number) <= 2 and 2 <= int(number) <= 20


def _casing(seen: Occurrence, start: int) -> str:
    if not seen.cased:
        return "caseless"
    after = seen.first + seen.size
    folded = seen.words.folded
    letters = [place for place in range(seen.first, after) if seen.text[seen.words.starts[place]].isalpha()]
    # Titles write their short words small.
    places = [place for place in letters if len(folded[place]) > 3 and folded[place] not in _SMALL] or letters
    if not places:
        return "caseless"  # nothing but numbers
    capital = [_is_capital(seen.text[seen.words.starts[place]]) for place in places]
    if not all(capital):
        return "lower" if not any(capital) else "mixed"
    if not _opens_sentence(seen.text, start):
        return "capital_inside"
    return "capital_several" if len(places) > 1 else "capital_first"


def _is_capital(character: str) -> bool:
    return character.isupper() or not character.islower()


def has_case(text: str, words: Words) -> bool:
    """Whether capitals tell names apart: some word inside a sentence starts with one, and not all do.

    People who write "I" and the first word of a sentence large need not write titles so.
    """
    inside = [
        text[start].isupper()
        for start, word in zip(words.starts, words.folded, strict=True)
        if word not in _ALWAYS_LARGE and not _opens_sentence(text, start)
    ]
    return any(inside) and text != text.upper()


def _opens_sentence(text: str, start: int) -> bool:
    before = text[max(0, start - _LOOK_BACK) : start].rstrip(_BLANKS)
    return not before or before[-1] in _STOPS


def year_behind(text: str, end: int) -> tuple[int, int] | None:
    """(year, end of it) if a year follows the place `end`, in brackets or bare; looks at a dozen characters."""
    place = end
    while place < len(text) and place - end < 6 and text[place] in _YEAR_GAP:
        place += 1
    bracket = text[place : place + 1] in ("(", "[")
    place += bracket
    digits = text[place : place + 4]
    if len(digits) < 4 or not (digits.isascii() and digits.isdecimal()) or text[place + 4 : place + 5].isalnum():
        return None
    if not bracket and (text[end:place] != " " or not 1870 <= int(digits) <= 2100):
        return None
    place += 4
    return int(digits), place + (bracket and text[place : place + 1] in (")", "]"))


def _read(name: str) -> str:
    return resources.files("rarec.catalogue").joinpath("lexicon", name).read_text(encoding="utf-8")


def _lines(name: str) -> list[str]:
    return [line for line in _read(name).splitlines() if line and not line.startswith("#")]


def _sections(name: str) -> dict[str, frozenset[str]]:
    sections: dict[str, set[str]] = {}
    current: set[str] = set()
    for line in _lines(name):
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), set())
        else:
            current.update(map(fold, line.split()))
    return {section: frozenset(words) for section, words in sections.items()}
