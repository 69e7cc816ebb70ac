"""Files -> rows: JSONL (plain, .gz, .zst), CSV, TSV and Parquet, one row at a time."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shlex
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from rarec.catalogue.fields import Rejection
from rarec.catalogue.validation import shortened
from rarec.errors import InputError, MissingExtra

Format = Literal["jsonl", "csv", "parquet"]
Row = tuple[int, Mapping[str, object]]
HeaderCheck = Callable[[list[str]], None]

MAX_LINE_BYTES = 1_000_000
_NOT_UTF8 = "not valid UTF-8"
_SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_COMPRESSED = (".gz", ".zst")
_BATCH_ROWS = 2048


def format_of(path: Path, asked: str | None) -> Format:
    """The format asked for, else the one the file's name says.

    Raises:
        InputError: neither is a format that we read.
    """
    if asked is not None:
        if asked not in set(_SUFFIXES.values()):
            raise InputError(f"unknown format {asked!r}; use jsonl, csv or parquet")
        return asked
    found = _SUFFIXES.get(_plain_suffix(path))
    if found is None:
        raise InputError(
            f"cannot tell the format of {str(path)!r} from its name; pass format: jsonl, csv or parquet "
            f"(known endings: {', '.join(_SUFFIXES)}, the text ones also with .gz or .zst)"
        )
    return found


def rows_of(
    path: Path, *, form: Format, check_header: HeaderCheck, delimiter: str | None = None
) -> Iterator[Row | Rejection]:
    """Rows of a file with their line numbers, and rejections of lines that are no rows; blank lines are skipped.

    Args:
        delimiter: between the columns of a CSV file, one character; None is a comma, or a tab for .tsv.
        check_header: called once with the column names of a CSV or Parquet file; may raise.
    Raises:
        InputError: the file cannot be read at all (missing, damaged archive, no UTF-8 header), or a delimiter that is
            none or that the format does not have.
        MissingExtra: the package for Parquet or zstandard is not installed.
    """
    if delimiter is not None and (form != "csv" or not _can_delimit(delimiter)):
        raise InputError(f"the delimiter {delimiter!r} is of no use; give one character, such as ';', and a CSV file")
    readers: dict[Format, Callable[[Path, HeaderCheck], Iterator[Row | Rejection]]]
    readers = {"jsonl": _jsonl, "csv": partial(_csv, delimiter=delimiter), "parquet": _parquet}
    try:
        yield from readers[form](path, check_header)
    except FileNotFoundError:
        raise InputError(f"no file {str(path)!r}; check the path") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}; is the file complete?") from error


def _jsonl(path: Path, _: HeaderCheck) -> Iterator[Row | Rejection]:
    with _open(path) as file:
        for number, line in _lines(file):
            if line is None:
                yield Rejection(number, f"the line is longer than {MAX_LINE_BYTES:,} bytes")
            elif line.strip():
                yield _parsed(number, line)


def _parsed(number: int, line: bytes) -> Row | Rejection:
    if b"\0" in line:
        return Rejection(number, f"contains a NUL byte: {shortened(line)}")
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        return Rejection(number, f"{_NOT_UTF8}: {shortened(line)}")
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "too deep or a number too long"
        return Rejection(number, f"not valid JSON ({reason}): {shortened(line.decode('utf-8'))}")
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


def _csv(path: Path, check_header: HeaderCheck, *, delimiter: str | None = None) -> Iterator[Row | Rejection]:
    too_long: list[int] = []
    with _open(path) as file:
        used = delimiter or ("\t" if _plain_suffix(path) == ".tsv" else ",")
        records = csv.reader(_decoded(file, too_long), delimiter=used, strict=True)
        header = _header(path, records, check_header)
        while header:
            first = records.line_num + 1
            try:
                record = next(records, None)
            except csv.Error as error:
                yield Rejection(first, f"not valid CSV ({error}); is a quote left open?")
                continue
            if record is None:
                return
            if too_long:
                yield Rejection(too_long[0], f"the line is longer than {MAX_LINE_BYTES:,} bytes")
                too_long.clear()
            elif record:
                yield _record(first, header, record)


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


def _record(number: int, header: list[str], record: list[str]) -> Row | Rejection:
    if len(record) != len(header):
        return Rejection(number, f"{len(record)} fields, the header has {len(header)}: {shortened(record)}")
    for value in record:
        if "\0" in value:
            return Rejection(number, f"contains a NUL byte: {shortened(value)}")
        if not _is_utf8(value):
            return Rejection(number, f"{_NOT_UTF8}: {shortened(value)}")
    return number, dict(zip(header, record, strict=True))


def _decoded(file: BinaryIO, too_long: list[int]) -> Iterator[str]:
    # Bytes that are no UTF-8 become lone surrogates: the reader can go on, and `_record` finds them.
    for number, line in _lines(file):
        if line is None:
            too_long.append(number)
        yield (line or b"\n").decode("utf-8", "surrogateescape")


def _is_utf8(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)


def _parquet(path: Path, check_header: HeaderCheck) -> Iterator[Row | Rejection]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra.of("pyarrow", "train", "reading Parquet files") from None
    try:
        with parquet.ParquetFile(path) as file:
            check_header(list(file.schema_arrow.names))
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {str(path)!r} as Parquet: {shortened(str(error))}") from error


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Numbered lines with their ends; None for one that is too long, which is skipped without being kept."""
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if len(line) <= MAX_LINE_BYTES or line.endswith(b"\n"):
            yield number, line
            continue
        while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
            pass
        yield number, None


def _open(path: Path) -> AbstractContextManager[BinaryIO]:
    if path.suffix == ".gz":
        return cast(AbstractContextManager[BinaryIO], gzip.open(path, "rb"))
    if path.suffix == ".zst":
        return _open_zstandard(path)
    return path.open("rb")


@contextmanager
def _open_zstandard(path: Path) -> Iterator[BinaryIO]:
    try:
        import zstandard
    except ImportError:
        raise MissingExtra.of("zstandard", "train", "reading .zst files") from None
    with path.open("rb") as file:
        try:
            yield cast(BinaryIO, io.BufferedReader(_Frames(file, zstandard.ZstdDecompressor())))
        except zstandard.ZstdError as error:
            raise OSError(str(error)) from error


class _Frames(io.RawIOBase):
    """The content of a zstandard file of any number of frames; one that is cut short is an error, not its end."""

    def __init__(self, file: BinaryIO, decompressor: Any) -> None:
        self._file = file
        self._decompressor = decompressor
        self._frame: Any = None
        self._input = b""
        self._output = io.BytesIO()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not (size := self._output.readinto(buffer)):
            # Little at a time: a kilobyte can hold thirty megabytes.
            self._input = self._input or self._file.read(1024)
            if not self._input:
                if self._frame is not None:
                    raise EOFError("it ends in the middle of a frame")
                return 0
            self._frame = self._frame or self._decompressor.decompressobj()
            self._output = io.BytesIO(self._frame.decompress(self._input))
            self._input = self._frame.unused_data if self._frame.eof else b""
            if self._frame.eof:
                self._frame = None
        return size


def _plain_suffix(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""
