"""What makes an item acceptable, in one place: the importer and the store ask the same questions."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rarec.types import Item

YEAR_MIN, YEAR_MAX = -3000, 3000
_SHOWN_CHARACTERS = 60


def shortened(value: object) -> str:
    """The value as Python writes it, cut to about sixty characters, for messages."""
    # A megabyte of text is cut before it is quoted, not after.
    head = value[: _SHOWN_CHARACTERS * 2] if isinstance(value, (str, bytes)) else value
    text = repr(head)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


def text_problem(name: str, value: object) -> str | None:
    """Why `value` cannot be stored as text, or None if it can."""
    if not isinstance(value, str):
        return f"{name} is not text: {shortened(value)}"
    if "\0" in value:
        return f"{name} contains a NUL character: {shortened(value)}"
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return f"{name} is not valid UTF-8: {shortened(value)}"
    return None


def item_problem(item: Item) -> str | None:
    """The first reason why an item cannot enter a catalogue, or None if it can.

    An id or title must not be blank, an id has no control characters, a year is a whole number from
    -3000 to 3000, a popularity is finite and not negative, attributes are name -> tuple of texts.
    """
    for name, value in (("id", item.id), ("title", item.title), ("text", item.text)):
        if problem := text_problem(name, value):
            return problem
        if name != "text" and not value.strip():
            return f"{name} is empty: {shortened(value)}"
    if not item.id.isprintable():
        return f"id has a control character: {shortened(item.id)}"
    return _year_problem(item.year) or _popularity_problem(item.popularity) or _attributes_problem(item.attributes)


def _year_problem(year: object) -> str | None:
    if year is None:
        return None
    if isinstance(year, bool) or not isinstance(year, int):
        return f"year is not a whole number: {shortened(year)}"
    if not YEAR_MIN <= year <= YEAR_MAX:
        return f"year is outside {YEAR_MIN}..{YEAR_MAX}: {shortened(year)}"
    return None


def _popularity_problem(popularity: object) -> str | None:
    if isinstance(popularity, bool) or not isinstance(popularity, (int, float)):
        return f"popularity is not a number: {shortened(popularity)}"
    try:
        number = float(popularity)
    except OverflowError:
        return f"popularity is too large: {shortened(popularity)}"
    if not math.isfinite(number) or number < 0:
        return f"popularity must be finite and not negative: {shortened(popularity)}"
    return None


def _attributes_problem(attributes: object) -> str | None:
    if not isinstance(attributes, Mapping):
        return f"attributes is not a mapping: {shortened(attributes)}"
    for name, values in attributes.items():
        if problem := text_problem("an attribute's name", name):
            return problem
        if not name.strip():
            return "an attribute's name is empty"
        if not isinstance(values, tuple):
            return f"attribute {name!r} is not a tuple of texts: {shortened(values)}"
        for value in values:
            if problem := text_problem(f"attribute {name!r}", value):
                return problem
    return None
