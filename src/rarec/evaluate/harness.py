"""Systems and examples -> the rank of every target."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from rarec.conversations import Example
from rarec.errors import InputError
from rarec.evaluate.metrics import MISS, Ranks
from rarec.evaluate.recorded import RecordedRanks
from rarec.evaluate.systems import System
from rarec.types import ItemId

Protocol = Literal["new-targets", "all-targets"]
"""`new-targets` leaves out targets that the conversation names, and removes mentioned items from every list;
`all-targets` does neither, so repeating what was said is rewarded."""

Progress = Callable[[str, int, int], None]
"""Called with (system, examples done, examples in all)."""

CHUNK = 256


@dataclass(frozen=True, slots=True)
class Rows:
    """What is counted: one row for each target of each example, the same for every system.

    Attributes:
        examples: those with at least one row, in order.
        example: for each row the place of its example in `examples`.
        targets: the item of each row.
        left_out: how many annotated ground truths are no row, because they are no item (or the same again).
    """

    protocol: Protocol
    examples: tuple[Example, ...]
    example: tuple[int, ...]
    targets: tuple[ItemId, ...]
    left_out: int

    def dialogues(self) -> list[str]:
        """The dialogue of each row."""
        return [self.examples[at].dialogue for at in self.example]


def rows_of(examples: Sequence[Example], *, protocol: Protocol = "new-targets") -> Rows:
    """The rows of a protocol; ground truths that could not be mapped to an item are in none.

    Raises:
        InputError: no such protocol, or no rows.
    """
    if protocol not in get_args(Protocol):
        raise InputError(f"unknown protocol {protocol!r}; use {' or '.join(get_args(Protocol))}")
    kept: list[Example] = []
    places: list[int] = []
    targets: list[ItemId] = []
    for example in examples:
        counted = [t for t in example.targets if protocol == "all-targets" or t not in example.repeated]
        if counted:
            places += [len(kept)] * len(counted)
            targets += counted
            kept.append(example)
    if not targets:
        raise InputError(f"none of {len(examples)} examples has a target under {protocol!r}; is this the right file?")
    left_out = sum(len(example.annotated) - len(example.targets) for example in examples)
    return Rows(protocol, tuple(kept), tuple(places), tuple(targets), left_out)


def system_ranks(
    system: System,
    rows: Rows,
    *,
    catalogue: Collection[ItemId],
    depth: int,
    progress: Progress | None = None,
) -> Ranks:
    """The rank of each row's target among the first `depth` places of its list, 0 for a miss.

    Under `new-targets` mentioned items are removed before the list is cut to `depth`, so a system that
    returns them loses no place.

    Raises:
        InputError: a list has an item twice or one that is not in `catalogue`; the first example is named.
    """
    known = catalogue if isinstance(catalogue, (set, frozenset)) else frozenset(catalogue)
    by_example: list[dict[ItemId, int]] = []
    for start in range(0, len(rows.examples), CHUNK):
        chunk = rows.examples[start : start + CHUNK]
        seen = [_removed(example, rows.protocol) for example in chunk]
        lists = system.rank(chunk, n=depth + max(map(len, seen)))
        if len(lists) != len(chunk):
            raise InputError(f"the system {system.name!r} gave {len(lists)} lists for {len(chunk)} examples")
        for example, removed, items in zip(chunk, seen, lists, strict=True):
            _check(system.name, example, items, known)
            kept = [item for item in items if item not in removed][:depth]
            by_example.append({item: place for place, item in enumerate(kept, start=1)})
        if progress is not None:
            progress(system.name, min(start + CHUNK, len(rows.examples)), len(rows.examples))
    pairs = zip(rows.example, rows.targets, strict=True)
    return np.array([by_example[at].get(target, MISS) for at, target in pairs], np.int64)


def recorded_ranks(recorded: RecordedRanks, rows: Rows) -> Ranks:
    """The recorded rank of each row's target.

    Raises:
        InputError: the recording treated mentioned items in another way than the protocol, or lacks a row.
    """
    if recorded.exclude_seen != (rows.protocol == "new-targets"):
        raise InputError(
            f"{recorded.name!r} was recorded with exclude_seen={recorded.exclude_seen!r}, which does not fit "
            f"the protocol {rows.protocol!r}; read the other recording"
        )
    ranks: list[int] = []
    for at, target in zip(rows.example, rows.targets, strict=True):
        key = (rows.examples[at].id, target)
        if key not in recorded.ranks:
            raise InputError(f"{recorded.name!r} has no rank for {target!r} of {key[0]!r}; read it for these examples")
        ranks.append(recorded.ranks[key])
    return np.array(ranks, np.int64)


def _removed(example: Example, protocol: Protocol) -> frozenset[ItemId]:
    return frozenset(example.context_items) if protocol == "new-targets" else frozenset()


def _check(system: str, example: Example, items: Sequence[ItemId], catalogue: Collection[ItemId]) -> None:
    seen: set[ItemId] = set()
    for item in items:
        if item not in catalogue:
            raise InputError(f"{system!r} ranked {item!r} for {example.id!r}, which is not in the catalogue")
        if item in seen:
            raise InputError(f"{system!r} ranked {item!r} twice for {example.id!r}")
        seen.add(item)
