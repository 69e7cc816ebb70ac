"""Which items come up in the same conversations: counts that stand beside the vectors.

Vectors of texts know what an item is about; they do not know that two items of different kinds are asked for by the
same people. The counts do, for items that were talked about, and say nothing of others: these are scored by text alone,
as before.

Source: item-item neighbourhoods by cosine with shrinkage, Sarwar et al. 2001, "Item-based collaborative filtering", and
Deshpande and Karypis 2004. The logarithm is ours: a sum of counts has a long tail, and the model's scores are logits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from rarec.types import Conversation, ItemId, Sentiment

MOST_ITEMS = 200
"""Items of one conversation that are counted; a longer one says little about any pair."""
_PAIRS_AT_ONCE = 1 << 22


class NeighboursConfig(BaseModel):
    """How counts become scores; part of every bundle that has some.

    Attributes:
        weight: of the whole; 0 turns it off.
        gain: how soon the logarithm bends.
        shrinkage: added to how often an item comes up, so that few counts prove little.
        most: neighbours kept of each item.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: float = Field(default=1.0, ge=0)
    gain: float = Field(default=30.0, gt=0)
    shrinkage: float = Field(default=1.0, ge=0)
    most: int = Field(default=500, gt=0)


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """A sparse matrix over items, row by row: ``n_ij / sqrt((n_i + shrinkage) (n_j + shrinkage))``.

    n_i is the number of conversations that mention item i, n_ij of those that mention both.

    Attributes:
        ids: of the items that have a neighbour.
        starts: where each row begins, int64, shape (items + 1,).
        columns: of each entry, int32, shape (entries,).
        values: of each entry, above 0, float32, shape (entries,).
    """

    config: NeighboursConfig
    ids: tuple[ItemId, ...]
    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    values: NDArray[np.float32]
    _rows: dict[ItemId, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        size, entries = len(self.ids), len(self.columns)
        ends = len(self.starts) == size + 1 and (self.starts[0], self.starts[-1]) == (0, entries)
        if not ends or len(self.values) != entries or (np.diff(self.starts) < 0).any():
            raise ValueError("the rows do not fit the entries")
        if entries and not (self.columns.min() >= 0 and self.columns.max() < size):
            raise ValueError("an entry is of no item")
        if not (np.isfinite(self.values).all() and (self.values > 0).all()):
            raise ValueError("an entry is not above 0")
        object.__setattr__(self, "_rows", {id: row for row, id in enumerate(self.ids)})
        if len(self._rows) != size:
            raise ValueError("an id comes twice")

    @staticmethod
    def count(conversations: Iterable[Conversation], config: NeighboursConfig) -> Neighbours:
        """Count in linked conversations; no conversations give no neighbours.

        A conversation counts once for each pair of its items, whoever mentioned them and whatever was said of them.
        Of more than `MOST_ITEMS` the first count.
        """
        rows: dict[ItemId, int] = {}
        sets = [
            [rows.setdefault(item, len(rows)) for item in islice(mentioned, MOST_ITEMS)]
            for conversation in conversations
            if len(mentioned := dict.fromkeys(m.item for m in conversation.mentions())) > 1
        ]
        return _counted(sets, tuple(rows), config)

    def __len__(self) -> int:
        """How many items have a neighbour."""
        return len(self.ids)

    def with_weight(self, weight: float) -> Neighbours:
        """The same counts with another weight."""
        return replace(self, config=self.config.model_copy(update={"weight": weight}))

    def bonuses(self, items: Collection[ItemId]) -> dict[ItemId, float]:
        """What mentioned items add to the scores of their neighbours: ``weight * log(1 + gain * sum of the values)``.

        All are above 0; items that are not named get nothing. Unknown items add nothing, and one that is named twice
        counts once. The sum goes by the matrix's own order, so it does not depend on that of `items`.
        """
        columns, values = self.scored(items)
        return dict(zip((self.ids[column] for column in columns), map(float, values), strict=True))

    def scored(self, items: Collection[ItemId]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As `bonuses`: places in `ids`, ascending, and what each gets; shape (k,) both."""
        rows = sorted({self._rows[item] for item in items if item in self._rows})
        if not rows or not self.config.weight:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        spans = [slice(self.starts[row], self.starts[row + 1]) for row in rows]
        found, place = np.unique(np.concatenate([self.columns[span] for span in spans]), return_inverse=True)
        sums = np.bincount(place, np.concatenate([self.values[span] for span in spans]), len(found))
        gained = self.config.weight * np.log1p(self.config.gain * sums)
        return found.astype(np.int64), gained.astype(np.float32)


def items_that_count(conversation: Conversation) -> list[ItemId]:
    """The mentioned items whose neighbours are asked for, each once: all but those last said to be disliked."""
    felt: dict[ItemId, Sentiment] = {}
    for mention in conversation.mentions():
        if mention.sentiment != "mentioned" or mention.item not in felt:
            felt[mention.item] = mention.sentiment
    return [item for item, sentiment in felt.items() if sentiment != "disliked"]


class NeighbourScores:
    """Adds bonuses to scores over the columns of a fixed catalogue.

    Args:
        neighbours: None adds nothing.
        ids: of the columns.
    """

    def __init__(self, neighbours: Neighbours | None, ids: Iterable[ItemId]) -> None:
        self._neighbours = neighbours
        columns = {id: column for column, id in enumerate(ids)}
        known = neighbours.ids if neighbours else ()
        self._columns = np.array([columns.get(id, -1) for id in known], dtype=np.int64)

    def of(self, items: Collection[ItemId]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Columns and what each gets, shape (k,) both."""
        if self._neighbours is None:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        places, gained = self._neighbours.scored(items)
        columns = self._columns[places]
        return columns[columns >= 0], gained[columns >= 0]

    def add_to(self, scores: NDArray[np.float32], conversations: Sequence[Conversation]) -> None:
        """Add to scores in place, shape (conversations, columns)."""
        for row, conversation in zip(scores, conversations, strict=True):
            columns, gained = self.of(items_that_count(conversation))
            row[columns] += gained


def _counted(sets: Sequence[Sequence[int]], ids: tuple[ItemId, ...], config: NeighboursConfig) -> Neighbours:
    """The matrix of sets of rows of `ids`, each of two items or more."""
    size = len(ids)
    often = np.bincount(np.fromiter((row for own in sets for row in own), dtype=np.int64), minlength=size)
    pairs, counts = _pairs(sets, size)
    left, right = np.divmod(pairs, max(size, 1))
    shrunk = often + config.shrinkage
    values = (counts / np.sqrt(shrunk[left] * shrunk[right])).astype(np.float32)
    # The strongest first within a row; of equal ones the item that was met first.
    order = np.lexsort((right, -values, left))
    left, right, values = left[order], right[order], values[order]
    firsts = np.searchsorted(left, np.arange(size))
    kept = np.arange(len(left)) - firsts[left] < config.most
    left, right, values = left[kept], right[kept], values[kept]
    starts = np.searchsorted(left, np.arange(size + 1)).astype(np.int64)
    return Neighbours(config, ids, starts, right.astype(np.int32), values)


def _pairs(sets: Sequence[Sequence[int]], size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each ordered pair of different items of one set, as one number, and in how many sets it is."""
    pairs, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    waiting: list[NDArray[np.int64]] = []
    held = 0
    for number, own in enumerate(sets, start=1):
        rows = np.array(own, dtype=np.int64)
        grid = rows[:, None] * size + rows[None]
        waiting.append(grid[~np.eye(len(rows), dtype=bool)])
        held += len(waiting[-1])
        if held > _PAIRS_AT_ONCE or number == len(sets):  # so that memory hangs on the pairs that differ
            met, often = np.unique(np.concatenate(waiting), return_counts=True)
            pairs, place = np.unique(np.concatenate([pairs, met]), return_inverse=True)
            counts = np.bincount(place, np.concatenate([counts, often]), len(pairs)).astype(np.int64)
            waiting, held = [], 0
    return pairs, counts
