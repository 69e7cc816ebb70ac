"""The SQLite file under a catalogue: opening, connections, and errors that say what to do."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rarec.errors import StoreError
from rarec.files import use_wal

APPLICATION_ID = 0x52415243  # "RARC"
SCHEMA_VERSION = 1
# Columns: position keeps the order of insertion, version is the write that last touched the row.
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    year INTEGER,
    popularity REAL NOT NULL,
    attributes TEXT NOT NULL,
    version INTEGER NOT NULL
);
CREATE INDEX items_version ON items (version);
CREATE TABLE deleted (id TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX deleted_version ON deleted (version);
"""

_MOST_FREE = 8
"""Connections that are kept open for the next transactions."""


class Database:
    """Connections to one store file; writes of this process go one after the other.

    A thread has a connection as long as its transaction lasts, and leaves it to the next one: threads come and go, and
    with one each they would add up.
    """

    def __init__(self, path: Path, *, busy_timeout_s: float) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._mine = threading.local()
        self._open: set[sqlite3.Connection] = set()
        self._free: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._write_lock = threading.RLock()
        self._closed = False

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """The one of this thread's transaction, else a free or a new one.

        Raises:
            StoreError: the store is closed or cannot be opened.
        """
        mine: sqlite3.Connection | None = getattr(self._mine, "connection", None)
        if mine is not None and not self._closed:
            yield mine
            return
        taken = self._take()
        self._mine.connection = taken
        try:
            yield taken
        finally:
            self._mine.connection = None
            self._leave(taken)

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            if self._closed:
                raise StoreError(f"the store {str(self.path)!r} has been closed; open it again")
            if self._free:
                return self._free.pop()
            opened = self._connect()
            self._open.add(opened)
            return opened

    def _leave(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if connection not in self._open:  # the store was closed meanwhile
                return
            if len(self._free) < _MOST_FREE and not connection.in_transaction:
                self._free.append(connection)
                return
            self._open.discard(connection)
        with suppress(sqlite3.Error):
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        with self.speaking():
            # isolation_level None: transactions are begun and ended here, never behind our back.
            # check_same_thread False: `close` ends the connections of every thread.
            opened = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=rw",
                uri=True,
                timeout=self._busy_timeout_s,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                if _may_change(opened):
                    use_wal(opened, timeout_s=self._busy_timeout_s)
                opened.execute("PRAGMA synchronous=FULL")  # what is acknowledged is on the disk
            except BaseException:
                opened.close()
                raise
        return opened

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A write transaction: committed at the end, rolled back by any exception."""
        with self._write_lock, self.speaking(), self.connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has rolled back by itself
                    connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A read transaction: every query in it sees the same state."""
        with self.speaking(), self.connection() as connection:
            inside = connection.in_transaction  # reading while this thread writes: see what it wrote
            if not inside:
                connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if not inside and connection.in_transaction:
                    connection.execute("COMMIT")

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Turn SQLite's errors into ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{_explained(self.path, error)} ({error})") from error

    def close(self) -> None:
        with self._lock:
            self._closed = True
            for connection in self._open:
                with suppress(sqlite3.Error):
                    connection.close()
            self._open.clear()
            self._free.clear()


def _may_change(connection: sqlite3.Connection) -> bool:
    """Whether the file is ours or empty; somebody else's database is not even switched to another journal."""
    ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    return ours or not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]


def create(database: Database) -> None:
    """Make the tables in an empty file. Two processes may do it at once; the second finds them there."""
    with database.writing() as connection:
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            return
        for statement in SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES ('version', '0')")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def check(database: Database) -> None:
    """Raises: StoreError if the file is no store of ours, or one that a newer rarec wrote."""
    with database.speaking(), database.connection() as connection:
        found = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    shown = repr(str(database.path))
    if found != APPLICATION_ID:
        raise StoreError(f"{shown} is not a rarec catalogue; give another path, or make one there with: rarec init")
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"{shown} has store format {version}, this rarec reads {SCHEMA_VERSION}; "
            f"{'upgrade rarec' if version > SCHEMA_VERSION else 'import the catalogue again into a new store'}"
        )


def _explained(path: Path, error: sqlite3.Error) -> str:
    shown = repr(str(path))
    code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    return {
        sqlite3.SQLITE_BUSY: f"the store {shown} is locked by another process; wait for it or stop it, then try again",
        sqlite3.SQLITE_LOCKED: f"the store {shown} is locked by another writer; try again",
        sqlite3.SQLITE_FULL: f"no space left for the store {shown}; nothing was changed, free some space and try again",
        sqlite3.SQLITE_READONLY: f"the store {shown} may not be written; check its permissions",
        sqlite3.SQLITE_CANTOPEN: f"the store {shown} cannot be opened; check the path and its permissions",
        sqlite3.SQLITE_NOTADB: f"{shown} is not a rarec catalogue; give another path",
        sqlite3.SQLITE_CORRUPT: f"the store {shown} is damaged; restore a copy or import the catalogue into a new one",
        sqlite3.SQLITE_IOERR: f"the store {shown} cannot be read or written; check the disk",
    }.get(code, f"the store {shown} failed; check the disk, then try again")
