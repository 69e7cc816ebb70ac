"""An item as a row of the store, and what the store says of itself."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from rarec.catalogue.validation import item_problem, text_problem
from rarec.errors import InputError, StoreError
from rarec.types import Item, ItemId

COLUMNS = "id, title, text, year, popularity, attributes"
_AT_ONCE = 500
Row = tuple[str, str, str, int | None, float, str]
"""The columns in their order; attributes are JSON."""

INSERT = f"INSERT INTO items ({COLUMNS}, version) VALUES (?, ?, ?, ?, ?, ?, ?)"
UPDATE = "UPDATE items SET title = ?, text = ?, year = ?, popularity = ?, attributes = ?, version = ? WHERE id = ?"


def row_of(item: Item) -> Row:
    """Raises InputError if the item cannot enter a catalogue."""
    if problem := item_problem(item):
        raise InputError(f"item {item.id!r} cannot be stored: {problem}")
    attributes = json.dumps(dict(item.attributes), ensure_ascii=False, separators=(",", ":"))
    return item.id, item.title, item.text, item.year, float(item.popularity), attributes


def item_of(row: Row) -> Item:
    attributes = {name: tuple(values) for name, values in json.loads(row[5]).items()}
    return Item(ItemId(row[0]), row[1], row[2], row[3], attributes, row[4])


def find(connection: sqlite3.Connection, item_id: str) -> Row | None:
    """The row of an id; None if there is none."""
    if text_problem("id", item_id):
        return None  # SQLite would refuse to look for what it cannot store
    row: Row | None = connection.execute(f"SELECT {COLUMNS} FROM items WHERE id = ?", (item_id,)).fetchone()
    return row


def find_many(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, Row]:
    """The rows of those ids that are there, in the order of `ids`, which holds each once."""
    found: dict[str, Row] = {}
    for start in range(0, len(ids), _AT_ONCE):
        askable = [item_id for item_id in ids[start : start + _AT_ONCE] if not text_problem("id", item_id)]
        marks = ",".join("?" * len(askable))
        rows = connection.execute(f"SELECT {COLUMNS} FROM items WHERE id IN ({marks})", askable)
        found |= {row[0]: row for row in rows}
    return {item_id: found[item_id] for item_id in ids if item_id in found}


def version_of(connection: sqlite3.Connection) -> int:
    """How many writes have changed something."""
    return int(meta(connection, "version"))


def meta(connection: sqlite3.Connection, key: str) -> str:
    """What the store says of itself. Raises StoreError if it says nothing of the kind."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    if row is None:
        raise StoreError(f"the store has no {key!r}; it is damaged: restore a copy or import into a new one")
    return str(row[0])


def set_meta(connection: sqlite3.Connection, key: str, value: str) -> None:
    connection.execute("REPLACE INTO meta VALUES (?, ?)", (key, value))
