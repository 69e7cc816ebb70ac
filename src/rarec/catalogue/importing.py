"""Importing a catalogue file: every row is accepted or refused with its line and a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rarec.catalogue.fields import BadField, Columns, Rejection, item_from
from rarec.catalogue.rows import Reading, format_of, remedy_for, rows_of
from rarec.catalogue.store import CatalogueStore
from rarec.errors import ImportRejected, InputError
from rarec.types import Item, ItemId

_LISTED = 10
_PROGRESS_ROWS = 1000


class RowsRejected(ImportRejected):
    """Rows were refused and nothing was imported; `rejections` has every one of them."""

    def __init__(self, path: Path, rejections: tuple[Rejection, ...]) -> None:
        listed = "\n".join(f"  {rejection}" for rejection in rejections[:_LISTED])
        more = f"\n  ... and {len(rejections) - _LISTED} more" if len(rejections) > _LISTED else ""
        count = f"{len(rejections)} row{'s' if len(rejections) > 1 else ''}"
        super().__init__(
            f"{count} of {str(path)!r} refused, nothing imported:\n{listed}{more}\n"
            f"What helps: {remedy_for(path, rejections) or 'correct the file'}, or skip the refused rows with skip_bad "
            "(--skip-bad)."
        )
        self.rejections = rejections


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did; the first three count items."""

    added: int
    updated: int
    unchanged: int
    rejected: tuple[Rejection, ...]


def read_items(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    format: str | None = None,
    delimiter: str | None = None,
    list_separator: str = "|",
    before: Mapping[str, str] | None = None,
) -> Iterator[Item | Rejection]:
    """Read items from a JSONL, CSV, TSV or Parquet file, one at a time, in the file's order.

    Without `columns` the columns ``id, title, text, year, popularity`` are those fields, an object
    ``attributes`` is taken as it is, and every other column becomes an attribute (``attributes.colour`` and
    ``colour`` alike). With `columns` (field -> column, e.g. ``{"id": "sku", "attributes.colour": "col"}``) only
    the attributes that it names are read; fields that it does not name keep their own column.

    A row without an id (no such column or key) gets one made of title and year, ``the-third-man-1949``; the
    second row with that id gets ``-2`` behind it, the third ``-3``, in the order of the file. Such an id holds
    only while titles, years and that order do: give real ids to a file that will be imported again. An id that
    is there but blank is refused.

    Refused, with line and reason: an empty id or title, an id that the file had before, a year that is no
    whole number or outside -3000..3000, a popularity that is negative or not a number, text that is not UTF-8
    or has NUL in it, a line over 1 MB, broken JSON or CSV, a nested attribute. Whole numbers written as
    ``1999.0`` are accepted. A file without any row gives nothing.

    Args:
        format: jsonl, csv or parquet; None goes by the file's name. ``.gz`` and ``.zst`` are opened.
        delimiter: between the columns of a CSV file; None is a comma, or a tab for .tsv.
        list_separator: splits the values of attribute columns in CSV files.
        before: the mapping of an earlier import into the same store, see `CatalogueStore.columns`.
    Raises:
        InputError: the file cannot be read, lacks a column, or `columns`, `delimiter` or `format` is wrong; or it has
            the column that ids came from before, and `columns` does not name one for the id.
        MissingExtra: the package for Parquet or zstandard is not installed.
    """
    source = Path(path)
    form = format_of(source, format)
    plan = Columns.of(columns, separator=list_separator, before=before)
    ids = _Ids()
    check = partial(plan.check_header, asked=columns)
    rows = rows_of(source, form=form, check_header=check, reading=Reading(delimiter=delimiter or ""))
    for row in rows:
        if isinstance(row, Rejection):
            yield row
            continue
        line, values = row
        try:
            item, derived = item_from(values, plan, split=form == "csv")
        except BadField as error:
            yield Rejection(line, str(error))
            continue
        yield ids.accept(item, line, derived=derived)


class _Ids:
    """The ids of a file so far: finds an id given twice, and keeps derived ones apart."""

    def __init__(self) -> None:
        self._lines: dict[ItemId, int] = {}
        self._numbers: dict[ItemId, int] = {}

    def accept(self, item: Item, line: int, *, derived: bool) -> Item | Rejection:
        if item.id in self._lines:
            if not derived:
                return Rejection(line, f"id {item.id!r} is already that of line {self._lines[item.id]}")
            item = replace(item, id=self._next(item.id))
        self._lines[item.id] = line
        return item

    def _next(self, item_id: ItemId) -> ItemId:
        while True:
            self._numbers[item_id] = number = self._numbers.get(item_id, 1) + 1
            if (free := ItemId(f"{item_id}-{number}")) not in self._lines:
                return free


def import_items(
    store: CatalogueStore,
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    format: str | None = None,
    delimiter: str | None = None,
    list_separator: str = "|",
    skip_bad: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Import a file into a store in one transaction; see `read_items` for what is read.

    Items whose id the store has are replaced; nothing is deleted. If a row is refused nothing is imported,
    unless `skip_bad`. A kill at any moment leaves the store as it was before or as it is after. The store remembers
    `columns` if they name one for the id, so that the next import is not done with other ids by mistake.

    Args:
        progress: called with the number of rows read so far, about every thousand and at the end.
    Raises:
        ImportRejected: (as `RowsRejected`, with `.rejections`) a row was refused and `skip_bad` is off.
        InputError: the file cannot be read or has no rows.
        StoreError: the store cannot be written.
    """
    source = Path(path)
    rejections: list[Rejection] = []
    read = 0

    def accepted() -> Iterator[Item]:
        nonlocal read
        for row in read_items(
            source, columns=columns, format=format, delimiter=delimiter, list_separator=list_separator,
            before=store.columns,
        ):  # fmt: skip
            read += 1
            if progress and read % _PROGRESS_ROWS == 0:
                progress(read)
            if isinstance(row, Rejection):
                rejections.append(row)
            elif skip_bad or not rejections:
                yield row
        if rejections and not skip_bad:
            raise RowsRejected(source, tuple(rejections))
        if not read:
            raise InputError(f"{str(source)!r} has no rows; an import needs at least one item")

    counts = store.add(accepted(), columns=columns if columns and "id" in columns else None)
    if progress:
        progress(read)
    return ImportReport(counts.added, counts.updated, counts.unchanged, tuple(rejections))
