"""Reading what a corpus folder holds: its manifest, and its items one at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rarec.catalogue.fields import BadField, Columns, Rejection, item_from
from rarec.catalogue.rows import rows_of
from rarec.errors import InputError, MissingExtra
from rarec.types import Item

ITEMS = "items.parquet"
MANIFEST = "corpus.json"
EVIDENCE = "evidence.sqlite"
FORMAT = 1
_PROGRESS_ROWS = 2000
Count = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class CorpusFolder:
    """A finished corpus.

    Attributes:
        name: that its recipe gives it; items of one name are one corpus, in whatever version.
        made: when, ISO 8601; empty where it is not said.
        dumps: source -> date of its dump, ISO 8601, where it is known.
        extents: source -> whether it was read ``whole``, ``in part`` or ``not at all``, where it is known.
        records: source -> how many of its records are used, where it is known.
        rows: of its items.
        attributes: names of all that its items may have.
        manifest: everything that ``corpus.json`` says.
    """

    path: Path
    name: str
    made: str
    dumps: Mapping[str, str]
    extents: Mapping[str, str]
    records: Mapping[str, int]
    rows: int
    attributes: tuple[str, ...]
    manifest: Mapping[str, Any] = field(repr=False)

    def items(self, progress: Count | None = None) -> Iterator[Item]:
        """Its items in the file's order, one at a time; a row group is in memory.

        Args:
            progress: called with (rows read, rows in all).
        Raises:
            InputError: a row is no item, or the file is damaged.
        """
        columns = Columns.of(None)
        done = 0
        for row in rows_of(self.path / ITEMS, form="parquet", check_header=_check_header):
            if isinstance(row, Rejection):
                raise self._damaged(str(row))
            try:
                item, derived = item_from(row[1], columns, split=False)
            except BadField as error:
                raise self._damaged(f"row {row[0]}: {error}") from None
            if derived:
                raise self._damaged("it has no column 'id'")
            yield item
            done += 1
            if progress is not None and done % _PROGRESS_ROWS == 0:
                progress(done, self.rows)
        if progress is not None:
            progress(done, self.rows)

    def _damaged(self, what: str) -> InputError:
        return InputError(f"{str(self.path / ITEMS)!r} is damaged, {what}; build the corpus again")


def item_of(folder: Path, item_id: str) -> Item | None:
    """One item of a corpus; None if it has none of this id. Of the others only ids are read.

    Raises:
        InputError: the file is missing or damaged.
        MissingExtra: pyarrow is not installed.
    """
    _shape(folder / ITEMS)
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(folder / ITEMS) as file:
            for number in range(file.num_row_groups):
                place = file.read_row_group(number, columns=["id"]).column("id").index(pyarrow.scalar(item_id)).as_py()
                if place >= 0:
                    row = file.read_row_group(number).slice(place, 1).to_pylist()[0]
                    return item_from(row, Columns.of(None), split=False)[0]
    except (OSError, pyarrow.ArrowException, BadField) as error:
        raise InputError(f"the items of the corpus {str(folder)!r} are damaged: {error}; build it again") from error
    return None


def open_corpus(folder: str | Path) -> CorpusFolder:
    """What `rarec corpus build` made.

    Raises:
        InputError: the folder is no corpus, is not whole, or of a later format.
        MissingExtra: pyarrow is not installed.
    """
    path = Path(folder)
    if not (path / ITEMS).is_file():
        raise InputError(f"no corpus in {str(path)!r}, {ITEMS} is missing; give a folder that rarec corpus build made")
    manifest = _manifest(path / MANIFEST)
    name = manifest.get("name")
    if not isinstance(name, str) or not name:
        raise InputError(f"{str(path / MANIFEST)!r} does not name the corpus; build it again")
    rows, columns = _shape(path / ITEMS)
    attributes = tuple(column.removeprefix("attributes.") for column in columns if column.startswith("attributes."))
    made, sources = str(manifest.get("made", "")), _sources(manifest)
    dumps = {name: str(table["dump_date"]) for name, table in sources.items() if table.get("dump_date")}
    extents = {name: str(table["read"]) for name, table in sources.items() if table.get("read")}
    records = {name: found for name, table in sources.items() if isinstance(found := table.get("records"), int)}
    return CorpusFolder(path, name, made, dumps, extents, records, rows, attributes, manifest)


def is_corpus(folder: Path) -> bool:
    """Whether a folder looks like a corpus."""
    return (folder / ITEMS).is_file()


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"cannot read {str(path)!r}: {reason}; build the corpus again") from None
    if not isinstance(manifest, dict):
        raise InputError(f"{str(path)!r} is no JSON object; build the corpus again")
    found = manifest.get("format")
    if not isinstance(found, int) or found > FORMAT:
        raise InputError(
            f"{str(path)!r} is of format {found!r}, this rarec reads {FORMAT}; update rarec, or build it again"
        )
    return manifest


def _sources(manifest: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What is said of each source; sources are a table by name or a list of tables with a name."""
    sources = manifest.get("sources", {})
    tables = sources.items() if isinstance(sources, Mapping) else ((one.get("name"), one) for one in sources)
    return {str(name): table for name, table in tables}


def _shape(path: Path) -> tuple[int, list[str]]:
    """Rows and columns of a Parquet file."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra.of("pyarrow", "train", "reading a corpus") from None
    try:
        with parquet.ParquetFile(path) as file:
            return int(file.metadata.num_rows), list(file.schema_arrow.names)
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"cannot read {str(path)!r} as Parquet: {error}; build the corpus again") from error


def _check_header(names: list[str]) -> None:
    if missing := [name for name in ("id", "title") if name not in names]:
        raise InputError(f"the items of the corpus have no column {missing[0]!r}; build it again")
