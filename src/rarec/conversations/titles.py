"""Titles with a year behind them -> items, for data sets that have no ids of their own."""

from __future__ import annotations

import re

from rarec.catalogue.fields import slug
from rarec.types import Item, ItemId

_YEAR = re.compile(r"^(.*?)\s*\(((?:1[89]|20)\d\d)\)\s*$", re.DOTALL)


def title_and_year(text: str) -> tuple[str, int | None]:
    """The title and the year in parentheses behind it; None if there is none.

    >>> title_and_year("Plum Jam (1999)")
    ('Plum Jam', 1999)
    """
    match = _YEAR.match(text)
    if match is None or not match[1].strip():
        return text.strip(), None
    return match[1].strip(), int(match[2])


def titled_item(text: str, item_id: ItemId | None = None) -> Item:
    """The item of a title with its year; its id is made of both unless one is given.

    Args:
        text: e.g. "Plum Jam (1999)"; not blank.
    """
    title, year = title_and_year(text)
    return Item(slug(title, year) if item_id is None else item_id, title, year=year)
