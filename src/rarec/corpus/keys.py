"""Titles, names and values as numbers that are equal where they are compared as equal."""

from __future__ import annotations

import hashlib
import unicodedata
from functools import lru_cache

from rarec.catalogue.folding import folded_words
from rarec.catalogue.titles import normal_title

# Titles and ids are looked for among millions, people only within records that share a title already.
_WIDE, _NARROW = 8, 4
_PLACE_BITS = 28
_LONGEST_CODE = 3
_NO_ID = frozenset(("n/a", "#n/a", "n.a.", "na", "nan", "none", "null", "\\n", "undefined", "unknown"))


def title_key(title: str) -> int:
    """64 bits of a title without case, accents, punctuation, spaces and leading article; 0 if nothing is left of it.

    >>> title_key("Grey-Harbour, The") == title_key("the greyharbour")
    True
    """
    plain = normal_title(title).replace(" ", "")
    if not title.isascii():
        plain += "".join(filter(_is_vowel, unicodedata.normalize("NFC", title)))
    return _hash(plain, _WIDE) if plain else 0


def _is_vowel(mark: str) -> bool:
    """Marks of Indic scripts, of Thai, Lao, Tibetan and Burmese are no accents: without them a title is another one."""
    return "\u0900" <= mark <= "\u109f" and unicodedata.category(mark) in ("Mn", "Mc")


def is_no_id(value: str) -> bool:
    """Whether it is what is written where there is no id: nothing, zeros, signs, or a word that says so.

    >>> [is_no_id(value) for value in ("0", "00000", "-", "N/A", "none", "10", "tt0000001")]
    [True, True, True, True, True, False, False]
    """
    plain = value.strip().casefold()
    return plain in _NO_ID or not any(letter.isalnum() and letter != "0" for letter in plain)


def id_key(value: str) -> int:
    """64 bits of an id as it is written, never 0."""
    return _hash(value.strip(), _WIDE)


@lru_cache(maxsize=200_000)
def person_key(name: str) -> int:
    """32 bits of a name without case, accents, initials and the order of its words; 0 if nothing is left of it.

    >>> person_key("Márta B. Vale") == person_key("Vale, Marta")
    True
    """
    words = folded_words(name)
    long = sorted(word for word in words if len(word) > 1) or sorted(words)
    return _hash(" ".join(long), _NARROW) if long else 0


@lru_cache(maxsize=10_000)
def fact_key(place: int, value: str, *, language: bool = False) -> int:
    """32 bits of a value of the attribute at `place` (0 to 7), compared without case; `fact_kind` is in the top four.

    Codes of languages are of another kind than their names: "en" says nothing against "English".
    """
    plain = value.strip().casefold()
    kind = 2 * place + (language and len(plain) <= _LONGEST_CODE)
    return kind << _PLACE_BITS | _hash(plain, _NARROW) & ((1 << _PLACE_BITS) - 1)


def fact_kind(key: int) -> int:
    """Keys are comparable if this is equal: twice the place of their attribute, and one more for codes of languages."""
    return key >> _PLACE_BITS


def _hash(text: str, size: int) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=size).digest(), "big") or 1
