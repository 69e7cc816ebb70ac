"""Text -> comparable words with their places: no case, no accents, no apostrophes, one way to write numbers."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

# A run of letters and digits, apostrophes inside it, or an ampersand. Every branch is decided by its first
# character, so the scan is linear whatever the text.
_WORD = re.compile(r"[^\W_](?:[^\W_]|[\u0300-\u036f]|['’‘`´](?=[^\W_]))*|&")
_APOSTROPHES = str.maketrans("", "", "'’‘`´")
_SUPERSCRIPTS = str.maketrans({"¹": " 1", "²": " 2", "³": " 3", "⁴": " 4", "⁵": " 5", "½": " 1 2"})

# Left to right: how a word is compared. A lone roman I, V or X stays a letter: it is mostly no number.
_SAME = {
    "&": "and",
    "versus": "vs",
    "doctor": "dr",
    "mister": "mr",
    "ii": "2",
    "iii": "3",
    "iv": "4",
    "vi": "6",
    "vii": "7",
    "viii": "8",
    "ix": "9",
    "xi": "11",
    "xii": "12",
    "xiii": "13",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
    "eleven": "11",
    "twelve": "12",
    "thirteen": "13",
}


class Words(NamedTuple):
    """The words of a text in order: as compared, and where each starts and ends in the text."""

    folded: list[str]
    starts: list[int]
    ends: list[int]


def fold(word: str) -> str:
    """One word as it is compared: ``"Léon"`` -> ``"leon"``, ``"II"`` -> ``"2"``."""
    if word.isascii():
        plain = word.lower()
    else:
        decomposed = unicodedata.normalize("NFKD", word)
        plain = "".join(c for c in decomposed if not unicodedata.combining(c)).casefold()
    plain = plain.translate(_APOSTROPHES)
    return _SAME.get(plain, plain)


def words_of(text: str) -> Words:
    """The words of a text; time is linear in its length. Empty text has none."""
    folded: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for found in _WORD.finditer(text):
        folded.append(fold(found.group()))
        starts.append(found.start())
        ends.append(found.end())
    return Words(folded, starts, ends)


def folded_words(text: str) -> list[str]:
    """The words of a title, with raised numbers set apart from the word before them."""
    return words_of(text.translate(_SUPERSCRIPTS)).folded
