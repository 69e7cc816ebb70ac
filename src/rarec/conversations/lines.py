"""JSONL files (plain, .gz, .zst) -> records whose fields are checked as they are read."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from rarec.errors import InputError, MissingExtra
from rarec.types import ItemId

_Value = TypeVar("_Value")
Progress = Callable[[int, int], None]
"""Called with (bytes of the file read so far, bytes of the file); packed files count as they lie."""

_CHUNK_BYTES = 1 << 16
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Record:
    """One JSON object of a line, or one inside it; `prefix` leads from the line's object to this one.

    Attributes:
        unit: what `line` counts.
    """

    path: Path
    line: int
    value: Mapping[str, object]
    prefix: str = ""
    unit: str = "line"

    def error(self, field: str, problem: str) -> InputError:
        """What to raise when `field` is wrong: it names file, line, field and remedy."""
        return InputError(
            f"{str(self.path)!r} {self.unit} {self.line}, field {self.prefix + field!r}: {problem}; "
            f"correct or remove this {self.unit}, or get the file again"
        )

    def only(self, fields: Collection[str]) -> None:
        """Refuse a field that is not among these: a misspelt one would be lost without a word."""
        for field in self.value:
            if field not in fields:
                raise self.error(field, f"is unknown; use {', '.join(fields)}")

    def has(self, field: str) -> bool:
        return self.value.get(field) is not None

    def get(self, field: str) -> object:
        if field not in self.value:
            raise self.error(field, f"is missing (the object has {_shown(list(self.value))})")
        return self.value[field]

    def text(self, field: str) -> str:
        return self._text(field, self.get(field))

    def name(self, field: str) -> str:
        """A text or a whole number that identifies something, as text; not empty."""
        value = self.get(field)
        text = str(value) if _is_whole(value) else self._text(field, value)
        if not text.strip():
            raise self.error(field, "is empty")
        return text

    def whole(self, field: str) -> int:
        value = self.get(field)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.error(field, f"is not a whole number: {_shown(value)}")
        return value

    def flag(self, field: str) -> bool:
        value = self.get(field)
        if not isinstance(value, bool):
            raise self.error(field, f"is neither true nor false: {_shown(value)}")
        return value

    def choice(self, field: str, allowed: Mapping[str, _Value]) -> _Value:
        text = self.text(field)
        if text not in allowed:
            raise self.error(field, f"is {_shown(text)}, not one of {', '.join(allowed)}")
        return allowed[text]

    def entries(self, field: str) -> list[object]:
        value = self.get(field)
        if not isinstance(value, list):
            raise self.error(field, f"is not a list: {_shown(value)}")
        return cast("list[object]", value)

    def texts(self, field: str) -> list[str]:
        return [self._text(f"{field}[{i}]", value) for i, value in enumerate(self.entries(field))]

    def names(self, field: str) -> list[str | None]:
        """Texts or whole numbers that identify something; null is None."""
        return [
            None if value is None else str(value) if _is_whole(value) else self._text(f"{field}[{i}]", value)
            for i, value in enumerate(self.entries(field))
        ]

    def item(self, field: str) -> ItemId | None:
        return self._item(field, self.get(field))

    def items(self, field: str) -> list[ItemId | None]:
        """Item ids; null, which means that the source could not be mapped to an item, is None."""
        return [self._item(f"{field}[{i}]", value) for i, value in enumerate(self.entries(field))]

    def record(self, field: str) -> Record:
        return self._record(field, self.get(field))

    def records(self, field: str) -> list[Record]:
        return [self._record(f"{field}[{i}]", value) for i, value in enumerate(self.entries(field))]

    def _record(self, field: str, value: object) -> Record:
        if not isinstance(value, dict):
            raise self.error(field, f"is not an object: {_shown(value)}")
        return Record(self.path, self.line, value, f"{self.prefix}{field}.", self.unit)

    def _text(self, field: str, value: object) -> str:
        if not isinstance(value, str):
            raise self.error(field, f"is not text: {_shown(value)}")
        return value

    def _item(self, field: str, value: object) -> ItemId | None:
        if value is None:
            return None
        if isinstance(value, str) and value.strip():
            return ItemId(value)
        if _is_whole(value):
            return ItemId(str(value))
        raise self.error(field, f"is not an item id: {_shown(value)}")


class FirstLines:
    """Refuses an id that a file had before."""

    def __init__(self) -> None:
        self._lines: dict[str, int] = {}

    def add(self, record: Record, field: str, name: str) -> None:
        """Remember `name`, which `field` of the record holds. Raises: InputError if an earlier line had it."""
        if (line := self._lines.setdefault(name, record.line)) != record.line:
            raise record.error(field, f"{name!r} is already that of {record.unit} {line}")


def json_records(
    path: str | Path, *, progress: Progress | None = None, on_torn: Callable[[int], None] | None = None
) -> Iterator[Record]:
    """The objects of a JSONL file in order, one at a time; blank lines are skipped.

    Args:
        progress: called about every 64 kB.
        on_torn: called with the number of a last line that has no end and is no object, as a kill leaves it; the line
            is then passed over. None takes it for a wrong line like any other.
    Raises:
        InputError: there is no such file, the archive is cut short or damaged, or a line is not an object.
        MissingExtra: the file is .zst and zstandard is not installed.
    """
    path = Path(path)
    for number, (line, ended) in enumerate(_lines(path, progress), start=1):
        if not line.strip():
            continue
        try:
            value = _parsed(path, number, line)
        except InputError:
            if ended or on_torn is None:
                raise
            on_torn(number)
            return
        yield Record(path, number, value)


def json_table(path: Path) -> dict[str, str]:
    """A JSON file (not packed) that holds one object of texts.

    Raises:
        InputError: there is no such file, or it is not such an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}; check the path") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{str(path)!r} is not JSON: {error}; get the file again") from error
    if not isinstance(value, dict):
        raise InputError(f"{str(path)!r} is not a JSON object: {_shown(value)}; get the file again")
    for name, text in value.items():
        if not isinstance(text, str):
            raise InputError(f"{str(path)!r}, field {name!r}: is not text: {_shown(text)}; get the file again")
    return value


def text_lines(path: str | Path, *, progress: Progress | None = None) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 text file (plain, .gz, .zst) with their numbers, without their ends.

    Raises:
        InputError: there is no such file, the archive is cut short or damaged, or a line is not UTF-8.
        MissingExtra: the file is .zst and zstandard is not installed.
    """
    path = Path(path)
    for number, (line, _) in enumerate(_lines(path, progress), start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            where = f"{str(path)!r} line {number}"
            raise InputError(f"{where} is not UTF-8 at byte {error.start}; save the file as UTF-8") from None
        yield number, text.removesuffix("\r")


def _parsed(path: Path, number: int, line: bytes) -> Mapping[str, object]:
    where = f"{str(path)!r} line {number}"
    remedy = "correct or remove this line, or get the file again"
    try:
        value = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is not UTF-8 at byte {error.start}; save the file as UTF-8") from None
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "too deep or a number too long"
        raise InputError(f"{where} is not JSON ({reason}): {_shown(line.decode())}; {remedy}") from None
    if not isinstance(value, dict):
        raise InputError(f"{where} is not a JSON object: {_shown(value)}; {remedy}")
    return value


def _lines(path: Path, progress: Progress | None) -> Iterator[tuple[bytes, bool]]:
    """Each line without its end, and whether it had one."""
    begun: list[bytes] = []  # pieces of a line without its end; joined once, or a long line would take squared time
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            for chunk in _chunks(path, file):
                if progress is not None:
                    progress(file.tell(), size)
                first, *lines = chunk.split(b"\n")
                begun.append(first)
                if lines:
                    yield b"".join(begun), True
                    yield from ((line, True) for line in lines[:-1])
                    begun = [lines[-1]]
    except FileNotFoundError:
        raise InputError(f"no file {str(path)!r}; check the path") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}; is the file complete?") from error
    if rest := b"".join(begun):
        yield rest, False


def _chunks(path: Path, file: BinaryIO) -> Iterator[bytes]:
    if path.suffix == ".zst":
        yield from _zstandard_chunks(file)
        return
    if path.suffix == ".gz" and not os.fstat(file.fileno()).st_size:
        raise EOFError("it is empty, and no archive")  # gzip would take it for an archive of nothing
    source = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if path.suffix == ".gz" else file
    while chunk := source.read(_CHUNK_BYTES):
        yield chunk


def _zstandard_chunks(file: BinaryIO) -> Iterator[bytes]:
    try:
        import zstandard
    except ImportError:
        raise MissingExtra.of("zstandard", "train", "reading .zst files") from None
    # The stream reader ends without a word where a file is cut short; a decompressor knows whether it was done.
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    while chunk := file.read(_CHUNK_BYTES):
        while chunk:
            if decompressor.eof:
                decompressor = zstandard.ZstdDecompressor().decompressobj()
            try:
                yield decompressor.decompress(chunk)
            except zstandard.ZstdError as error:
                raise OSError(str(error)) from error
            chunk = decompressor.unused_data if decompressor.eof else b""
    if not decompressor.eof:
        raise EOFError("the compressed data end too early")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: object) -> str:
    text = repr(value[: 2 * _SHOWN_CHARACTERS] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
