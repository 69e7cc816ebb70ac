"""Which keys a source had before, on disk: a dump of any size is checked in the same memory."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import TracebackType

_CACHE_KB = 16_384


class SeenKeys:
    """A set of keys with the line of each; a context manager.

    Args:
        folder: where its file is made.
    """

    def __init__(self, folder: Path) -> None:
        self._database = scratch_database(folder / "seen.sqlite")
        self._database.execute("CREATE TABLE seen (key TEXT PRIMARY KEY, line INTEGER, file TEXT) WITHOUT ROWID")

    def __enter__(self) -> SeenKeys:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._database.close()

    def first_line(self, key: str, line: int) -> int | None:
        """The line that had this key before; None if none had, and from now on this one has."""
        found = self._first(key, line, "")
        return None if found is None else found[0]

    def first_place(self, key: str, line: int, file: str) -> str:
        """As `first_line`, in one of several files: ``line 12``, with the file's name if it is another; else empty."""
        found = self._first(key, line, file)
        return "" if found is None else f"line {found[0]:,}" + ("" if found[1] == file else f" of {found[1]}")

    def _first(self, key: str, line: int, file: str) -> tuple[int, str] | None:
        added = self._database.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (key, line, file))
        if added.rowcount:
            return None
        found: tuple[int, str] = self._database.execute("SELECT line, file FROM seen WHERE key = ?", (key,)).fetchone()
        return found


def scratch_database(path: Path) -> sqlite3.Connection:
    """A new database that need not outlive the process: bounded memory, no journal, nothing waits for the disk."""
    database = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = OFF", "synchronous = OFF", "temp_store = FILE", f"cache_size = -{_CACHE_KB}"):
        database.execute(f"PRAGMA {pragma}")
    database.execute("PRAGMA locking_mode = EXCLUSIVE").fetchone()
    database.execute("BEGIN")
    return database
