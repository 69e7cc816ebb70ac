"""Any table with columns of its own: books, games, the goods of a shop, exports that have no reader here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from rarec.catalogue.streams import MAX_LINE_BYTES
from rarec.catalogue.validation import shortened
from rarec.corpus.files import SourceFile
from rarec.corpus.record import Problem, Record
from rarec.corpus.sources.config import Named, Part, TextSourceConfig
from rarec.corpus.sources.notes import Notes
from rarec.corpus.sources.opening import source_file
from rarec.corpus.sources.seen import SeenKeys
from rarec.corpus.sources.values import distinct, is_nothing, split_list
from rarec.progress import OnProgress

_Column = Annotated[str, Field(min_length=1)]
_LONGEST_ID = 512


class TableColumns(Part):
    """Which column feeds what of a record.

    Attributes:
        id: names the thing in this source, the same in every dump.
        title: its main one; of a list the first is, and the rest are other titles.
        titles: columns with other titles.
        year: of release or publication; a date will do.
        text: description; HTML is taken out of it. The texts of a list are its lines.
        people: columns with who made it, the most important first.
        ids: namespace -> column, e.g. ``isbn = "isbn13"``.
        attributes: attribute -> column.
        counts: count -> column.
    """

    id: _Column
    title: _Column
    titles: tuple[_Column, ...] = ()
    year: _Column | None = None
    text: _Column | None = None
    people: tuple[_Column, ...] = ()
    ids: dict[str, _Column] = Field(default_factory=dict)
    attributes: dict[str, _Column] = Field(default_factory=dict)
    counts: dict[str, _Column] = Field(default_factory=dict)

    def all(self) -> list[str]:
        """Each column that is read, once."""
        single = [column for column in (self.id, self.title, self.year, self.text) if column]
        named = [*self.ids.values(), *self.attributes.values(), *self.counts.values()]
        return list(dict.fromkeys([*single, *self.titles, *self.people, *named]))


class TableSource(TextSourceConfig):
    """A CSV, TSV, JSONL or Parquet table with columns of its own.

    Attributes:
        columns: which column feeds what.
        form: jsonl, csv (tables with tabs too) or parquet; empty goes by the files' endings.
        delimiter: between the columns of a CSV file; empty goes by the ending, a comma or a tab.
        separator: between the values of a cell, where the form has no lists.
        max_line_bytes: longer lines are refused.
    """

    kind: Literal["table"]
    files: Named
    columns: TableColumns
    form: Literal["", "jsonl", "csv", "parquet"] = ""
    delimiter: str = Field(default="", max_length=1)
    separator: str = "|"
    max_line_bytes: int = Field(default=MAX_LINE_BYTES, ge=1000, le=1_000_000_000)

    def namespaces(self) -> frozenset[str]:
        return frozenset(self.columns.ids)

    def counts(self) -> frozenset[str]:
        return frozenset(self.columns.counts)

    def attributes(self) -> frozenset[str]:
        return frozenset(self.columns.attributes)


def read(
    source: TableSource,
    files: Mapping[str, Path],
    *,
    scratch: Path,
    progress: OnProgress,
    rows: dict[str, int] | None = None,
) -> Iterator[Record | Problem]:
    """Records of a table; see `rarec.corpus.sources.config.Reader`."""
    with SeenKeys(scratch) as seen:
        for key in files:
            file = source_file(
                source, files, key, progress, rows, encoding=source.encoding, max_line_bytes=source.max_line_bytes
            )
            for row in file.table(source.columns.all(), form=source.form or None, delimiter=source.delimiter):
                if isinstance(row, Problem):
                    yield row
                else:
                    yield from _record(source, file, row, seen)


def _record(
    source: TableSource, file: SourceFile, row: tuple[int, Mapping[str, object]], seen: SeenKeys
) -> Iterator[Record | Problem]:
    (line, cells), columns = row, source.columns
    key = _id(cells.get(columns.id))
    if wrong := _not_text(cells, (columns.title, columns.text or "")):
        yield file.problem(line, wrong, "name a column of texts in the recipe, or correct the row")
        return
    main = _texts_of(cells.get(columns.title))
    titles = distinct(
        [
            *main,
            *(title for column in columns.titles for title in split_list(cells.get(column), source.separator)),
        ]
    )
    if not key or len(key) > _LONGEST_ID:
        what = f"is too long: {shortened(key)}" if key else "is empty"
        yield file.problem(line, f"the id in column {columns.id!r} {what}", "give each row an id of its own")
        return
    if not main:
        yield file.problem(line, f"the title in column {columns.title!r} is empty", "give it a title or delete the row")
        return
    if first := seen.first_place(key, line, file.name):
        reason = f"the id {shortened(key)} was on {first} already"
        yield file.problem(line, reason, "the first is kept; delete one, or give it an id of its own")
        return
    notes = Notes(file, line)
    counts = {name: notes.number(name, cells.get(column)) for name, column in columns.counts.items()}
    lists = {name: split_list(cells.get(column), source.separator) for name, column in columns.attributes.items()}
    people = (person for column in columns.people for person in split_list(cells.get(column), source.separator))
    record = Record(
        source=source.name,
        key=key,
        titles=titles,
        year=notes.year(cells.get(columns.year)) if columns.year else None,
        ids={name: found for name, column in columns.ids.items() if (found := _id_elsewhere(cells.get(column)))},
        people=distinct(people),
        attributes={name: values for name, values in lists.items() if values},
        text=notes.text("\n".join(_texts_of(cells.get(columns.text)))) if columns.text else "",
        counts={name: number for name, number in counts.items() if number is not None},
        line=line,
    )
    yield from notes.found
    yield file.checked(record)


def _id_elsewhere(value: object) -> str:
    """An id that others know; what tools write for none, such as ``nan``, would make one thing of all that lack it."""
    return "" if is_nothing(value) else _id(value)


def _not_text(cells: Mapping[str, object], names: Iterable[str]) -> str:
    """What of these columns is no text; empty if all are: texts, numbers or lists of them."""
    for name in names:
        value = cells.get(name)
        parts = value if isinstance(value, (list, tuple)) else (value,)
        if any(isinstance(part, (dict, list, tuple)) for part in parts):
            return f"the value in column {name!r} is no text: {shortened(json.dumps(value, default=str))}"
    return ""


def _texts_of(value: object) -> tuple[str, ...]:
    """A text, or those of a list, without empty ones."""
    parts = value if isinstance(value, (list, tuple)) else (value,)
    return tuple(text for part in parts if part is not None and (text := str(part)).strip())


def _id(value: object) -> str:
    """An id as text; columns with gaps turn 12 into 12.0 in many tools."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None or isinstance(value, (bool, list, dict)) else " ".join(str(value).split())
