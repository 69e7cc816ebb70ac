"""An item -> the names under which people speak of it."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from rarec.catalogue.folding import folded_words
from rarec.types import Item

ALTERNATIVES = ("original_title", "aka")
"""Attributes whose values are other titles of the item."""

MAX_WORDS = 24
_ARTICLES = frozenset(("the", "a", "an"))
# Articles that catalogues move behind a comma ("Matrix, The").
_MOVED = _ARTICLES | {"le", "la", "les", "l", "der", "die", "das", "el", "los", "las", "il", "lo", "gli", "un", "une"}
PARTS = frozenset(("part", "episode", "chapter", "volume", "vol", "book", "number", "no"))
_BREAKS = (": ", " - ", " – ", " — ", "; ")
_INNER = str.maketrans("", "", "-.·*‐‑")


class Kind(IntEnum):
    """How a name relates to the item's title; the order is the order of trust."""

    FULL = 0  # the title
    BARE = 1  # the title without its leading article
    SPELLED = 2  # hyphens and dots closed up, or a part number written shorter
    OTHER = 3  # another title of the item
    HEAD = 4  # what stands before a colon or dash
    TAIL = 5  # what stands behind it


def names_of(item: Item) -> dict[str, Kind]:
    """Folded names of an item, each with the most trusted way in which it came about."""
    names: dict[str, Kind] = {}
    for words, kind in _every_name(item):
        if words and len(words) <= MAX_WORDS:
            key = " ".join(words)
            names[key] = min(kind, names.get(key, kind))
    return names


def bare_name(title: str) -> str:
    """A title folded, without its leading article; empty if it has no words, or more than 24.

    >>> bare_name("Grey Harbour, The")
    'grey harbour'
    """
    words = folded_words(_article_first(title))
    if len(words) > 1 and words[0] in _ARTICLES:
        del words[0]
    return " ".join(words) if len(words) <= MAX_WORDS else ""


def _every_name(item: Item) -> Iterator[tuple[list[str], Kind]]:
    yield from _title_names(_article_first(item.title), Kind.FULL)
    for attribute in ALTERNATIVES:
        for title in item.attributes.get(attribute, ()):
            yield from _title_names(_article_first(title), Kind.OTHER)


def _title_names(title: str, kind: Kind) -> Iterator[tuple[list[str], Kind]]:
    yield from _with_bare(folded_words(title), kind)
    spelled = max(kind, Kind.SPELLED)
    closed = title.translate(_INNER)
    if closed != title:
        yield from _with_bare(folded_words(closed), spelled)
    if title.endswith(")") and " (" in title:
        title, _, inside = title[:-1].rpartition(" (")
        yield from _with_bare(folded_words(title), max(kind, Kind.HEAD))
        yield from _with_bare(folded_words(_article_first(inside.removeprefix("a.k.a. "))), max(kind, Kind.OTHER))
    parts = [folded_words(part) for part in _split(title)]
    shorter = [_without_part_word(part) for part in parts]
    if shorter != parts:
        yield from _with_bare(_joined(shorter), spelled)
    for versions in (parts, shorter):
        yield from _short_names(versions, kind)


def _short_names(parts: list[list[str]], kind: Kind) -> Iterator[tuple[list[str], Kind]]:
    head, tail = max(kind, Kind.HEAD), max(kind, Kind.TAIL)
    for cut in range(1, len(parts)):
        yield from _with_bare(_joined(parts[:cut]), head)
        if any(word not in PARTS and not word.isdecimal() for word in parts[cut]):
            yield from _with_bare(_joined(parts[cut:]), tail)
            before = parts[0][:-1] if parts[0][-1:] and parts[0][-1].isdecimal() else parts[0]
            if cut > 1 or before != parts[0]:
                yield from _with_bare(before + _joined(parts[cut:]), head)


def _joined(parts: list[list[str]]) -> list[str]:
    return [word for part in parts for word in part]


def _with_bare(words: list[str], kind: Kind) -> Iterator[tuple[list[str], Kind]]:
    yield words, kind
    if len(words) > 1 and words[0] in _ARTICLES:
        yield words[1:], max(kind, Kind.BARE)


def _without_part_word(words: list[str]) -> list[str]:
    return [
        word
        for place, word in enumerate(words)
        if not (word in PARTS and place + 1 < len(words) and words[place + 1].isdecimal())
    ]


def _split(title: str) -> list[str]:
    for mark in _BREAKS[1:]:
        title = title.replace(mark, _BREAKS[0])
    return title.split(_BREAKS[0])


def _article_first(title: str) -> str:
    before, comma, last = title.rpartition(", ")
    if comma and before and last.lower().rstrip("'’") in _MOVED:
        return f"{last} {before}"
    return title
