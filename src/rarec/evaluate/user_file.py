"""Somebody's own predictions, read from a file and refused unless they are whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
    if lists.keys() == {example.id for example in gold.examples}:  # else they are of another split
        _check_items(gold, lists, places, catalogue=catalogue)
    if not lists:
        raise InputError(f"{str(path)!r} has no predictions; the gold has {len(gold.examples)} examples")
    known = min(depth, max(map(len, lists.values())) or depth)
    found = Predictions(system, known, lists, catalogue=catalogue)
    try:
        check_predictions(gold, found)
    except InputError as error:
        raise InputError(f"{str(path)!r}: {error}; 'rarec data examples' lists what is asked") from None
    return found


def _check_items(
    gold: Gold,
    lists: Mapping[str, tuple[ItemId, ...]],
    places: Mapping[str, str],
    *,
    catalogue: Scope,
) -> None:
    """Raises InputError if an item is not in the catalogue or comes twice in a list; all of the kind are counted."""
    known = gold.catalogue(catalogue)
    unknown = [(item, name) for name, items in lists.items() for item in items if item not in known]
    if unknown:
        of = f"the corpus of {gold.data_set!r}" if catalogue == "corpus" else f"the catalogue of {gold.data_set!r}"
        raise InputError(
            f"{places[unknown[0][1]]}: {unknown[0][0]!r} is no item of {of}{_more(unknown)}; give ids as its items "
            "have them, or take what is no item out of the lists"
        )
    twice = [(item, name) for name, items in lists.items() for item, n in Counter(items).items() if n > 1]
    if twice:
        raise InputError(
            f"{places[twice[0][1]]}: {twice[0][0]!r} is in the list twice{_more(twice)}; give every item of a list once"
        )


def _more(found: Sequence[tuple[ItemId, str]]) -> str:
    """How many more there are, and in how many lists."""
    lists = len({name for _, name in found})
    return f" (and {len(found) - 1:,} more, in {lists:,} lists)" if len(found) > 1 else ""


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
