"""Somebody's own predictions, read from a file and refused unless they are whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rarec.conversations.lines import json_records
from rarec.conversations.parquet import read_columns
from rarec.errors import InputError
from rarec.evaluate.gold import Gold
from rarec.evaluate.predict import check_predictions
from rarec.evaluate.predictions import Predictions
from rarec.evaluate.protocols import Scope
from rarec.types import ItemId


def read_user_predictions(
    path: str | Path,
    gold: Gold,
    *,
    system: str,
    depth: int,
    catalogue: Scope = "data-set",
    empty: bool = False,
) -> Predictions:
    """The predictions of a file for exactly the examples of the gold.

    JSONL (.zst and .gz too) has a line ``{"example": id, "items": [ids, best first]}`` for each example, Parquet the
    same columns. Ids may be numbers. If no list has `depth` items, the longest list says how far the file can be
    trusted, and measures beyond it are not told.

    Args:
        empty: whether empty lists are meant; they are misses.
    Raises:
        InputError: the file is missing, empty or wrong, or an example or an item comes twice, is unknown, or is
            missing; the first offending example is named.
    """
    path = Path(path)
    lists: dict[str, tuple[ItemId, ...]] = {}
    places: dict[str, str] = {}
    for place, example, items in _rows(path):
        if example in lists:
            raise InputError(f"{place}: the example {example!r} was given before, in {places[example]}; give it once")
        if not items and not empty:
            raise InputError(f"{place}: {example!r} has an empty list; add 'empty = true' if that is meant")
        lists[example], places[example] = items, place
    if not lists:
        raise InputError(f"{str(path)!r} has no predictions; the gold has {len(gold.examples)} examples")
    known = min(depth, max(map(len, lists.values())) or depth)
    found = Predictions(system, known, lists, catalogue=catalogue)
    check_predictions(gold, found)
    return found


def _rows(path: Path) -> Iterator[tuple[str, str, tuple[ItemId, ...]]]:
    """(where, example, items)."""
    if path.suffix == ".parquet":
        columns = read_columns(path, ("example", "items"), purpose="reading predictions")
        for row, (example, items) in enumerate(zip(*columns, strict=True), start=1):
            place = f"{str(path)!r}, row {row}"
            yield place, _id(place, "example", example), _items(place, example, items)
        return
    for record in json_records(path):
        place = f"{str(path)!r}, line {record.line}"
        record.only(("example", "items"))
        items = record.items("items")
        if None in items:
            raise record.error("items", "has a null; give ids")
        yield place, record.name("example"), tuple(item for item in items if item is not None)


def _items(place: str, example: object, items: Any) -> tuple[ItemId, ...]:
    if not isinstance(items, list):
        raise InputError(f"{place}: 'items' of {example!r} is {items!r}; give a list of ids, best first")
    return tuple(ItemId(_id(place, f"item of {example!r}", item)) for item in items)


def _id(place: str, what: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise InputError(f"{place}: {what} is {value!r}, which is no id; give text or a whole number")
    return str(value)
