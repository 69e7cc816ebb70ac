"""Between Python and columns: times, texts and documents."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any

from rarec.errors import InputError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
MOST_NAME = 128


def now_us() -> int:
    """Microseconds since 1970, UTC."""
    return time.time_ns() // 1000


def time_of(microseconds: int) -> datetime:
    """The time that a column says."""
    return _EPOCH + timedelta(microseconds=microseconds)


def us_of(moment: datetime) -> int:
    """A time with its zone, for a column."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def iso(microseconds: int) -> str:
    """For documents, e.g. ``2026-11-20T18:30:00.000000Z``."""
    return time_of(microseconds).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def storable(text: str) -> str:
    """Text with U+FFFD for what no database takes: NUL, and halves of surrogate pairs. Its length stays."""
    return _UNSTORABLE.sub("\ufffd", text)


def check_name(name: str, what: str) -> None:
    """Raises InputError if a name is empty, longer than 128 characters, or holds what no database takes."""
    if not name.strip() or len(name) > MOST_NAME or _UNSTORABLE.search(name):
        raise InputError(f"{what} is {name[: MOST_NAME + 1]!r}; it has 1 to {MOST_NAME} characters of text, no NUL")


def document(value: Any) -> Any:
    """A document as both databases take it; numbers that are not finite become null."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, Mapping):
        return {storable(str(name)): document(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [document(entry) for entry in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    return value
