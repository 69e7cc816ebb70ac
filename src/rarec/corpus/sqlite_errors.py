"""Errors of the SQLite files that a corpus is made with, as ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rarec.errors import StoreError


@contextmanager
def guarded(what: str, path: Path, remedy: str) -> Iterator[None]:
    """Turns errors of SQLite into a StoreError that names the file.

    Args:
        what: what the file is, after "cannot use".
        remedy: what to do, if there is space on the disk.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"cannot use {what} {str(path)!r}: {error}; free some space, or {remedy}") from error


__all__ = ["guarded"]
