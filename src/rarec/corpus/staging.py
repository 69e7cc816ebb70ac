"""What the sources of a corpus say, read once and kept in a file until the corpus is made of it."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarec.corpus.record import Problem, Record
from rarec.corpus.sqlite_errors import guarded
from rarec.errors import StoreError
from rarec.files import use_wal

VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sources (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, fingerprint TEXT NOT NULL,
    whole INTEGER NOT NULL, records INTEGER NOT NULL, problems INTEGER NOT NULL, rows TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS records (place INTEGER PRIMARY KEY, source INTEGER NOT NULL, key TEXT NOT NULL,
    line INTEGER NOT NULL, document TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS keys ON records (source, key);
CREATE TABLE IF NOT EXISTS texts (place INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS problems (source INTEGER NOT NULL, file TEXT NOT NULL, line INTEGER NOT NULL,
    reason TEXT NOT NULL, remedy TEXT NOT NULL, fatal INTEGER NOT NULL, used INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS problems_by_source ON problems (source);
"""
_BETWEEN_COMMITS = 20_000
_AT_ONCE = 500
_SHIFT = 40  # a place is the source's number and, below it, which of its records it is


@dataclass(frozen=True, slots=True)
class Staged:
    """A source that was read to its end.

    Attributes:
        records: how many are used.
        problems: how many were met.
        rows: name of a file -> rows that it has, where its reader tells.
    """

    records: int
    problems: int
    rows: Mapping[str, int] = field(default_factory=dict[str, int])


class Staging:
    """Records of all sources in a SQLite file; texts lie apart, so that what is compared is scanned without them.

    A source is there whole or not at all: one that was interrupted is read again from its start.

    Attributes:
        path: of the file; it is made if it does not exist, its folder is not.
    Raises:
        StoreError: the file is damaged, of another version, or its folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._guarded():
            self._connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        try:
            with self._guarded():
                self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        run = self._connection.execute
        use_wal(self._connection, timeout_s=30)
        run("PRAGMA synchronous=NORMAL")
        run("PRAGMA cache_size=-131072")
        version = run("PRAGMA user_version").fetchone()[0]
        if version not in (0, VERSION):
            raise StoreError(f"the staged sources {str(self.path)!r} have version {version!r}; delete the file")
        self._connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={VERSION}; COMMIT;")

    def staged(self, source: str, fingerprint: str) -> Staged | None:
        """What was read of a source, or None if it has to be read: it never was, not to its end, or of other files.

        Args:
            fingerprint: of everything that decides its records: kind, options, hashes of its files.
        """
        found = self._run(
            "SELECT records, problems, rows FROM sources WHERE name = ? AND fingerprint = ? AND whole",
            source,
            fingerprint,
        )
        return Staged(found[0][0], found[0][1], json.loads(found[0][2])) if found else None

    def stage(
        self,
        source: str,
        fingerprint: str,
        rows: Iterable[Record | Problem],
        *,
        counted: Mapping[str, int] | None = None,
    ) -> Staged:
        """Read a source, in place of what there was of it. A second record of a key becomes a problem.

        Args:
            counted: what the reader says of its files once it has read them, see `Staged.rows`.
        Raises:
            StoreError: the disk is full or the file damaged.
        """
        with self._guarded():
            number = self._begin(source, fingerprint)
            records = problems = 0
            try:
                for count, row in enumerate(rows, start=1):
                    problem = row if isinstance(row, Problem) else self._add(number, records, row)
                    if problem is None:
                        records += 1
                    else:
                        problems += 1
                        self._note(number, problem)
                    if count % _BETWEEN_COMMITS == 0:
                        self._connection.execute("COMMIT")
                        self._connection.execute("BEGIN IMMEDIATE")
                self._connection.execute(
                    "UPDATE sources SET whole = 1, records = ?, problems = ?, rows = ? WHERE number = ?",
                    (records, problems, json.dumps(dict(counted or {})), number),
                )
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        return Staged(records, problems, dict(counted or {}))

    def keep_only(self, sources: Iterable[str]) -> None:
        """Forget what was read of other sources."""
        wanted = set(sources)
        with self._guarded():
            for number, name in self._run("SELECT number, name FROM sources"):
                if name not in wanted:
                    self._forget(number)

    def places(self, sources: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
        """Of the records in the order of these sources and, within one, of their keys: the place, and which source.

        The order does not depend on that of the files. Shapes (n,) and (n,).
        """
        parts: list[NDArray[np.int64]] = []
        owners: list[NDArray[np.int16]] = []
        for at, source in enumerate(sources):
            query = "SELECT place FROM records WHERE source = (SELECT number FROM sources WHERE name = ?) ORDER BY key"
            with self._guarded():
                rows = self._connection.execute(query, (source,))
                part = np.fromiter((row[0] for row in rows), np.int64)
            parts.append(part)
            owners.append(np.full(len(part), at, np.int16))
        if not parts:
            return np.zeros(0, np.int64), np.zeros(0, np.int16)
        return np.concatenate(parts), np.concatenate(owners)

    def scan(self) -> Iterator[tuple[int, Record]]:
        """Every record with its place, in the order of places, without its text."""
        names = self._names()
        with closing(self._cursor("SELECT place, source, key, line, document FROM records ORDER BY place")) as rows:
            for place, source, key, line, document in rows:
                yield place, _record(names[source], key, line, document)

    def fetch(self, places: Sequence[int], *, texts: bool = True) -> dict[int, Record]:
        """The records at these places, with their texts or without."""
        names, found = self._names(), dict[int, Record]()
        for start in range(0, len(places), _AT_ONCE):
            part = sorted(places[start : start + _AT_ONCE])
            marks = ",".join("?" * len(part))
            rows = self._run(f"SELECT place, source, key, line, document FROM records WHERE place IN ({marks})", *part)
            for place, source, key, line, document in rows:
                found[place] = _record(names[source], key, line, document)
            for place, text in self._texts(part) if texts else ():
                found[place] = replace(found[place], text=text)
        return found

    def _texts(self, places: Sequence[int]) -> list[tuple[int, str]]:
        marks = ",".join("?" * len(places))
        return self._run(f"SELECT place, text FROM texts WHERE place IN ({marks})", *places)

    def problems(self) -> Iterator[tuple[str, Problem]]:
        """Every problem with the name of its source, in the order of sources and files."""
        columns = "name, file, line, reason, remedy, fatal, used"
        query = f"SELECT {columns} FROM problems JOIN sources ON source = number ORDER BY source, problems.rowid"
        with closing(self._cursor(query)) as rows:
            for name, file, line, reason, remedy, fatal, used in rows:
                yield name, Problem(file, line, reason, remedy, bool(fatal), bool(used))

    def unread(self) -> dict[str, int]:
        """Source -> how many of its files could not be read, or not to their end; sources without any are left out."""
        query = "SELECT name, count(*) FROM problems JOIN sources ON source = number WHERE fatal GROUP BY name"
        return {str(name): int(count) for name, count in self._run(query)}

    def close(self) -> None:
        """Let go of the file; what was staged whole stays."""
        self._connection.close()

    def _begin(self, source: str, fingerprint: str) -> int:
        for (number,) in self._run("SELECT number FROM sources WHERE name = ?", source):
            self._forget(number)
        self._connection.execute("BEGIN IMMEDIATE")
        done = self._connection.execute(
            "INSERT INTO sources (name, fingerprint, whole, records, problems, rows) VALUES (?, ?, 0, 0, 0, '{}')",
            (source, fingerprint),
        )
        return int(done.lastrowid or 0)

    def _forget(self, number: int) -> None:
        low, high = number << _SHIFT, (number + 1) << _SHIFT
        self._connection.execute("BEGIN IMMEDIATE")
        for table in ("records", "texts"):
            self._connection.execute(f"DELETE FROM {table} WHERE place >= ? AND place < ?", (low, high))
        self._connection.execute("DELETE FROM problems WHERE source = ?", (number,))
        self._connection.execute("DELETE FROM sources WHERE number = ?", (number,))
        self._connection.execute("COMMIT")

    def _add(self, source: int, count: int, record: Record) -> Problem | None:
        if wrong := _wrong(record):
            return Problem(record.source, record.line, wrong, "the record is not used")
        place = source << _SHIFT | count
        done = self._connection.execute(
            "INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?, ?)",
            (place, source, record.key, record.line, _document(record)),
        )
        if not done.rowcount:
            return Problem(record.source, record.line, f"a second record of {record.key!r}", "the first one is used")
        if record.text:
            self._connection.execute("INSERT INTO texts VALUES (?, ?)", (place, record.text))
        return None

    def _note(self, source: int, problem: Problem) -> None:
        values = (problem.file, problem.line, problem.reason, problem.remedy)
        plain = (value.encode("utf-8", "replace").decode() if isinstance(value, str) else value for value in values)
        self._connection.execute(
            "INSERT INTO problems VALUES (?, ?, ?, ?, ?, ?, ?)",
            (source, *plain, int(problem.fatal), int(problem.used)),
        )

    def _names(self) -> dict[int, str]:
        return dict(self._run("SELECT number, name FROM sources"))

    def _run(self, query: str, *values: Any) -> list[Any]:
        with self._guarded():
            return self._connection.execute(query, values).fetchall()

    def _cursor(self, query: str) -> sqlite3.Cursor:
        with self._guarded():
            return self._connection.execute(query)

    def _guarded(self) -> AbstractContextManager[None]:
        return guarded("the staged sources", self.path, "delete the file and read the sources again")


def _document(record: Record) -> str:
    parts = (
        record.titles,
        record.year,
        dict(record.ids),
        record.people,
        {name: values for name, values in record.attributes.items() if values},
        dict(record.counts),
    )
    return json.dumps(parts, separators=(",", ":"))


def _record(source: str, key: str, line: int, document: str) -> Record:
    titles, year, ids, people, attributes, counts = json.loads(document)
    return Record(
        source=source,
        key=key,
        titles=tuple(titles),
        year=year,
        ids=ids,
        people=tuple(people),
        attributes={name: tuple(values) for name, values in attributes.items()},
        counts=counts,
        line=line,
    )


def _wrong(record: Record) -> str:
    """Why a record cannot be kept; empty if it can."""
    if not record.key:
        return "a record without a key"
    if any(not math.isfinite(count) or count < 0 for count in record.counts.values()):
        return f"a count of {record.key!r} is negative or no number"
    for text in (record.key, record.text):
        if not text.isascii():
            try:
                text.encode("utf-8")
            except UnicodeEncodeError:
                return f"the text of {record.key!r} is not valid Unicode"
    return ""


__all__ = ["Staged", "Staging"]
