"""Gold and predictions as Parquet: what a run keeps, and what its figures can be computed from again.

Page checksums are written and verified, so that a damaged file is refused and never half read.
"""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np

from rarec.errors import InputError, MissingExtra
from rarec.evaluate.gold import Gold, GoldExample, GoldItem
from rarec.evaluate.predictions import Call, Predictions
from rarec.evaluate.protocols import Scope
from rarec.files import atomic_write
from rarec.types import ItemId

try:
    import pyarrow
    from pyarrow import parquet
except ImportError:  # pragma: no cover - the message is what matters
    raise MissingExtra.of("pyarrow", "train", "keeping predictions") from None

FORMAT = 1
_KEY = "rarec"
_Value = TypeVar("_Value")
_STRINGS = pyarrow.list_(pyarrow.string())
_RANK = pyarrow.struct([("target", pyarrow.string()), ("seen", pyarrow.string()), ("rank", pyarrow.int32())])
_CALL = pyarrow.struct(
    [
        ("latency_ms", pyarrow.float64()),
        ("input_tokens", pyarrow.int64()),
        ("output_tokens", pyarrow.int64()),
        ("cost_usd", pyarrow.float64()),
        ("named", pyarrow.int32()),
        ("ungrounded", pyarrow.int32()),
        ("repeated", pyarrow.int32()),
        ("repaired", pyarrow.bool_()),
        ("degraded", pyarrow.bool_()),
        ("answer", pyarrow.string()),
    ]
)
_PREDICTIONS = pyarrow.schema(
    [
        ("run", pyarrow.int32()),
        ("system", pyarrow.string()),
        ("seed", pyarrow.int64()),
        ("catalogue", pyarrow.string()),
        ("example", pyarrow.string()),
        ("items", _STRINGS),
        ("ranks", pyarrow.list_(_RANK)),
        ("call", _CALL),
    ]
)
_EXAMPLES = pyarrow.schema(
    [
        ("id", pyarrow.string()),
        ("dialogue", pyarrow.string()),
        ("turn", pyarrow.string()),
        ("targets", _STRINGS),
        ("repeated", _STRINGS),
        ("seen", _STRINGS),
        ("turns", pyarrow.int32()),
        ("unmapped", pyarrow.int32()),
    ]
)
_ITEMS = pyarrow.schema(
    [
        ("id", pyarrow.string()),
        ("title", pyarrow.string()),
        ("year", pyarrow.int32()),
        ("popularity", pyarrow.int64()),
        ("in_data_set", pyarrow.bool_()),
        ("attributes", pyarrow.map_(pyarrow.string(), _STRINGS)),
    ]
)


@dataclass(frozen=True, slots=True)
class _Header:
    """What all rows of one `Predictions` share."""

    system: str
    depth: int
    seed: int | None
    lower_bound: bool
    catalogue: Scope
    note: str


_HEADER_FIELDS = tuple(field.name for field in dataclasses.fields(_Header))


def predictions_bytes(predictions: Iterable[Predictions]) -> bytes:
    """A Parquet file with one row for each system, seed and example: its list, its known ranks and its call.

    `read_predictions` gives equal values back, in the same order.
    """
    given = list(predictions)
    headers = [{name: getattr(one, name) for name in _HEADER_FIELDS} for one in given]
    groups = (_predictions_table(run, one) for run, one in enumerate(given))
    return _file_bytes(_PREDICTIONS, groups, {"runs": headers})


def write_predictions(path: str | Path, predictions: Iterable[Predictions]) -> None:
    """Write `predictions_bytes`. Raises StoreError if the file cannot be written."""
    write_bytes(Path(path), predictions_bytes(predictions))


def read_predictions(path: str | Path) -> tuple[Predictions, ...]:
    """What `write_predictions` wrote.

    Raises:
        InputError: the file is missing, damaged, not ours or of a later version.
    """

    def read(file: Any, meta: Mapping[str, Any]) -> tuple[Predictions, ...]:
        headers = [_Header(**header) for header in meta["runs"]]
        if wrong := [header for header in headers if header.catalogue not in get_args(Scope)]:
            raise ValueError(f"unknown catalogue {wrong[0].catalogue!r}")
        tables: dict[int, Any] = {}
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            if table.num_rows:
                tables[table["run"][0].as_py()] = table
        return tuple(_predictions(header, tables.get(run)) for run, header in enumerate(headers))

    return _read(Path(path), read)


def write_gold(folder: str | Path, gold: Gold) -> None:
    """Write ``examples.parquet`` and ``items.parquet``. Raises StoreError if they cannot be written."""
    meta = {"data_set": gold.data_set, "split": gold.split}
    examples = _table(_EXAMPLES, gold.examples, lambda row, name: getattr(row, name))
    items = _table(_ITEMS, gold.items.items(), _item_value)
    write_bytes(Path(folder) / "examples.parquet", _file_bytes(_EXAMPLES, [examples], meta))
    write_bytes(Path(folder) / "items.parquet", _file_bytes(_ITEMS, [items], meta))


def read_gold(folder: str | Path) -> Gold:
    """What `write_gold` wrote. Raises InputError if a file is missing, damaged, not ours or of a later version."""

    def read_examples(file: Any, meta: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[GoldExample]]:
        return meta, [_gold_example(row) for row in file.read().to_pylist()]

    def read_items(file: Any, _: Mapping[str, Any]) -> dict[ItemId, GoldItem]:
        return {ItemId(row["id"]): _gold_item(row) for row in file.read().to_pylist()}

    meta, examples = _read(Path(folder) / "examples.parquet", read_examples)
    items = _read(Path(folder) / "items.parquet", read_items)
    return Gold(meta["data_set"], meta["split"], tuple(examples), items)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically. Raises StoreError if it cannot be written."""
    with atomic_write(path) as file:
        file.write(content)


# writing


def _predictions_table(run: int, given: Predictions) -> Any:
    ranks: dict[str, list[dict[str, Any]]] = {}
    for (example, target, seen), rank in given.ranks.items():
        ranks.setdefault(example, []).append({"target": target, "seen": seen, "rank": rank})
    names = list(dict.fromkeys(chain(given.lists, ranks, given.calls)))
    calls = [None if (call := given.calls.get(name)) is None else dataclasses.asdict(call) for name in names]
    columns = [
        pyarrow.array([run] * len(names), pyarrow.int32()),
        pyarrow.array([given.system] * len(names), pyarrow.string()),
        pyarrow.array([given.seed] * len(names), pyarrow.int64()),
        pyarrow.array([given.catalogue] * len(names), pyarrow.string()),
        pyarrow.array(names, pyarrow.string()),
        pyarrow.array([given.lists.get(name) for name in names], _STRINGS),
        pyarrow.array([ranks.get(name) for name in names], pyarrow.list_(_RANK)),
        pyarrow.array(calls, _CALL),
    ]
    return pyarrow.Table.from_arrays(columns, schema=_PREDICTIONS)


def _table(schema: Any, rows: Iterable[Any], value: Callable[[Any, str], Any]) -> Any:
    kept = list(rows)
    arrays = [
        pyarrow.array([_plain(value(row, field.name)) for row in kept], field.type, from_pandas=False)
        for field in schema
    ]
    return pyarrow.Table.from_arrays(arrays, schema=schema)


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset) else value


def _item_value(row: tuple[ItemId, GoldItem], name: str) -> Any:
    item, facts = row
    if name == "id":
        return item
    return list(facts.attributes.items()) if name == "attributes" else getattr(facts, name)


def _file_bytes(schema: Any, tables: Iterable[Any], meta: Mapping[str, Any]) -> bytes:
    document = json.dumps({"format": FORMAT, **meta}, ensure_ascii=False)
    sink = io.BytesIO()
    with parquet.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        compression_level=9,
        dictionary_pagesize_limit=1 << 24,  # the ids of a large catalogue are still worth a dictionary
        write_page_checksum=True,
        store_schema=False,  # it would repeat what the columns say
    ) as writer:
        for table in tables:
            writer.write_table(table)
        writer.add_key_value_metadata({_KEY: document})
    return sink.getvalue()


# reading


def _read(path: Path, read: Callable[[Any, Mapping[str, Any]], _Value]) -> _Value:
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            found = (file.metadata.metadata or {}).get(_KEY.encode())
            if found is None:
                raise InputError(f"{str(path)!r} was not written by rarec; is it the right folder?")
            meta = json.loads(found)
            if meta["format"] > FORMAT:
                raise InputError(f"{str(path)!r} is of format {meta['format']!r}, later than {FORMAT}; update rarec")
            return read(file, meta)
    except FileNotFoundError:
        raise InputError(f"no file {str(path)!r}; is it the folder of a finished run?") from None
    except InputError:
        raise
    except (OSError, pyarrow.ArrowException, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{str(path)!r} is damaged: {error}; run the recipe again") from error


def _predictions(header: _Header, table: Any) -> Predictions:
    shared = {name: getattr(header, name) for name in _HEADER_FIELDS}
    if table is None:
        return Predictions(**shared)
    names: list[str] = table["example"].to_pylist()
    lists = _lists(names, table["items"].combine_chunks())
    ranks = {
        (name, ItemId(entry["target"]), entry["seen"]): entry["rank"]
        for name, entries in zip(names, table["ranks"].to_pylist(), strict=True)
        for entry in entries or ()
    }
    calls = {
        name: Call(**call) for name, call in zip(names, table["call"].to_pylist(), strict=True) if call is not None
    }
    return Predictions(**shared, lists=lists, ranks=ranks, calls=calls)


def _lists(names: Sequence[str], column: Any) -> dict[str, tuple[ItemId, ...]]:
    """Lists by example; every id is one string, however often it occurs."""
    coded = column.flatten().dictionary_encode()
    ids = np.array([ItemId(item) for item in coded.dictionary.to_pylist()], dtype=object)
    flat = ids[coded.indices.to_numpy()].tolist() if len(ids) else []
    lists: dict[str, tuple[ItemId, ...]] = {}
    start = 0
    for name, length in zip(names, column.value_lengths().to_pylist(), strict=True):
        if length is not None:
            lists[name] = tuple(flat[start : start + length])
            start += length
    return lists


def _gold_example(row: Mapping[str, Any]) -> GoldExample:
    ids = {name: tuple(ItemId(item) for item in row[name]) for name in ("targets", "repeated", "seen")}
    return GoldExample(
        id=row["id"],
        dialogue=row["dialogue"],
        turn=row["turn"],
        targets=ids["targets"],
        repeated=frozenset(ids["repeated"]),
        seen=ids["seen"],
        turns=row["turns"],
        unmapped=row["unmapped"],
    )


def _gold_item(row: Mapping[str, Any]) -> GoldItem:
    attributes = {name: tuple(values) for name, values in row["attributes"]}
    return GoldItem(row["title"], row["year"], row["popularity"], row["in_data_set"], attributes)


__all__ = ["predictions_bytes", "read_gold", "read_predictions", "write_bytes", "write_gold", "write_predictions"]
