"""Joining the files of a source without holding them: numbers as bits, and the rest in a scratch database."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

MAX_NUMBER = 1_000_000_000
"""Numbers in ids are below; their set then takes at most 125 MB."""

_BATCH = 5_000
_LONG = 10_000
"""Characters of a text from which on it does not wait for others."""


class NumberSet:
    """Whole numbers from 0 to below `MAX_NUMBER`, a bit each up to the largest."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, number: int) -> None:
        """Let it be among them."""
        place = number >> 3
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 + (place >> 2) - len(self._bits)))
        self._bits[place] |= 1 << (number & 7)

    def __contains__(self, number: int) -> bool:
        place = number >> 3
        return 0 <= place < len(self._bits) and bool(self._bits[place] & (1 << (number & 7)))


class Batch:
    """Rows on their way into a table.

    Args:
        statement: that takes one row.
    """

    def __init__(self, database: sqlite3.Connection, statement: str) -> None:
        self._database, self._statement = database, statement
        self._rows: list[Sequence[Any]] = []

    def add(self, *row: object) -> None:
        """One row; it is in the table after `flush` at the latest."""
        self._rows.append(row)
        if len(self._rows) >= _BATCH or any(isinstance(cell, str) and len(cell) > _LONG for cell in row):
            self.flush()

    def flush(self) -> None:
        """Write those that wait."""
        self._database.executemany(self._statement, self._rows)
        self._rows.clear()


def number_in(text: str, prefix: str) -> int:
    """The number of an id such as ``tt0000012``; -1 if it is none, or too large."""
    if text.startswith(prefix) and (digits := text[len(prefix) :]).isascii() and digits.isdigit() and len(digits) < 11:
        number = int(digits)
        return number if number < MAX_NUMBER else -1
    return -1
