"""The table of an evaluation: every number with its protocol, its n and its interval."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rarec.conversations import Example
from rarec.errors import InputError
from rarec.evaluate.bootstrap import ClusterBootstrap, Floats
from rarec.evaluate.harness import Progress, Protocol, Rows, recorded_ranks, rows_of, system_ranks
from rarec.evaluate.metrics import Ranks, ndcg_at, recall_at
from rarec.evaluate.recorded import RecordedRanks
from rarec.evaluate.systems import System
from rarec.files import write_text
from rarec.types import ItemId

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Options:
    """What is measured.

    Attributes:
        ks: cut-offs of recall, ascending.
        ndcg_k: cut-off of NDCG.
        seed, samples, level: of the bootstrap by dialogue.
        against: a system to which every other is compared, row by row; None compares nothing.
    """

    ks: tuple[int, ...] = (1, 5, 10, 20, 50)
    ndcg_k: int = 10
    seed: int = 0
    samples: int = 2000
    level: float = 0.95
    against: str | None = None

    def __post_init__(self) -> None:
        if not self.ks or min(*self.ks, self.ndcg_k) < 1 or list(self.ks) != sorted(set(self.ks)):
            raise InputError(f"ks must be ascending and at least 1, got {self.ks!r} and NDCG at {self.ndcg_k!r}")

    @property
    def depth(self) -> int:
        return max(*self.ks, self.ndcg_k)

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of all measures, e.g. "R@1", "N@10"."""
        return (*(f"R@{k}" for k in self.ks), f"N@{self.ndcg_k}")


@dataclass(frozen=True, slots=True)
class TableRow:
    """One system under one protocol.

    Attributes:
        n: rows in the average, the same for every system.
        values, intervals: measure -> average over rows, and its interval by dialogue; None where the system's
            lists are too short to tell.
        against: the system compared with, if any, and `differences`: measure -> (this - that, interval).
    """

    system: str
    protocol: Protocol
    n: int
    values: Mapping[str, float | None]
    intervals: Mapping[str, Interval | None]
    against: str | None = None
    differences: Mapping[str, tuple[float, Interval]] = field(default_factory=dict[str, tuple[float, Interval]])

    def to_json(self) -> dict[str, Any]:
        """``{"system", "protocol", "n", <measures>, "ci"}``, and ``"vs"`` where there is a comparison."""
        ci = {name: None if span is None else list(span) for name, span in self.intervals.items()}
        row: dict[str, Any] = {"system": self.system, "protocol": self.protocol, "n": self.n, **self.values, "ci": ci}
        if self.against is not None:
            deltas = {name: {"delta": delta, "ci": list(span)} for name, (delta, span) in self.differences.items()}
            row["vs"] = {self.against: deltas}
        return row


@dataclass(frozen=True, slots=True)
class Prediction:
    """The rank that one system gave one row; 0 is a miss."""

    example: str
    dialogue: str
    target: ItemId
    system: str
    protocol: Protocol
    rank: int


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in the order of the systems, what they were computed from, and the rank of every row behind them."""

    rows: tuple[TableRow, ...]
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])
    predictions: tuple[Prediction, ...] = ()

    def row(self, system: str, *, protocol: str | None = None) -> TableRow:
        """The first row of a system (under a protocol). Raises InputError if there is none."""
        for row in self.rows:
            if row.system == system and protocol in (None, row.protocol):
                return row
        raise InputError(f"no row of {system!r}; the table has {[row.system for row in self.rows]!r}")

    def to_json(self) -> str:
        """``{"rows": [...], "meta": {...}}``, indented, with a newline at the end."""
        document = {"rows": [row.to_json() for row in self.rows], "meta": dict(self.meta)}
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def with_meta(self, **more: object) -> Table:
        return replace(self, meta={**self.meta, **more})

    def then(self, other: Table) -> Table:
        """Both tables' rows as blocks one after the other; meta is joined, ours where both say something else."""
        meta = {**other.meta, **self.meta}
        for key in ("examples", "dialogues"):  # these have an entry a protocol
            meta[key] = {**other.meta.get(key, {}), **self.meta.get(key, {})}
        return Table(self.rows + other.rows, meta, self.predictions + other.predictions)

    def write_predictions(self, path: str | Path) -> None:
        """Write every row's rank as JSONL, from which the table can be computed again.

        Raises:
            StoreError: the file cannot be written; an older one stays as it was.
        """
        names = Prediction.__slots__
        lines = (json.dumps({name: getattr(p, name) for name in names}) for p in self.predictions)
        write_text(Path(path), "".join(f"{line}\n" for line in lines))


def evaluate(
    examples: Sequence[Example],
    systems: Sequence[System | RecordedRanks],
    *,
    catalogue: Collection[ItemId],
    protocol: Protocol = "new-targets",
    options: Options | None = None,
    progress: Progress | None = None,
) -> Table:
    """Rank every example with every system and average over targets.

    One row a target; denominators are the same for all systems and cut-offs, and a list that is too short is
    a miss. Intervals draw whole dialogues, the same draws for every system.

    Args:
        catalogue: what may be ranked; a system that names anything else is refused.
    Raises:
        InputError: no rows, two systems of one name, a list with a repeated or unknown item, or a recording
            that does not fit the examples.
    """
    options = options or Options()
    _check_names(systems, options)
    rows = rows_of(examples, protocol=protocol)
    known = frozenset(catalogue)
    ranks = {
        system.name: recorded_ranks(system, rows)
        if isinstance(system, RecordedRanks)
        else system_ranks(system, rows, catalogue=known, depth=options.depth, progress=progress)
        for system in systems
    }
    draws = ClusterBootstrap(rows.dialogues(), generator=np.random.default_rng(options.seed), samples=options.samples)
    depths = {s.name: s.depth if isinstance(s, RecordedRanks) else options.depth for s in systems}
    values = {name: _values(found, depths[name], options) for name, found in ranks.items()}
    meta = {
        "seed": options.seed,
        "samples": options.samples,
        "level": options.level,
        "examples": {protocol: len(rows.examples)},
        "dialogues": {protocol: len(set(rows.dialogues()))},
        "unmapped_targets": rows.left_out,
        "catalogue": len(known),
    }
    table_rows = tuple(_row(system.name, rows, values, draws, options) for system in systems)
    return Table(table_rows, meta, _predictions(rows, ranks))


def _check_names(systems: Sequence[System | RecordedRanks], options: Options) -> None:
    names = [system.name for system in systems]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"two systems are named {twice[0]!r}; give each its own name")
    if options.against is not None and options.against not in names:
        raise InputError(f"cannot compare against {options.against!r}: the systems are {names!r}")


def _values(ranks: Ranks, depth: int, options: Options) -> dict[str, Floats]:
    """Measure -> one value a row; measures that the lists are too short to tell are left out."""
    found = {f"R@{k}": recall_at(ranks, k) for k in options.ks if k <= depth}
    if options.ndcg_k <= depth:
        found[f"N@{options.ndcg_k}"] = ndcg_at(ranks, options.ndcg_k)
    return found


def _row(
    system: str, rows: Rows, values: Mapping[str, Mapping[str, Floats]], draws: ClusterBootstrap, options: Options
) -> TableRow:
    own = values[system]
    averages: dict[str, float | None] = {m: float(own[m].mean()) if m in own else None for m in options.measures}
    known = _intervals(own, draws, options)
    row = TableRow(system, rows.protocol, len(rows.targets), averages, {m: known.get(m) for m in options.measures})
    if options.against in (None, system):
        return row
    other = values[str(options.against)]
    differences = {m: own[m] - other[m] for m in options.measures if m in own and m in other}
    spans = _intervals(differences, draws, options)
    deltas = {m: (float(difference.mean()), spans[m]) for m, difference in differences.items()}
    return replace(row, against=options.against, differences=deltas)


def _intervals(values: Mapping[str, Floats], draws: ClusterBootstrap, options: Options) -> dict[str, Interval]:
    if not values:
        return {}
    lows, highs = draws.intervals(np.stack(list(values.values()), axis=1), level=options.level).tolist()
    return dict(zip(values, zip(lows, highs, strict=True), strict=True))


def _predictions(rows: Rows, ranks: Mapping[str, Ranks]) -> tuple[Prediction, ...]:
    places = list(zip(rows.example, rows.targets, strict=True))
    return tuple(
        Prediction(rows.examples[at].id, rows.examples[at].dialogue, target, system, rows.protocol, rank)
        for system, found in ranks.items()
        for (at, target), rank in zip(places, found.tolist(), strict=True)
    )
