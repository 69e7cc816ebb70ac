"""The file that says of every item of a corpus what it was made of and why: evidence.sqlite."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from rarec.corpus.clusters import Reason
from rarec.corpus.record import Record
from rarec.corpus.sqlite_errors import guarded
from rarec.errors import StoreError

VERSION = 1
NAME = "evidence.sqlite"
_SCHEMA = """
CREATE TABLE items (id TEXT PRIMARY KEY, title TEXT NOT NULL, year INTEGER, popularity REAL NOT NULL,
    origin TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE records (number INTEGER PRIMARY KEY, item TEXT NOT NULL, source TEXT NOT NULL, key TEXT NOT NULL,
    line INTEGER NOT NULL, titles TEXT NOT NULL, year INTEGER, ids TEXT NOT NULL, people TEXT NOT NULL,
    counts TEXT NOT NULL);
CREATE TABLE unions (one INTEGER NOT NULL, other INTEGER NOT NULL, reason INTEGER NOT NULL, detail TEXT NOT NULL);
CREATE TABLE refused (one INTEGER NOT NULL, other INTEGER NOT NULL, reason INTEGER NOT NULL, detail TEXT NOT NULL);
CREATE TABLE reasons (number INTEGER PRIMARY KEY, name TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE renamed (old TEXT PRIMARY KEY, new TEXT NOT NULL, why TEXT NOT NULL) WITHOUT ROWID;
CREATE VIEW provenance AS
    SELECT items.id AS item, field.key AS field, records.source AS source, records.key AS key
    FROM items, json_each(items.origin) AS field, json_each(field.value) AS place
    JOIN records ON records.number = place.value;
"""
_INDEXES = """
CREATE INDEX records_by_item ON records (item);
CREATE UNIQUE INDEX records_by_key ON records (source, key);
CREATE INDEX unions_by_one ON unions (one);
CREATE INDEX refused_by_one ON refused (one);
CREATE INDEX refused_by_other ON refused (other);
"""
Link = tuple[int, int, Reason, str]
"""Two records by number, why, and what the reason is about."""


class EvidenceWriter:
    """Writes the file; nothing else may read it until `close`.

    Args:
        path: no file may be there yet.
    Raises:
        StoreError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with using_evidence(path):
            self._connection = sqlite3.connect(path, isolation_level=None)
            run = self._connection.execute
            run("PRAGMA journal_mode=OFF")  # a build that is cut off writes the file anew
            run("PRAGMA synchronous=OFF")
            self._connection.executescript(_SCHEMA)
            self._connection.execute(f"PRAGMA user_version={VERSION}")
            self._connection.executemany(
                "INSERT INTO reasons VALUES (?, ?, ?)", [(r.value, r.name.lower(), r.text) for r in Reason]
            )
            run("BEGIN")

    def add_item(
        self,
        item: str,
        *,
        title: str,
        year: int | None,
        popularity: float,
        origin: Mapping[str, Sequence[int]],
        records: Iterable[tuple[int, Record]],
    ) -> None:
        """An item with its records by number; `origin` names those that each field was taken from."""
        with using_evidence(self._path):
            self._connection.execute(
                "INSERT INTO items VALUES (?, ?, ?, ?, ?)", (item, title, year, popularity, _json(origin))
            )
            self._connection.executemany(
                "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        number,
                        item,
                        record.source,
                        record.key,
                        record.line,
                        _json(record.titles),
                        record.year,
                        _json(dict(record.ids)),
                        _json(record.people),
                        _json(dict(record.counts)),
                    )
                    for number, record in records
                ],
            )

    def add_links(self, unions: Iterable[Link], refused: Iterable[Link]) -> None:
        """What was joined and what was not."""
        with using_evidence(self._path):
            for table, links in (("unions", unions), ("refused", refused)):
                self._connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", links)

    def add_renamed(self, renamed: Iterable[tuple[str, str, str]]) -> None:
        """Ids of the corpus before that no item has now: the old one, the item it went into, and why."""
        with using_evidence(self._path):
            self._connection.executemany("INSERT OR IGNORE INTO renamed VALUES (?, ?, ?)", renamed)

    def close(self) -> None:
        """Finish the file."""
        with using_evidence(self._path):
            self._connection.execute("COMMIT")
            self._connection.executescript(_INDEXES)
            self._connection.close()

    def abandon(self) -> None:
        """Let go of a file that will not be finished."""
        self._connection.close()


def open_evidence(folder: Path) -> sqlite3.Connection:
    """The evidence of a corpus folder, read only.

    Raises:
        StoreError: the folder is no corpus, or of another version.
    """
    path = folder / NAME
    if not path.is_file():
        raise StoreError(
            f"no corpus in {str(folder)!r}: {NAME} is missing; name the folder that `rarec corpus build` made"
        )
    with using_evidence(path):
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != VERSION:
        connection.close()
        raise StoreError(f"the evidence {str(path)!r} has version {version!r}, not {VERSION}; build the corpus again")
    return connection


def using_evidence(path: Path) -> AbstractContextManager[None]:
    """Errors of SQLite name the evidence, a file or its folder, as a StoreError."""
    return guarded("the evidence", path, "build the corpus again")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


__all__ = ["NAME", "VERSION", "EvidenceWriter", "Link", "open_evidence", "using_evidence"]
