"""The items of a corpus as a Parquet file that `rarec import` takes as it is: items.parquet."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rarec.corpus.merging import ATTRIBUTES
from rarec.errors import MissingExtra, StoreError
from rarec.types import Item

NAME = "items.parquet"
_AT_ONCE = 5000
_CHARACTERS_AT_ONCE = 50_000_000


class ItemsWriter:
    """Writes items in batches.

    Args:
        attributes: names of all that an item may have; each is a column of lists.
    Raises:
        MissingExtra: pyarrow is not installed.
        StoreError: the file cannot be written.
    """

    def __init__(self, path: Path, attributes: Sequence[str]) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise MissingExtra.of("pyarrow", "train", "writing a corpus") from None
        self._path = path
        self._attributes = tuple(sorted(attributes))
        columns: list[tuple[str, Any]] = [
            ("id", pyarrow.string()),
            ("title", pyarrow.string()),
            ("text", pyarrow.string()),
            ("year", pyarrow.int32()),
            ("popularity", pyarrow.float64()),
            *((ATTRIBUTES + name, pyarrow.list_(pyarrow.string())) for name in self._attributes),
        ]
        self._schema = pyarrow.schema(columns)
        self._batch: list[Item] = []
        self._characters = 0
        self._table = pyarrow.Table
        self._writer = self._guarded(lambda: parquet.ParquetWriter(path, self._schema, compression="zstd"))

    def add(self, item: Item) -> None:
        """One more item."""
        self._batch.append(item)
        self._characters += len(item.text)
        if len(self._batch) >= _AT_ONCE or self._characters >= _CHARACTERS_AT_ONCE:
            self._flush()

    def close(self) -> None:
        """Finish the file."""
        self._flush()
        self._guarded(self._writer.close)

    def abandon(self) -> None:
        """Let go of a file that will not be finished."""
        with suppress(OSError):  # the disk may be full; what went wrong before is what counts
            self._writer.close()

    def _flush(self) -> None:
        batch, self._batch, self._characters = self._batch, [], 0
        if not batch:
            return
        columns: dict[str, list[Any]] = {
            "id": [item.id for item in batch],
            "title": [item.title for item in batch],
            "text": [item.text for item in batch],
            "year": [item.year for item in batch],
            "popularity": [item.popularity for item in batch],
        }
        for name in self._attributes:
            columns[ATTRIBUTES + name] = [list(item.attributes.get(name, ())) for item in batch]
        self._guarded(lambda: self._writer.write_table(self._table.from_pydict(columns, schema=self._schema)))

    def _guarded(self, step: Any) -> Any:
        try:
            return step()
        except OSError as error:
            raise StoreError(f"cannot write {str(self._path)!r}: {error}; free some space") from error


__all__ = ["NAME", "ItemsWriter"]
