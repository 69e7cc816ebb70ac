"""Groups of records that have a title in common, and which pairs of them are worth holding against each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rarec.corpus.clusters import Clusters
from rarec.corpus.sides import Side, Sides
from rarec.progress import OnProgress

MOST_OF_A_TITLE = 120
"""Of more groups with one title only those are compared that have a person in common."""

_EVERY = 2000


@dataclass(frozen=True, slots=True)
class Block:
    """The groups that have a title.

    Attributes:
        bearers: label -> one of its records that has the title.
        main: labels whose main title it is.
    """

    bearers: dict[int, int]
    main: frozenset[int]

    @property
    def common(self) -> bool:
        """Whether so many have the title that it says nothing."""
        return len(self.bearers) > MOST_OF_A_TITLE


def blocks(
    clusters: Clusters, changed: NDArray[np.bool_] | None = None, tell: OnProgress | None = None
) -> Iterator[Block]:
    """Titles that several groups have.

    Args:
        changed: shape (records,); only titles of such records are given. None for all.
        tell: told how many titles are done.
    """
    traits = clusters.traits
    titles, labels = traits.titles, clusters.labels[traits.titled]
    if not len(titles):
        return
    starts = np.flatnonzero(np.r_[True, titles[1:] != titles[:-1]])
    sizes = np.diff(np.r_[starts, len(titles)])
    several = np.maximum.reduceat(labels, starts) != np.minimum.reduceat(labels, starts)
    if changed is not None:
        several &= np.maximum.reduceat(changed[traits.titled], starts)
    chosen = np.flatnonzero(several)
    for done, at in enumerate(chosen.tolist()):
        part = slice(int(starts[at]), int(starts[at] + sizes[at]))
        if tell is not None and done % _EVERY == 0:
            tell("", done, len(chosen), "")
        yield _block(labels[part].tolist(), traits.titled[part].tolist(), traits.main[part].tolist())
    if tell is not None and len(chosen):
        tell("", len(chosen), len(chosen), "")


def _block(labels: list[int], records: list[int], main: list[bool]) -> Block:
    bearers: dict[int, int] = {}
    for label, record in zip(labels, records, strict=True):
        bearers.setdefault(label, record)
    return Block(bearers, frozenset(label for label, is_main in zip(labels, main, strict=True) if is_main))


def pairs(block: Block, sides: Sides, *, year_slack: int) -> Iterator[tuple[Side, Side]]:
    """Pairs that are worth asking about, the smaller label first: near in time or of an unknown year.

    Of a common title only pairs with a person in common.
    """
    if block.common:
        yield from _with_a_person(block, sides)
        return
    members = [sides.of(label) for label in sorted(block.bearers)]
    dated = sorted((side for side in members if side.first is not None), key=lambda side: (side.first, side.label))
    undated = [side for side in members if side.first is None]
    for at, side in enumerate(dated):
        for other in dated[at + 1 :]:
            if (other.first or 0) - (side.last or 0) > year_slack:
                break
            yield _in_order(side, other)
    for at, side in enumerate(undated):
        for other in (*undated[at + 1 :], *dated):
            yield _in_order(side, other)


def neighbours(block: Block, sides: Sides, *, year_slack: int) -> Iterator[tuple[Side, Side]]:
    """Of a common title, each group with the next one in time, where that is near."""
    dated = [side for label in block.bearers if (side := sides.of(label)).first is not None]
    dated.sort(key=lambda side: (side.first, side.label))
    for side, other in pairwise(dated):
        if (other.first or 0) - (side.last or 0) <= year_slack:
            yield _in_order(side, other)


def _in_order(one: Side, other: Side) -> tuple[Side, Side]:
    return (one, other) if one.label < other.label else (other, one)


def _with_a_person(block: Block, sides: Sides) -> Iterator[tuple[Side, Side]]:
    by_person: dict[int, list[int]] = {}
    for label in sorted(block.bearers):
        for person in sides.of(label).people:
            by_person.setdefault(person, []).append(label)
    seen: set[tuple[int, int]] = set()
    for labels in by_person.values():
        if len(labels) > MOST_OF_A_TITLE:  # a name that says nothing, such as "unknown"
            continue
        for at, one in enumerate(labels):
            for other in labels[at + 1 :]:
                if (one, other) not in seen:
                    seen.add((one, other))
                    yield sides.of(one), sides.of(other)


__all__ = ["MOST_OF_A_TITLE", "Block", "blocks", "neighbours", "pairs"]
