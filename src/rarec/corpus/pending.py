"""A change that is worked out and not yet written, on disk: no list of three million items is kept in memory."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from rarec.corpus.sqlite_errors import guarded
from rarec.types import Item, ItemId

_SCHEMA = """
CREATE TABLE named (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE put (number INTEGER PRIMARY KEY, item TEXT NOT NULL, embed INTEGER NOT NULL);
CREATE TABLE same (id TEXT NOT NULL);
CREATE TABLE retired (id TEXT NOT NULL);
"""


class Pending:
    """A scratch database; it is gone once it is closed, and what a kill left is overwritten by the next one.

    Args:
        path: of the file; only one may use it at a time.
    Raises:
        StoreError: it cannot be written, or the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        _remove(path)
        with self._guarded():
            self._connection = sqlite3.connect(path, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=OFF")  # nothing in it has to outlive a crash
            self._connection.execute("PRAGMA synchronous=OFF")
            self._connection.executescript(_SCHEMA)
            self._connection.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._connection.close()
        _remove(self._path)

    def name(self, ids: Sequence[ItemId]) -> list[ItemId]:
        """Note that the corpus has these ids; those that it had already."""
        with self._guarded():
            run = self._connection.execute
            return [i for i in ids if not run("INSERT OR IGNORE INTO named VALUES (?)", (i,)).rowcount]

    def put(self, item: Item, *, embed: bool) -> None:
        """An item that is new or changed, and whether the text that is embedded is."""
        fields = [item.id, item.title, item.text, item.year, dict(item.attributes), item.popularity]
        with self._guarded():
            self._connection.execute("INSERT INTO put (item, embed) VALUES (?, ?)", (json.dumps(fields), embed))

    def keep(self, item_id: ItemId) -> None:
        """An item that stays as it is."""
        with self._guarded():
            self._connection.execute("INSERT INTO same VALUES (?)", (item_id,))

    def retire(self, owned: Iterator[ItemId]) -> Iterator[ItemId]:
        """Note and give those of the owned ids, ascending, that the corpus does not name."""
        with self._guarded():
            named = (row[0] for row in self._connection.execute("SELECT id FROM named ORDER BY id"))
            at: str | None = next(named, None)
            for item_id in owned:
                while at is not None and at < item_id:
                    at = next(named, None)
                if at != item_id:
                    self._connection.execute("INSERT INTO retired VALUES (?)", (item_id,))
                    yield item_id

    def items(self, *, embedded: bool = False) -> Iterator[Item]:
        """What is put, in the corpus's order; only what has to be embedded, if asked so."""
        where = "WHERE embed" if embedded else ""
        for (written,) in self._rows(f"SELECT item FROM put {where} ORDER BY number"):
            item_id, title, text, year, attributes, popularity = json.loads(written)
            values = {name: tuple(listed) for name, listed in attributes.items()}
            yield Item(ItemId(item_id), title, text, year, values, popularity)

    def same(self) -> Iterator[ItemId]:
        """Ids of the items that stay as they are."""
        yield from (ItemId(row[0]) for row in self._rows("SELECT id FROM same ORDER BY rowid"))

    def retired(self) -> Iterator[ItemId]:
        """Ids of the items that go."""
        yield from (ItemId(row[0]) for row in self._rows("SELECT id FROM retired ORDER BY rowid"))

    def _rows(self, query: str) -> Iterator[tuple[str]]:
        with self._guarded():
            yield from self._connection.execute(query)

    def _guarded(self) -> AbstractContextManager[None]:
        return guarded("what is worked out in", self._path, "check its folder")


def _remove(path: Path) -> None:
    for name in (path.name, f"{path.name}-journal"):
        with suppress(FileNotFoundError):
            path.with_name(name).unlink()
