"""Reddit-Movie v1 files (CSV or JSON lines) -> rows, and rows -> conversations, without holding a whole file."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rarec.conversations.lines import Progress, Record, json_records
from rarec.errors import InputError, MissingExtra

COLUMNS = ("conv_id", "turn_id", "turn_order", "is_seeker", "processed", "raw")
_BLOCK_BYTES = 8 << 20
_COMPRESSION = {".gz": "gzip", ".zst": "zstd"}
_TRUTH = {"true": True, "false": False, "1": True, "0": False}
_MARK = re.compile(r"\btt\d{6,9}\b")


@dataclass(frozen=True, slots=True)
class Row:
    """One turn of a path through a thread.

    Attributes:
        conversation: the path's id, e.g. "t3_rt7enj_0/14": the thread, the number of the path, and of all paths.
        turn: the post's or comment's id; paths of one thread share turns.
        order: its place in the path, from 0.
        seeker: written by who began the thread.
        text: as it was written.
        marks: IMDb ids of the films that were recognised in it, in order, repeated ones included.
    """

    conversation: str
    turn: str
    order: int
    seeker: bool
    text: str
    marks: tuple[str, ...]

    @property
    def thread(self) -> str:
        """The id of the thread's first post."""
        return thread_of(self.conversation)


def thread_of(conversation: str) -> str:
    """The thread of a path: the conversation's id without the number of the path."""
    return conversation.rpartition("_")[0] or conversation


def conversation_rows(path: Path, *, progress: Progress | None = None) -> Iterator[list[Row]]:
    """The turns of each conversation, in order; conversations in the order of their first rows.

    One conversation is in memory at a time if the rows of each stand together, which is found out by a first,
    quick reading of the ids. If they do not, all rows are kept: about what the columns raw and processed take.

    Raises:
        InputError: there is no such file, a column is missing, or a row is wrong; it is named.
        MissingExtra: pyarrow (or zstandard, for .zst) is not installed.
    """
    together = _stand_together(_ids(path, progress))
    rows = _rows(path, progress)
    if together:
        groups: Iterable[list[Row]] = (list(group) for _, group in groupby(rows, key=lambda row: row.conversation))
    else:
        kept: dict[str, list[Row]] = {}
        for row in rows:
            kept.setdefault(row.conversation, []).append(row)
        groups = kept.values()
    for group in groups:
        yield sorted(group, key=lambda row: row.order)


def _stand_together(ids: Iterable[str]) -> bool:
    seen: set[int] = set()
    for name, _ in groupby(ids):
        key = hash(name)  # eight bytes instead of the text; a collision only costs memory
        if key in seen:
            return False
        seen.add(key)
    return True


def _is_jsonl(path: Path) -> bool:
    return ".jsonl" in path.suffixes


def _ids(path: Path, progress: Progress | None) -> Iterator[str]:
    if _is_jsonl(path):
        yield from (record.name("conv_id") for record in json_records(path, progress=progress))
        return
    for batch in _batches(path, ("conv_id",), progress):
        yield from batch.column(0).to_pylist()


def _rows(path: Path, progress: Progress | None) -> Iterator[Row]:
    if _is_jsonl(path):
        yield from map(_row, json_records(path, progress=progress))
        return
    number = 0
    for batch in _batches(path, COLUMNS, progress):
        for value in batch.to_pylist():
            number += 1
            yield _row(Record(path, number, _typed(value), "", "row"))


def _typed(value: dict[str, str]) -> dict[str, object]:
    """A CSV row with the types that a JSON row has, where they can be had."""
    typed: dict[str, object] = dict(value)
    order = value["turn_order"].strip()
    if order.isascii() and order.removesuffix(".0").isdigit():
        typed["turn_order"] = int(order.removesuffix(".0"))
    if (seeker := value["is_seeker"].strip().lower()) in _TRUTH:
        typed["is_seeker"] = _TRUTH[seeker]
    return typed


def _row(record: Record) -> Row:
    return Row(
        conversation=record.name("conv_id"),
        turn=record.name("turn_id"),
        order=record.whole("turn_order"),
        seeker=record.flag("is_seeker"),
        text=_said(record, "raw"),
        marks=tuple(_MARK.findall(_said(record, "processed"))),
    )


def _said(record: Record, field: str) -> str:
    """The text of a cell such as ``['USER', 'any advice?']``, as a list or written as one; or of plain text."""
    value = record.get(field)
    if isinstance(value, str):
        if not value.startswith("["):
            return value
        value = _literal(value)
        if value is None:
            return record.text(field)
    if not isinstance(value, Sequence) or len(value) != 2 or not all(isinstance(part, str) for part in value):
        raise record.error(field, f"is not a pair of role and text: {str(value)[:80]!r}")
    return str(value[1])


def _literal(text: str) -> object:
    """The list that the text writes, in JSON's or Python's way; None if it writes none."""
    for parse in (json.loads, ast.literal_eval):
        try:
            value = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return value if isinstance(value, list) else None
    return None


def _batches(path: Path, columns: Sequence[str], progress: Progress | None) -> Iterator[Any]:
    try:
        import pyarrow
        from pyarrow import csv
    except ImportError:
        raise MissingExtra.of("pyarrow", "train", "reading Reddit-Movie") from None
    try:
        with _opened(path, pyarrow) as (file, source):
            size = path.stat().st_size
            reader = csv.open_csv(
                source,
                read_options=csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False),
                parse_options=csv.ParseOptions(newlines_in_values=True),
                convert_options=csv.ConvertOptions(
                    include_columns=list(columns),
                    column_types=dict.fromkeys(columns, pyarrow.string()),
                    strings_can_be_null=False,
                ),
            )
            for batch in reader:
                if progress is not None:
                    progress(min(file.tell(), size), size)
                yield batch
    except FileNotFoundError:
        raise InputError(f"no file {str(path)!r}; check the path") from None
    except KeyError as error:
        raise InputError(f"{str(path)!r} has no such column: {error}; it needs {', '.join(COLUMNS)}") from error
    except (OSError, pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {str(path)!r} as CSV: {str(error)[:300]}; is the file complete?") from error


@contextmanager
def _opened(path: Path, pyarrow: Any) -> Iterator[tuple[Any, Any]]:
    """The file, to ask how far it is, and what to read from."""
    with path.open("rb") as file:
        source: Any = pyarrow.PythonFile(file, mode="r")
        if path.suffix in _COMPRESSION:
            source = pyarrow.CompressedInputStream(source, _COMPRESSION[path.suffix])
        yield file, source
