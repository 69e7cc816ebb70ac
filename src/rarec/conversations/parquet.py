"""Columns of a Parquet file, with errors that name the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rarec.errors import InputError, MissingExtra


def read_columns(path: str | Path, columns: Sequence[str], *, purpose: str) -> list[list[Any]]:
    """The values of `columns`, one list each, in the file's order.

    Raises:
        InputError: there is no such file, it is not Parquet, or it lacks a column.
        MissingExtra: pyarrow is not installed.
    """
    table = read_table(path, columns, purpose=purpose)
    return [table.column(name).to_pylist() for name in columns]


def read_table(path: str | Path, columns: Sequence[str], *, purpose: str) -> Any:
    """The pyarrow table of `columns`; raises as `read_columns` does."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra.of("pyarrow", "train", purpose) from None
    try:
        with parquet.ParquetFile(path) as file:
            known = set(file.schema_arrow.names)
            if missing := [name for name in columns if name not in known]:
                raise InputError(f"{str(path)!r} has no column {missing[0]!r}, only {sorted(known)!r}; is it the file?")
            return file.read(columns=list(columns))
    except FileNotFoundError:
        raise InputError(f"no file {str(path)!r}; check the path") from None
    except (OSError, pyarrow.ArrowException) as error:
        raise InputError(f"cannot read {str(path)!r} as Parquet: {error}; is the file complete?") from error
