"""Files -> rows: JSONL, CSV and TSV (also packed, see `streams`) and Parquet, one row at a time."""

from __future__ import annotations

import csv
import json
import shlex
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from rarec.catalogue.fields import Rejection
from rarec.catalogue.streams import COMPRESSED, MAX_LINE_BYTES, Damaged, numbered_lines, open_bytes, plain_suffix
from rarec.catalogue.validation import shortened
from rarec.errors import InputError, MissingExtra

Format = Literal["jsonl", "csv", "parquet"]
Row = tuple[int, Mapping[str, object]]
HeaderCheck = Callable[[list[str]], None]

_SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_BATCH_ROWS = 2048
MAX_CELL = 131_072
"""Characters of a cell of a CSV file, as the csv module has it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is read.

    Attributes:
        delimiter: between the columns of a CSV file; empty goes by the file's name, a comma or a tab.
        encoding: of the text.
        max_line_bytes: longer lines are refused.
        max_cell: characters that a cell of a CSV file may have, over all its lines.
        members: what the file may be called in a zip archive with several.
        progress: called now and then with (bytes read of the file as it lies on the disk, bytes in all).
    """

    delimiter: str = ""
    encoding: str = "utf-8"
    max_line_bytes: int = MAX_LINE_BYTES
    max_cell: int = MAX_CELL
    members: Collection[str] = ()
    progress: Callable[[int, int], None] | None = None


_AS_USUAL = Reading()
_NOT_UTF8 = "not valid UTF-8"
_TOLD_ROWS = 4096


def format_of(path: Path, asked: str | None) -> Format:
    """The format asked for, else the one the file's name says.

    Raises:
        InputError: neither is a format that we read.
    """
    if asked is not None:
        if asked not in set(_SUFFIXES.values()):
            raise InputError(f"unknown format {asked!r}; use jsonl, csv or parquet")
        return asked
    found = _SUFFIXES.get(plain_suffix(path))
    if found is None:
        raise InputError(
            f"cannot tell the format of {str(path)!r} from its name; pass format: jsonl, csv or parquet "
            f"(known endings: {', '.join(_SUFFIXES)}, the text ones also with {', '.join(COMPRESSED)})"
        )
    return found


def rows_of(
    path: Path, *, form: Format, check_header: HeaderCheck, reading: Reading = _AS_USUAL
) -> Iterator[Row | Rejection]:
    """Rows of a file with their line numbers, and rejections of lines that are no rows; blank lines are skipped.

    Args:
        check_header: called once with the column names of a CSV or Parquet file; may raise.
    Raises:
        InputError: the file cannot be read at all (missing, damaged archive, no UTF-8 header), or a delimiter that is
            none or that the format does not have.
        MissingExtra: the package for Parquet or zstandard is not installed.
    """
    if reading.delimiter and (form != "csv" or not _can_delimit(reading.delimiter)):
        raise InputError(
            f"the delimiter {reading.delimiter!r} is of no use; give one character, such as ';', and a CSV file"
        )
    reader = {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet}[form]
    try:
        yield from reader(path, check_header, reading)
    except FileNotFoundError:
        raise InputError(f"no file {str(path)!r}; check the path") from None
    except (*Damaged, zlib.error) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}; is the file complete?") from error


def _jsonl(path: Path, _: HeaderCheck, reading: Reading) -> Iterator[Row | Rejection]:
    with told_lines(path, reading) as lines:
        for number, line in lines:
            if line is None:
                yield Rejection(number, _too_long(reading))
            elif line.strip():
                yield parsed_json(number, line, reading.encoding)


def parsed_json(number: int, line: bytes, encoding: str = "utf-8") -> Row | Rejection:
    """One line that holds a JSON object."""
    if b"\0" in line:
        return Rejection(number, f"contains a NUL byte: {shortened(line)}")
    try:
        row = json.loads(line.decode(encoding))
    except UnicodeDecodeError:
        return Rejection(number, f"not valid {encoding.upper()}: {shortened(line)}")
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "too deep or a number too long"
        return Rejection(number, f"not valid JSON ({reason}): {shortened(line.decode(encoding))}")
    if not isinstance(row, dict):
        return Rejection(number, f"not a JSON object: {shortened(row)}")
    return number, row


def remedy_for(path: Path, rejections: Sequence[Rejection]) -> str:
    """What mends all of some refused rows at once, if it is known; else nothing."""
    encoded = any(rejection.reason.startswith(_NOT_UTF8) for rejection in rejections)
    return _as_utf8(path) if encoded else ""


def _as_utf8(path: Path, written: str = "WINDOWS-1252") -> str:
    source, made = shlex.quote(str(path)), shlex.quote(f"utf8-{path.name}")
    return f"save the file as UTF-8, for example with: iconv -f {written} -t UTF-8 {source} > {made}"


def _can_delimit(text: str) -> bool:
    return len(text) == 1 and not text.isalnum() and text not in '"\r\n\0'


def _csv(path: Path, check_header: HeaderCheck, reading: Reading) -> Iterator[Row | Rejection]:
    too_long: list[int] = []
    with told_lines(path, reading) as lines:
        delimiter = reading.delimiter or ("\t" if plain_suffix(path) == ".tsv" else ",")
        records = csv.reader(_decoded(lines, too_long, reading.encoding), delimiter=delimiter, strict=True)
        header = _header(path, records, check_header)
        while header:
            first = records.line_num + 1
            try:
                record = _next(records, reading.max_cell)
            except csv.Error as error:
                yield Rejection(first, f"not valid CSV ({error}); is a quote left open?")
                continue
            if record is None:
                return
            if too_long:
                yield Rejection(too_long[0], _too_long(reading))
                too_long.clear()
            elif record:
                yield _record(first, header, record, reading.encoding)


def _next(records: Iterator[list[str]], max_cell: int) -> list[str] | None:
    if max_cell == MAX_CELL:
        return next(records, None)
    # The limit is the whole process's: others, whom a small one protects from an open quote, get theirs back.
    before = csv.field_size_limit(max_cell)
    try:
        return next(records, None)
    finally:
        csv.field_size_limit(before)


def _header(path: Path, records: Iterator[list[str]], check: HeaderCheck) -> list[str]:
    try:
        header = [name.strip() for name in next(records, [])]
    except csv.Error as error:
        raise InputError(f"the header of {str(path)!r} is not CSV: {error}") from None
    if any("\0" in name or not _is_utf8(name) for name in header):
        written = "UTF-16" if any("\0" in name for name in header) else "WINDOWS-1252"
        raise InputError(f"the header of {str(path)!r} is not UTF-8: {shortened(header)}; {_as_utf8(path, written)}")
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise InputError(f"the header of {str(path)!r} names {min(twice)!r} twice; rename one of the columns")
    if header:
        check(header)
    return header


def _record(number: int, header: list[str], record: list[str], encoding: str) -> Row | Rejection:
    if len(record) != len(header):
        return Rejection(number, f"{len(record)} fields, the header has {len(header)}: {shortened(record)}")
    for value in record:
        if "\0" in value:
            return Rejection(number, f"contains a NUL byte: {shortened(value)}")
        if not _is_utf8(value):
            return Rejection(number, f"not valid {encoding.upper()}: {shortened(value)}")
    return number, dict(zip(header, record, strict=True))


def _decoded(lines: Iterable[tuple[int, bytes | None]], too_long: list[int], encoding: str) -> Iterator[str]:
    # Bytes that are no text become lone surrogates: the reader can go on, and `_record` finds them.
    for number, line in lines:
        if line is None:
            too_long.append(number)
        yield (line or b"\n").decode(encoding, "surrogateescape")


def _is_utf8(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _parquet(path: Path, check_header: HeaderCheck, reading: Reading) -> Iterator[Row | Rejection]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra.of("pyarrow", "train", "reading Parquet files") from None
    try:
        with parquet.ParquetFile(path) as file:
            check_header(list(file.schema_arrow.names))
            number, size = 0, path.stat().st_size
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
                if reading.progress is not None:
                    reading.progress(size * number // file.metadata.num_rows, size)
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {str(path)!r} as Parquet: {shortened(str(error))}") from error


@contextmanager
def told_lines(path: Path, reading: Reading) -> Iterator[Iterator[tuple[int, bytes | None]]]:
    """The lines of a file, see `numbered_lines`; while they are read, it is told how far they are."""
    with open_bytes(path, members=reading.members) as (file, raw):
        yield _told(numbered_lines(file, max_bytes=reading.max_line_bytes), raw, path, reading)


def _told(
    lines: Iterator[tuple[int, bytes | None]], raw: BinaryIO, path: Path, reading: Reading
) -> Iterator[tuple[int, bytes | None]]:
    if (progress := reading.progress) is None:
        yield from lines
        return
    size = path.stat().st_size
    for number, line in lines:
        yield number, line
        if number % _TOLD_ROWS == 0:
            progress(min(raw.tell(), size), size)
    progress(size, size)


def _too_long(reading: Reading) -> str:
    return f"the line is longer than {reading.max_line_bytes:,} bytes"
