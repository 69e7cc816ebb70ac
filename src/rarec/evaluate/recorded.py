"""Ranks that were recorded elsewhere -> predictions for exactly our examples, or rows of a table without examples."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarec.conversations import Example
from rarec.conversations.parquet import read_table
from rarec.errors import InputError
from rarec.evaluate.metrics import MISS, Ranks
from rarec.evaluate.predictions import Predictions, RankKey
from rarec.evaluate.protocols import Seen
from rarec.types import ItemId

log = logging.getLogger(__name__)

NEW = "rec"
SEEN = "dis"
DEPTH = 20
"""Length of the recorded lists."""

MAX_LACKING = 0.05
"""A recording may lack this share of the examples: one run broke off before its last batch."""

_COLUMNS = ("dataset", "model", "prompt", "filtered", "exclude_seen", "row", "index", "condition", "rank")
_TREATMENTS: tuple[tuple[Seen, bool], ...] = (("excluded", True), ("kept", False))


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

    @property
    def name(self) -> str:
        """The system's name: "gpt-4", or "gpt-4/p2" for a prompt that is not the general one."""
        return self.model if self.prompt == "general" else f"{self.model}/{self.prompt}"

    @staticmethod
    def parse(name: str, *, exclude_seen: bool = True) -> Recording:
        """The recording of a system's name.

        >>> Recording.parse("gpt-4/p2").prompt
        'p2'
        """
        model, _, prompt = name.partition("/")
        return Recording(model, prompt or "general", exclude_seen=exclude_seen)


@dataclass(frozen=True, slots=True)
class RecordedTable:
    """Recorded ranks without examples, one row for each ground truth.

    Attributes:
        ranks: 1-based, 0 for a miss.
        new: whether the conversation does not mention the target; the published figures are of these rows.
        clusters: the number of each row's example. Resampling is by it, where the dialogue (for Reddit: the thread)
            is not known; intervals by thread would be wider.
    """

    data_set: str
    name: str
    ranks: Ranks
    new: NDArray[np.bool_]
    clusters: NDArray[np.int64]
    depth: int = DEPTH


def recorded_predictions(
    path: str | Path,
    examples: Sequence[Example],
    *,
    data_set: str,
    name: str,
    filtered: bool = True,
    treatments: Collection[Seen] = ("excluded", "kept"),
) -> Predictions:
    """The recorded ranks of `examples`' targets, with mentioned items excluded and kept, to the depth of 20.

    Within an index the k-th recorded row belongs to the k-th annotated ground truth (recomputing the ranks of
    all 139 INSPIRED rows from the recorded titles in that order gives the recorded ranks). Rows whose ground
    truth is no item are dropped, as they are for every system; an item that is annotated twice has its better
    rank. Recorded rows of other examples are ignored. Examples of which the recording has no row at all (BAIZE broke
    off before the last batch) count as misses, are named in the log and counted in the note.

    Args:
        name: of the system: "gpt-4" for the general prompt, "gpt-4/p2" for another.
        treatments: of mentioned items; those that are not asked for need not be recorded.
    Raises:
        InputError: the file is missing or no such recording is in it; or, naming the first index, an example
            has not as many rows as ground truths, or more than a twentieth of the examples have none. Where the file
            calls a target new that we call repeated, or the other way round, it is logged as a warning: which rows
            count is the protocol's to say.
    """
    ranks: dict[RankKey, int] = {}
    note = ""
    table = _table(path)
    for seen, exclude_seen in _TREATMENTS:
        if seen not in treatments:
            continue
        recording = Recording.parse(name, exclude_seen=exclude_seen)
        recording = Recording(recording.model, recording.prompt, filtered, exclude_seen)
        rows = _rows(_run(table, path, data_set, recording))
        lacking = [example for example in examples if example.index not in rows]
        if len(lacking) > MAX_LACKING * len(examples):
            _check(path, lacking[0], [])
        if lacking:
            note = f"no answer was recorded for {len(lacking)} of {len(examples)} examples; they count as misses"
            log.warning("%s: %s: %s, the first is %r", path, name, note, lacking[0].id)
        for example in examples:
            missed = [("", MISS)] * len(example.annotated)
            for item, rank in _ranks(path, example, rows.get(example.index, missed)).items():
                ranks[example.id, item, seen] = rank
    return Predictions(name, DEPTH, ranks=ranks, note=note)


def recorded_table(
    path: str | Path, data_set: str, name: str, *, filtered: bool = True, exclude_seen: bool = True
) -> RecordedTable:
    """All recorded rows of a run in their order, for data sets whose examples are not at hand.

    Args:
        name: as in `recorded_predictions`.
    Raises:
        InputError: the file is missing, no such recording is in it, or a rank is outside 1..20.
    Source:
        "Large Language Models as Zero-Shot Conversational Recommenders" (CIKM 2023); its figures are of the default
        settings and the rows that are `new`.
    """
    named = Recording.parse(name)
    found = _run(_table(path), path, data_set, Recording(named.model, named.prompt, filtered, exclude_seen))
    ranks = np.array([MISS if rank is None else rank for rank in found["rank"].to_pylist()], np.int64)
    if ((ranks < 0) | (ranks > DEPTH)).any():
        raise InputError(f"{str(path)!r} has the rank {int(ranks.max())!r} for {name!r}, outside 1..{DEPTH}")
    new = np.array([condition == NEW for condition in found["condition"].to_pylist()], np.bool_)
    return RecordedTable(data_set, named.name, ranks, new, np.array(found["index"].to_pylist(), np.int64))


def _ranks(
    path: str | Path, example: Example, recorded: Sequence[tuple[str, int]], *, depth: int = DEPTH
) -> dict[ItemId, int]:
    """The rank of each mapped target of one example."""
    _check(path, example, [condition for condition, _ in recorded])
    ranks: dict[ItemId, int] = {}
    for item, (_, rank) in zip(example.annotated, recorded, strict=True):
        if item is not None and not 0 <= rank <= depth:
            raise InputError(f"{str(path)!r}: index {example.index} has rank {rank!r}, outside 1..{depth}")
        if item is not None:
            ranks[item] = min(filter(None, (ranks.get(item, MISS), rank)), default=MISS)
    return ranks


def _check(path: str | Path, example: Example, conditions: Sequence[str]) -> None:
    where = f"{str(path)!r}: index {example.index} ({example.id!r})"
    remedy = "give the ranks and the examples of one release"
    if len(conditions) != len(example.annotated):
        raise InputError(
            f"{where} has {len(conditions)} recorded rows, the example {len(example.annotated)} ground truths; {remedy}"
        )
    for item, condition in zip(example.annotated, conditions, strict=True):
        if condition and item is not None and (condition == NEW) == (item in example.repeated):
            ours = "repeated" if item in example.repeated else "new"
            # Names decided there, items and titles here. The rows are ours for every system, so the rank stands.
            log.warning("%s: the target %r is %s here, but recorded as %r", where, item, ours, condition)


def _rows(run: Any) -> dict[int, list[tuple[str, int]]]:
    """index -> (condition, rank) of its rows in order."""
    rows: dict[int, list[tuple[str, int]]] = {}
    columns = (run[name].to_pylist() for name in ("index", "condition", "rank"))
    for index, condition, rank in zip(*columns, strict=True):
        rows.setdefault(index, []).append((condition, MISS if rank is None else rank))
    return rows


def _table(path: str | Path) -> Any:
    return read_table(path, _COLUMNS, purpose="reading recorded ranks")


def _run(table: Any, path: str | Path, data_set: str, recording: Recording) -> Any:
    """The pyarrow table of one run in the order of its rows."""
    import pyarrow.compute as compute

    of_data = compute.field("dataset") == data_set
    found = table.filter(
        of_data
        & (compute.field("model") == recording.model)
        & (compute.field("prompt") == recording.prompt)
        & (compute.field("filtered") == recording.filtered)
        & (compute.field("exclude_seen") == recording.exclude_seen)
    )
    if found.num_rows == 0:
        models = sorted(set(table.filter(of_data)["model"].to_pylist()))
        raise InputError(f"{str(path)!r} has no rows of {recording!r} for {data_set!r}; its models there are {models}")
    return found.sort_by("row")
