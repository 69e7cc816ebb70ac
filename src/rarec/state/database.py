"""The service's database: SQLite in a file, or PostgreSQL by its URL; short transactions, and errors with a remedy."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from rarec.errors import MissingExtra, SettingsError, StoreError
from rarec.files import use_wal
from rarec.state.migrating import APPLICATION_ID, migrate

POSTGRES = "postgresql+psycopg"
_BUSY_S = 30.0
"""How long one writer of SQLite waits for the others; each holds the file for milliseconds."""
_POOL = 20
"""Connections of one process at most; a thread waits for one to become free."""


class StateDatabase:
    """Keys, sessions, turns, events and spend. Safe in any number of threads and processes; close it.

    Every function that takes one runs one short transaction and no await: call it in a thread
    (``anyio.to_thread.run_sync``). What a function returned is on the disk.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.shown = repr(engine.url.render_as_string(hide_password=True))
        """For messages."""
        # SQLite lets one write at a time and has others sleep and look again: of eight threads some wait for a second.
        self._turn = threading.Lock() if engine.dialect.name == "sqlite" else None

    @classmethod
    def open(cls, place: str | Path) -> StateDatabase:
        """Open a database, making or migrating its tables if needed; of several processes one does that.

        Args:
            place: a file, made if it is missing, or a URL ``postgresql+psycopg://user:password@host/database``.
        Raises:
            SettingsError: a URL of another kind.
            MissingExtra: psycopg is not installed.
            StoreError: it cannot be reached or written, is something else's, or a newer rarec wrote it.
        """
        database = cls(_engine(_url(place)))
        try:
            with database.speaking():
                migrate(database.engine, database.shown)
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """End the connections. Idempotent."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A write transaction: committed at the end, rolled back by any exception.

        On SQLite it has the file for itself from the start; on PostgreSQL lock the rows that a decision hangs on.
        """
        with self._alone(), self.speaking(), self.engine.connect() as connection:
            connection.execution_options(rarec_write=True)
            with connection.begin():
                yield connection

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Until the writers of this process that came before are done."""
        if self._turn is None:
            yield
            return
        if not self._turn.acquire(timeout=_BUSY_S):
            raise StoreError(f"the database {self.shown} was not free to write for {_BUSY_S:g} s; try again")
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A read transaction: every query in it sees the same state."""
        with self.speaking(), self.engine.connect() as connection:
            if connection.dialect.name == "postgresql":  # its usual level looks anew with every query
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield connection

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Turn the database's failures into ours; a violated constraint stays what it is, a fault of this code."""
        try:
            yield
        except PoolTimeout as error:
            raise StoreError(
                f"the database {self.shown} had no free connection in time; serve fewer requests at once"
            ) from error
        except (OperationalError, InterfaceError) as error:
            raise StoreError(f"{self._explained(error)} ({error.orig})") from error
        except DBAPIError as error:
            if isinstance(error.orig, sqlite3.DatabaseError) and not isinstance(error.orig, sqlite3.IntegrityError):
                raise StoreError(f"{self._explained(error)} ({error.orig})") from error
            raise

    def _explained(self, error: DBAPIError) -> str:
        code = (getattr(error.orig, "sqlite_errorcode", None) or 0) & 0xFF
        return {
            sqlite3.SQLITE_BUSY: f"the database {self.shown} is locked by another process; stop it, then try again",
            sqlite3.SQLITE_FULL: f"no space left for the database {self.shown}; free some space and try again",
            sqlite3.SQLITE_READONLY: f"the database {self.shown} may not be written; check its permissions",
            sqlite3.SQLITE_CANTOPEN: f"the database {self.shown} cannot be opened; check the path and its permissions",
            sqlite3.SQLITE_NOTADB: f"{self.shown} is no database; give another path",
            sqlite3.SQLITE_CORRUPT: f"the database {self.shown} is damaged; restore a copy",
        }.get(code, f"the database {self.shown} failed; check that it runs and may be written, then try again")


def _url(place: str | Path) -> URL:
    if isinstance(place, Path) or "://" not in place:
        return URL.create("sqlite", database=str(Path(place).absolute()))
    try:
        url = make_url(place)
    except ArgumentError as error:
        raise SettingsError("the URL of the database cannot be read; write " + _EXAMPLE) from error
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername=POSTGRES)
    if url.drivername not in ("sqlite", POSTGRES) or (url.drivername == "sqlite" and not url.database):
        raise SettingsError(
            f"no service database of the kind {url.render_as_string(hide_password=True)!r}; give a file, or {_EXAMPLE}"
        )
    return url


_EXAMPLE = f"{POSTGRES}://user:password@host:5432/database"


def _engine(url: URL) -> Engine:
    pool: dict[str, Any] = {"pool_size": 5, "max_overflow": _POOL - 5, "pool_pre_ping": url.drivername == POSTGRES}
    if url.drivername != POSTGRES:
        engine = create_engine(url, connect_args={"timeout": _BUSY_S, "check_same_thread": False}, **pool)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise MissingExtra.of("psycopg", "postgres", "a database at a postgresql URL") from None
    return create_engine(url, connect_args={"connect_timeout": 10}, **pool)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun and ended here, never behind our back
    empty = not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if empty or connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID:
        use_wal(connection, timeout_s=_BUSY_S)
    connection.execute("PRAGMA synchronous=FULL")  # what is acknowledged is on the disk
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("rarec_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
