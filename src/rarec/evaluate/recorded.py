"""Ranks that were recorded elsewhere -> rows of our table, for exactly our examples."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rarec.conversations import Example
from rarec.conversations.parquet import read_table
from rarec.errors import InputError
from rarec.evaluate.metrics import MISS
from rarec.types import ItemId

log = logging.getLogger(__name__)

NEW = "rec"
SEEN = "dis"
_COLUMNS = ("dataset", "model", "prompt", "filtered", "exclude_seen", "row", "index", "condition", "rank")


@dataclass(frozen=True, slots=True)
class Recording:
    """Which recorded run: the model, its prompt ("general" shows the full dialogue), and how it was cleaned.

    Attributes:
        filtered: titles far from every title of the vocabulary were dropped.
        exclude_seen: titles that the conversation mentions were dropped.
    """

    model: str
    prompt: str = "general"
    filtered: bool = True
    exclude_seen: bool = True


@dataclass(frozen=True, slots=True)
class RecordedRanks:
    """A system of which only ranks are known.

    Attributes:
        depth: length of the recorded lists; a measure with k > depth cannot be told.
        ranks: (example id, target) -> 1-based rank, 0 for a miss.
        exclude_seen: what the run did with mentioned items; it must fit the protocol.
    """

    name: str
    depth: int
    ranks: dict[tuple[str, ItemId], int]
    exclude_seen: bool = True


def read_recorded(
    path: str | Path, examples: Sequence[Example], *, data_set: str, recording: Recording, depth: int = 20
) -> RecordedRanks:
    """The recorded ranks of `examples`' targets, aligned by the examples' `index`.

    Within an index the k-th recorded row belongs to the k-th annotated ground truth (recomputing the ranks of
    all 139 INSPIRED rows from the recorded titles in that order gives the recorded ranks). Rows whose ground
    truth is no item are dropped, as they are for every system; an item that is annotated twice has its better
    rank. Recorded rows of other examples are ignored.

    Raises:
        InputError: the file is missing or no such recording is in it; or, naming the first index, an example
            has not as many rows as ground truths. Where the file calls a target new that we call repeated, or the
            other way round, it is logged as a warning: which rows count is the protocol's to say.
    """
    rows = _rows(path, data_set, recording)
    ranks: dict[tuple[str, ItemId], int] = {}
    for example in examples:
        recorded = rows.get(example.index, [])
        _check(path, example, [condition for condition, _ in recorded])
        for item, (_, rank) in zip(example.annotated, recorded, strict=True):
            if item is not None and not 0 <= rank <= depth:
                raise InputError(f"{str(path)!r}: index {example.index} has rank {rank!r}, outside 1..{depth}")
            if item is not None:
                known = ranks.get((example.id, item), MISS)
                ranks[example.id, item] = min(filter(None, (known, rank)), default=MISS)
    name = recording.model if recording.prompt == "general" else f"{recording.model}/{recording.prompt}"
    return RecordedRanks(name, depth, ranks, recording.exclude_seen)


def _check(path: str | Path, example: Example, conditions: Sequence[str]) -> None:
    where = f"{str(path)!r}: index {example.index} ({example.id!r})"
    remedy = "give the ranks and the examples of one release"
    if len(conditions) != len(example.annotated):
        raise InputError(
            f"{where} has {len(conditions)} recorded rows, the example {len(example.annotated)} ground truths; {remedy}"
        )
    for item, condition in zip(example.annotated, conditions, strict=True):
        if item is not None and (condition == NEW) == (item in example.repeated):
            ours = "repeated" if item in example.repeated else "new"
            # Names decided there, items and titles here. The rows are ours for every system, so the rank stands.
            log.warning("%s: the target %r is %s here, but recorded as %r", where, item, ours, condition)


def _rows(path: str | Path, data_set: str, recording: Recording) -> dict[int, list[tuple[str, int]]]:
    """index -> (condition, rank) of its rows in order."""
    table = read_table(path, _COLUMNS, purpose="reading recorded ranks")
    asked = {"dataset": data_set, "model": recording.model, "prompt": recording.prompt}
    found = _selected(table, {**asked, "filtered": recording.filtered, "exclude_seen": recording.exclude_seen})
    if found.num_rows == 0:
        models = sorted(set(_selected(table, {"dataset": data_set})["model"].to_pylist()))
        raise InputError(f"{str(path)!r} has no rows of {recording!r} for {data_set!r}; its models there are {models}")
    rows: dict[int, list[tuple[str, int]]] = {}
    columns = (found.sort_by("row")[name].to_pylist() for name in ("index", "condition", "rank"))
    for index, condition, rank in zip(*columns, strict=True):
        rows.setdefault(index, []).append((condition, MISS if rank is None else rank))
    return rows


def _selected(table: Any, values: dict[str, str | bool]) -> Any:
    import pyarrow.compute as compute

    for column, value in values.items():
        table = table.filter(compute.equal(table[column], value))
    return table
