"""Files of JSON lines whose first line says how many there are, so that a part is never taken for the whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from rarec.errors import RarecError, StoreError
from rarec.files import write_text

VERSION = 1
AGAIN = "run `rarec align` with the same recipe and folder again, it asks nothing that was answered"
_Value = TypeVar("_Value")


def write_records(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write the file atomically; equal records give equal bytes. Raises StoreError if it cannot be written."""
    lines = [json.dumps(record, ensure_ascii=True, allow_nan=False) for record in records]
    header = json.dumps({"version": VERSION, "records": len(lines)})
    write_text(path, "\n".join([header, *lines]) + "\n")


def read_records(path: Path, parse: Callable[[Any], _Value]) -> list[_Value]:
    """What `write_records` wrote, each record through `parse`.

    Raises:
        StoreError: the file is missing, damaged, of a later version, or `parse` raised an error of a wrong value.
    """
    lines = read_whole(path).splitlines()
    try:
        header = json.loads(lines[0])
        version, records = int(header["version"]), int(header["records"])
    except (IndexError, ValueError, KeyError, TypeError):
        raise StoreError(f"{str(path)!r} does not begin as a file of an alignment run; {AGAIN}") from None
    if version > VERSION:
        raise StoreError(f"{str(path)!r} is of version {version}, later than {VERSION}; update rarec")
    if records != len(lines) - 1:
        raise StoreError(f"{str(path)!r} has {len(lines) - 1} of its {records} records; {AGAIN}")
    return [_parsed(path, number, line, parse) for number, line in enumerate(lines[1:], start=2)]


def read_whole(path: Path) -> str:
    """The text of a file of a finished run. Raises StoreError if it is missing or is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StoreError(f"there is no {str(path)!r}, which a finished run has; {AGAIN}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"cannot read {str(path)!r}: {error}; {AGAIN}") from error


def _parsed(path: Path, number: int, line: str, parse: Callable[[Any], _Value]) -> _Value:
    try:
        return parse(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, RarecError) as error:
        what = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise StoreError(f"line {number} of {str(path)!r} is damaged: {what}; {AGAIN}") from error
