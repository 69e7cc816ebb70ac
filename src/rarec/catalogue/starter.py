"""The catalogue that comes with the package: well-known films, described in our own words."""

from __future__ import annotations

from importlib import resources

from rarec.catalogue.fields import Rejection
from rarec.catalogue.importing import read_items
from rarec.errors import StoreError
from rarec.types import Item

_LISTS = ("original_title", "genres", "directors", "cast", "countries", "languages", "keywords")


def starter_items() -> tuple[Item, ...]:
    """The starter catalogue: over a thousand films with genres, people, keywords, a plot, popularity 1-100.

    Raises:
        StoreError: the packaged file is missing or damaged.
    """
    columns = {"text": "plot", **{f"attributes.{name}": name for name in _LISTS}}
    items: list[Item] = []
    packaged = resources.files("rarec.catalogue").joinpath("starter.jsonl")
    if not packaged.is_file():
        raise StoreError("the starter catalogue is not in this installation; install rarec again")
    with resources.as_file(packaged) as path:
        for row in read_items(path, columns=columns):
            if isinstance(row, Rejection):
                raise StoreError(f"the starter catalogue is damaged, {row}; install rarec again")
            items.append(row)
    return tuple(items)
