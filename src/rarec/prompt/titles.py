"""An answer of a model that was shown no candidates, which is untrusted text -> the titles that it names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from rarec.errors import InputError
from rarec.prompt.lenient import flat, read_value
from rarec.prompt.text import one_line

_LIST_KEYS = ("recommendations", "recommended", "titles", "items", "ranking", "results", "list")
_TITLE_KEYS = ("title", "name", "item", "recommendation")
_YEAR_KEYS = ("year", "released", "published", "date")

_MAX_CHARS = 200_000
_MAX_LINES = 10_000
_ENTRY_CHARS = 300
_ATTEMPTS = 8
_MOST_VALUES = 100
"""So many values of a JSON answer are searched for a list."""

_SHORT_CHARS = 80
"""A line without a mark is taken for a title only up to so many characters."""

# Every pattern is bounded and is used on one line of at most _ENTRY_CHARS characters.
_OPENING = re.compile(r"""\{\s{0,64}["']|\[\s{0,64}["'{]""")
_NUMBER = re.compile(r"\s{0,8}(?:[-*•]\s{1,4})?\*{0,2}#?([0-9]{1,3})(?:[.)]|:\s)\*{0,2}\s{0,8}(?=\S)")
_BULLET = re.compile(r"\s{0,8}[-*•–]\s{1,8}(?=\S)")
_YEAR = re.compile(r"\s{0,8}[(\[]\s{0,4}((?:1[5-9]|20)[0-9]{2})(?![0-9])[^()\[\]]{0,40}[)\]]")
_EMPHASIS = re.compile(r"(\*{1,3}|_{1,3})([^*_].{0,298}?)\1")
_QUOTE = re.compile(r"""["“«]([^"“”«»]{1,298})["”»](?=\s{0,4}(?:$|[(\[,.;:|–—-]|by\b|and\b))""")
_QUOTED = re.compile(r"""["“«]([^"“”«»]{1,150})["”»]""")
_YEAR_VALUE = re.compile(r"(?:1[5-9]|20)[0-9]{2}")
_INLINE = re.compile(r"([^()\[\],;]{1,150})[(\[]((?:1[5-9]|20)[0-9]{2})[)\]]")


@dataclass(frozen=True, slots=True)
class NamedTitle:
    """One entry of an answer: a title on one line, never empty, and the year beside it if there was one."""

    title: str
    year: int | None = None


@dataclass(frozen=True, slots=True)
class ParsedTitles:
    """What an answer names.

    Attributes:
        titles: at most n entries in the order of the answer; the same one may come again.
        malformed: the text is not the JSON that was asked for, or has more entries or others than texts.
    """

    titles: tuple[NamedTitle, ...]
    malformed: bool


def parse_titles(text: str, *, n: int) -> ParsedTitles:
    """Read the titles out of any text; never raises because of the text.

    Clean is one JSON object ``{"recommendations": ["Title (year)", ...]}``. Read all the same, and reported: other
    JSON, also cut off or within prose; numbered lines, else lines with bullets; else titles with years, in lines or
    within a sentence; else quoted titles; else what stands between commas behind a colon; else short lines. Numbers,
    bullets, emphasis, quotes and what follows the year do not belong to a title. Text that names nothing gives none.

    Raises:
        InputError: n < 1.

    >>> parse_titles("Sure!\\n1. **Low Tide** (1990) - calm\\n2. Marzipan", n=5).titles
    (NamedTitle(title='Low Tide', year=1990), NamedTitle(title='Marzipan', year=None))
    """
    if n < 1:
        raise InputError(f"n must be at least 1, got {n!r}")
    entries, clean = _strict(text)
    if entries is None:
        entries = _embedded(text[:_MAX_CHARS])
    if entries is None:
        entries = _written(text[:_MAX_CHARS])
    titles = [named for place, entry in enumerate(flat(entries), start=1) if (named := _named(entry, place))]
    return ParsedTitles(tuple(titles[:n]), malformed=not clean or len(titles) > n)


def _strict(text: str) -> tuple[list[object] | None, bool]:
    """The entries of a text that is JSON, and whether it has the form that was asked for; None if it is no JSON."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None, False
    if not isinstance(value, dict | list):
        return None, False
    asked = value.get("recommendations") if isinstance(value, dict) else None
    if isinstance(asked, list):
        return asked, len(value) == 1 and all(isinstance(entry, str) for entry in asked)
    return _entries(value) or [], False


def _embedded(text: str) -> list[object] | None:
    """The entries of the first JSON value in the text that has some."""
    at = 0
    for _ in range(_ATTEMPTS):
        start = _OPENING.search(text, at)
        if start is None:
            return None
        value, end = read_value(text, start.start())
        if entries := _entries(value):
            return entries
        at = end if end < len(text) else start.end()
    return None


def _entries(value: object) -> list[object] | None:
    """The first list in a value, outer ones first and known names before others, that names something."""
    queue = [value]
    for level in queue:
        if isinstance(level, list) and any(_named(entry, place) for place, entry in enumerate(flat(level), start=1)):
            return level
        if isinstance(level, dict):
            known = [level[key] for key in _LIST_KEYS if key in level]
            # {"titles": {"1": ..., "2": ...}}
            known += [list(member.values()) for member in known if isinstance(member, dict)]
            queue += [*known, *level.values()][: _MOST_VALUES - len(queue)]
    return None


def _written(text: str) -> list[object]:
    """Entries of a text that is no JSON, by the first way of writing a list that it shows."""
    lines = [line[:_ENTRY_CHARS] for line in text.splitlines()[:_MAX_LINES] if line.strip()]
    ways: tuple[Callable[[list[str]], list[str]], ...] = (
        _numbered,
        _bulleted,
        _with_years,
        _quoted,
        _listed,
        _short_lines,
    )
    for way in ways:
        if found := way(lines):
            return list(found)
    return []


def _numbered(lines: list[str]) -> list[str]:
    return [line[mark.end() :] for line in lines if (mark := _NUMBER.match(line))]


def _bulleted(lines: list[str]) -> list[str]:
    return [line[mark.end() :] for line in lines if (mark := _BULLET.match(line))]


def _with_years(lines: list[str]) -> list[str]:
    if sum(bool(_YEAR.search(line)) for line in lines) > 1:
        return [line for line in lines if _YEAR.search(line)]
    found = (mark.groups() for line in lines for mark in _INLINE.finditer(line))
    return [f"{title.strip().removeprefix('and ')} ({year})" for title, year in found]


def _quoted(lines: list[str]) -> list[str]:
    found = [mark.group(1).rstrip(".,") for line in lines for mark in _QUOTED.finditer(line)]
    return found if len(found) > 1 else []


def _listed(lines: list[str]) -> list[str]:
    """Of "Some of them: a, b and c." the parts behind the colon; a title with a comma falls apart."""
    for line in lines:
        _, colon, listed = line.partition(": ")
        parts = [part.strip().removeprefix("and ").rstrip(".!?") for part in listed.split(", ")]
        if colon and len(parts) > 2:
            return [part for part in parts if len(part) <= _SHORT_CHARS]
    return []


def _short_lines(lines: list[str]) -> list[str]:
    found = [line for line in lines if len(line) <= _SHORT_CHARS and not line.rstrip().endswith((".", "!", "?", ":"))]
    return found if len(found) == len(lines) else []


_WAYS: tuple[Callable[[list[str]], list[str]], ...] = (
    _numbered,
    _bulleted,
    _with_years,
    _quoted,
    _listed,
    _short_lines,
)


def _named(entry: object, place: int) -> NamedTitle | None:
    year: int | None = None
    if isinstance(entry, dict):
        year = next((found for key in _YEAR_KEYS if (found := _year(entry.get(key))) is not None), None)
        entry = next((entry[key] for key in _TITLE_KEYS if isinstance(entry.get(key), str)), None)
    if not isinstance(entry, str):
        return None
    text = one_line(entry, limit=_ENTRY_CHARS)
    mark = _NUMBER.match(text)
    if mark and int(mark.group(1)) == place:  # "1. Title" within JSON; other numbers belong to the title
        text = text[mark.end() :]
    text = _plain(text)
    if beside := _YEAR.search(text):
        text, year = text[: beside.start()], int(beside.group(1)) if year is None else year
    title = _unquoted(text)
    return NamedTitle(title, year) if any(map(str.isalnum, title)) else None


def _plain(text: str) -> str:
    """Without emphasis; of "**Title**: why" only the title and a year behind it."""
    mark = _EMPHASIS.match(text)
    if mark is None:
        return text
    rest = _YEAR.match(text, mark.end())
    return mark.group(2) + (rest.group() if rest else "")


def _unquoted(text: str) -> str:
    text = text.strip()
    mark = _QUOTE.match(text)
    return (mark.group(1) if mark else text).strip().rstrip(",;").strip()


def _year(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    found = _YEAR_VALUE.match(str(value)[:10]) if isinstance(value, int | str) else None
    return int(found.group()) if found else None
