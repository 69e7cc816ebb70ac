"""Writing files so that a kill at any moment leaves the old content or the new, never a part."""

from __future__ import annotations

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from rarec.errors import StoreError


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; on success fsync it and rename it over `path`.

    The file has the permissions of any new file (the umask's). An OSError of the caller's own code counts as one of
    writing.

    Raises:
        StoreError: the disk is full or the folder cannot be written; `path` is as it was.
    """
    # Not `tempfile`: it makes files for the owner only, and finding out the umask would change it for other threads.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _fsync_folder(path.parent)
    except OSError as error:
        _remove(temporary)
        raise StoreError(
            f"cannot write {str(path)!r}: {error.strerror or error}; free some space or choose another folder"
        ) from error
    except BaseException:
        _remove(temporary)
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically; see `atomic_write`."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


def _fsync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    with suppress(OSError):  # it may never have been made; what went wrong before is what counts
        path.unlink()


def use_wal(connection: sqlite3.Connection, *, timeout_s: float) -> None:
    """Put a database into WAL mode, waiting while others open or close it.

    SQLite's own busy timeout does not cover this switch: of two that open a new file at once, one fails at once.

    Raises:
        sqlite3.OperationalError: it stayed locked for `timeout_s`, or something else is wrong.
    """
    until = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= until:
                raise
            time.sleep(0.01)
