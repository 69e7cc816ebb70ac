"""Readers of dumps, one a kind. Only here may anything know what a film is."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from rarec.corpus.sources import merged, table
from rarec.corpus.sources.config import Reader
from rarec.corpus.sources.merged import MergedSource
from rarec.corpus.sources.table import TableSource

Source = Annotated[MergedSource | TableSource, Field(discriminator="kind")]
"""A source of a recipe: its ``kind`` says which."""

_READERS: Final[dict[str, Reader]] = {"merged": merged.read, "table": table.read}
KINDS: Final = tuple(_READERS)


def reader_of(kind: str) -> Reader:
    """The reader of a kind, one of `KINDS`."""
    return _READERS[kind]


__all__ = ["KINDS", "Reader", "Source", "reader_of"]
