"""Tables of a page: every figure as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure, what stands small below it, the standard deviation between seeds, and whether it leads."""

    value: str
    below: str = ""
    deviation: str = ""
    leads: bool = False
    share: float | None = None
    """For a bar behind the figure, 0..1."""


@dataclass(frozen=True, slots=True)
class Row:
    """`group` has spaces, so that equal letters stand below one another."""

    name: str
    cells: Sequence[Cell]
    marks: Sequence[int] = ()
    group: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column head; `width` columns under one head where it is a group."""

    name: str
    below: str = ""
    width: int = 1


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: heads of groups (may be empty), heads of columns, rows."""

    name: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    groups: Sequence[Column] = ()


def flattened(meta: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested facts as (dotted name, value), in their order; lists are joined by commas."""
    rows: list[tuple[str, str]] = []
    for name, value in meta.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            rows += flattened(value, f"{path}.")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            rows.append((path, ", ".join(map(str, value))))
        else:
            rows.append((path, str(value)))
    return rows
