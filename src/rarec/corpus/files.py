"""The files of a source: their rows one at a time, and what is wrong with them as problems, never as errors."""

from __future__ import annotations

import difflib
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rarec.catalogue.fields import Rejection
from rarec.catalogue.rows import MAX_CELL, Format, Reading, format_of, rows_of, told_lines
from rarec.catalogue.streams import MAX_LINE_BYTES, Damaged, open_bytes
from rarec.catalogue.validation import shortened, text_problem
from rarec.corpus.json_objects import Broken, objects_in
from rarec.corpus.record import Problem, Record
from rarec.errors import InputError
from rarec.progress import OnProgress

Row = tuple[int, Mapping[str, object]]
Fields = tuple[int, list[str]]
Line = tuple[int, str]

_SHOWN_COLUMNS = 12
_MOST_NAMES = 1000
_AGAIN = "take this dump again, and compare its size with the publisher's"
_REMEDIES = {
    "NUL byte": "delete the NUL bytes, or take the dump again",
    "not valid UTF-8": "save the file as UTF-8, or name its encoding in the recipe if all of it has another",
    "not valid": "correct the line or delete it",
    "longer than": "no row is that long; a line end or a quote is missing there: correct it or delete the line",
    "not a JSON object": "write one object a line",
    "fields, the header has": "put values that hold the separator into quotes, or correct the line",
}


class WrongColumns(InputError):
    """A file does not have the columns that its form has."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason, self.remedy = reason, remedy


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a source while it is read.

    Attributes:
        path: where it lies.
        name: as the recipe writes it, for problems.
        stage: what is told to `progress`.
        progress: how far it is; told in bytes of the file as it lies on the disk.
        key: its name among the source's files, under which `rows` is told how many rows it has.
        encoding: of its text.
        members: what it may be called in a zip archive with several files.
        max_line_bytes: longer lines become problems, without being kept in memory.
    """

    path: Path
    name: str
    stage: str
    progress: OnProgress
    key: str = ""
    rows: dict[str, int] | None = None
    encoding: str = "utf-8"
    members: Collection[str] = ()
    max_line_bytes: int = MAX_LINE_BYTES

    def problem(self, line: int, reason: str, remedy: str = "", *, fatal: bool = False, used: bool = False) -> Problem:
        """Something that is wrong in it; line 0 is the whole file."""
        return Problem(self.name, line, reason, remedy, fatal=fatal, used=used)

    def table(
        self, columns: Collection[str], *, form: Format | None = None, delimiter: str = "", max_cell: int = MAX_CELL
    ) -> Iterator[Row | Problem]:
        """Rows of a JSONL, CSV, TSV or Parquet file by the names of their columns; the ending tells which.

        Args:
            columns: that a table must have; of a JSONL file, some row.
            delimiter: of a CSV file; empty goes by the ending, a comma or a tab.
            max_cell: characters that a cell of a CSV file may have.
        """
        counter, headers, seen = _Counter(self), list[list[str]](), _Seen(columns)

        def check_header(header: list[str]) -> None:
            headers.append(header)
            check_columns(header, columns)

        try:
            found = form or format_of(self.path, None)
            rows = rows_of(
                self.path,
                form=found,
                check_header=check_header,
                reading=self._reading(counter, delimiter, max_cell),
            )
            for row in rows:
                if isinstance(row, Rejection):
                    yield self._rejected(row)
                else:
                    counter.rows += 1
                    if found == "jsonl":
                        seen.take(row[1])
                    yield row
            if found == "csv" and not headers:
                check_columns((), columns)
            if counter.rows and (wrong := seen.missing()):
                yield self.problem(0, *wrong)
        except InputError as error:
            yield self._unreadable(error, counter)
        yield from counter.close()

    def separated(self, separator: str, columns: Collection[str], *, header: bool = True) -> Iterator[Fields | Problem]:
        """Rows of a text file whose values are split at a separator and never quoted, in the order of `columns`.

        Args:
            columns: that it must have; without a header, those that it has, in order.
            header: its first line names its columns, perhaps others too and in another order.
        """
        places, width = list(range(len(columns))), len(columns)
        counter = _Counter(self)
        for line in self._lines(counter):
            if isinstance(line, Problem):
                yield line
                continue
            number, text = line
            cells = text.split(separator)
            if header:
                header = False
                names = [name.strip() for name in cells]
                try:
                    check_columns(names, columns)
                except WrongColumns as error:
                    yield self._unreadable(error, counter)
                    break
                places, width = [names.index(column) for column in columns], len(names)
            elif len(cells) == width:
                counter.rows += 1
                yield number, [cells[place] for place in places]
            elif text.strip():
                reason = f"{len(cells)} values, a row has {width}: {shortened(text)}"
                remedy = "a separator is missing or too many; correct the line or delete it"
                yield self.problem(number, reason, remedy)
        yield from counter.close()

    def beginning(self) -> str:
        """Its first line, whatever the encoding; empty if it cannot be read, which is told when its rows are."""
        try:
            with _unreadable_as_input(), open_bytes(self.path, members=self.members) as (file, _):
                return file.readline(self.max_line_bytes).decode("ascii", "replace")
        except InputError:
            return ""

    def lines(self) -> Iterator[Line | Problem]:
        """Numbered lines of a text file without their ends."""
        counter = _Counter(self)
        for line in self._lines(counter):
            counter.rows += not isinstance(line, Problem)
            yield line
        yield from counter.close()

    def _lines(self, counter: _Counter) -> Iterator[Line | Problem]:
        try:
            with _unreadable_as_input(), told_lines(self.path, self._reading(counter, "")) as lines:
                for number, line in lines:
                    text = self._decoded(number, line)
                    yield (number, text) if isinstance(text, str) else text
        except InputError as error:
            yield self._unreadable(error, counter)

    def objects(self) -> Iterator[Row | Problem]:
        """Objects of a JSON file: one a line, or in a list, however that is laid out. The line is where one begins."""
        counter = _Counter(self)
        try:
            with _unreadable_as_input(), open_bytes(self.path, members=self.members) as (file, raw):
                size = self.path.stat().st_size
                for chunk in objects_in(file, encoding=self.encoding, max_chars=self.max_line_bytes):
                    for found in chunk:
                        if isinstance(found, Broken):
                            yield self.problem(found.line, found.reason, found.remedy, fatal=found.last)
                        else:
                            counter.rows += 1
                            yield found
                    counter.tell(min(raw.tell(), size), size)
        except InputError as error:
            yield self._unreadable(error, counter)
        yield from counter.close()

    def checked(self, record: Record) -> Record | Problem:
        """A record whose texts can be stored; JSON can hold NUL and halves of characters in disguise."""
        texts = [record.key, record.text, *record.titles, *record.people, *record.ids.values()]
        texts += [value for values in record.attributes.values() for value in values]
        for text in texts:
            if problem := None if text.isascii() and "\0" not in text else text_problem("a value", text):
                return self.problem(record.line, problem, "correct the row or delete it")
        return record

    def _reading(self, counter: _Counter, delimiter: str, max_cell: int = MAX_CELL) -> Reading:
        return Reading(delimiter, self.encoding, self.max_line_bytes, max_cell, self.members, counter.tell)

    def _decoded(self, number: int, line: bytes | None) -> str | Problem:
        if line is None:
            return self._rejected(Rejection(number, f"the line is longer than {self.max_line_bytes:,} bytes"))
        if b"\0" in line:
            return self._rejected(Rejection(number, f"contains a NUL byte: {shortened(line)}"))
        try:
            return line.decode(self.encoding).rstrip("\r\n")
        except UnicodeDecodeError:
            return self._rejected(Rejection(number, f"not valid {self.encoding.upper()}: {shortened(line)}"))

    def _rejected(self, rejection: Rejection) -> Problem:
        remedy = next((remedy for words, remedy in _REMEDIES.items() if words in rejection.reason), "")
        return self.problem(rejection.line, rejection.reason, remedy)

    def _unreadable(self, error: InputError, counter: _Counter) -> Problem:
        counter.failed, rows = True, counter.rows
        if isinstance(error, WrongColumns):
            return self.problem(1, error.reason, error.remedy, fatal=True)
        after = f"after {rows:,} rows " if rows else ""
        if isinstance(error.__cause__, EOFError):
            return self.problem(0, f"ends {after}in the middle of its archive: {error.__cause__}", _AGAIN, fatal=True)
        if isinstance(error.__cause__, (*Damaged, zlib.error)):
            return self.problem(0, f"cannot be read {after}on: {error.__cause__}", _AGAIN, fatal=True)
        return self.problem(0, str(error), fatal=True)


class _Counter:
    """Rows of a file, told with the bytes."""

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self.rows = 0
        self.failed = False

    def tell(self, done: int, total: int) -> None:
        self._file.progress(self._file.stage, done, total, f"{self.rows:,} rows")

    def close(self) -> Iterator[Problem]:
        """Say how many rows there were, and that there were none."""
        if self._file.rows is not None:
            self._file.rows[self._file.key] = self.rows
        if not self.rows and not self.failed:
            yield self._file.problem(0, "no row of it was read", "check that it is the right file", used=True)


class _Seen:
    """Which names the objects of a JSONL file have.

    Args:
        columns: that some object must have.
    """

    def __init__(self, columns: Collection[str]) -> None:
        self._columns = columns
        self._missing = set(columns)
        self._names: dict[str, None] = {}

    def take(self, row: Mapping[str, object]) -> None:
        """Look at an object."""
        if self._missing:
            self._missing.difference_update(row)
            if len(self._names) < _MOST_NAMES:
                self._names.update(dict.fromkeys(row))

    def missing(self) -> tuple[str, str] | None:
        """Which columns are nowhere, and what to do; None if each is somewhere, or no object was looked at."""
        if not self._missing or not self._names:
            return None
        lacking = [column for column in self._columns if column in self._missing]
        return _lack(lacking, list(self._names), "no object has"), "correct the name in the recipe, or leave it out"


@contextmanager
def _unreadable_as_input() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise InputError("there is no such file; check the path") from None
    except (*Damaged, zlib.error) as error:
        raise InputError(str(error)) from error


def check_columns(header: Iterable[str], columns: Collection[str]) -> None:
    """Refuse a table that lacks columns.

    Raises:
        WrongColumns: names those that are missing, what may stand for them, and those that there are.
    """
    names = list(header)
    if lacking := [column for column in columns if column not in names]:
        remedy = "name the file that has them, or correct its first line"
        raise WrongColumns(_lack(lacking, names, "has no column"), remedy)


def _lack(lacking: list[str], names: list[str], verb: str) -> str:
    """What is not there, what may stand for it, and what there is."""
    near = {name: close[0] for name in lacking if (close := difflib.get_close_matches(name, names, n=1))}
    guess = "".join(f"; is it {other!r} for {name!r}?" for name, other in near.items()) or "."
    shown = ", ".join(map(repr, names[:_SHOWN_COLUMNS])) + (" ..." if len(names) > _SHOWN_COLUMNS else "")
    return f"{verb} {', '.join(map(repr, lacking))}{guess} Its columns are {shown or 'none'}"
