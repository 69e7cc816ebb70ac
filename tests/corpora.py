"""Corpus folders as a build leaves them, written by tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rarec.types import Item, ItemId


def write_corpus(
    folder: Path, items: Sequence[Item], *, name: str = "things", dumps: Mapping[str, str] | None = None
) -> Path:
    """``items.parquet`` and ``corpus.json`` in a new folder, which is given back."""
    folder.mkdir(parents=True)
    names = sorted({name for item in items for name in item.attributes})
    columns = {
        "id": pa.array([item.id for item in items], pa.string()),
        "title": pa.array([item.title for item in items], pa.string()),
        "text": pa.array([item.text for item in items], pa.string()),
        "year": pa.array([item.year for item in items], pa.int32()),
        "popularity": pa.array([item.popularity for item in items], pa.float64()),
        **{
            f"attributes.{name}": pa.array(
                [list(item.attributes.get(name, ())) for item in items], pa.list_(pa.string())
            )
            for name in names
        },
    }
    pq.write_table(pa.table(columns), folder / "items.parquet", row_group_size=1000)
    sources = {source: {"kind": "table", "dump_date": date} for source, date in (dumps or {}).items()}
    manifest = {"format": 1, "name": name, "made": "2026-11-27T00:00:00+00:00", "sources": sources}
    (folder / "corpus.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def thing(number: int, title: str = "", **fields: object) -> Item:
    """An invented item; the same number and fields, the same item."""
    usual: dict[str, object] = {
        "text": f"A box of number {number}.", "year": 1950 + number % 70, "attributes": {"kind": ("box",)},
        "popularity": float(10_000 - number),
    }  # fmt: skip
    return Item(ItemId(f"t{number}"), title or f"Quarry Lane {number}", **{**usual, **fields})  # type: ignore[arg-type]
