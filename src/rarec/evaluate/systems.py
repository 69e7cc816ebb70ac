"""What can be evaluated: a system ranks a catalogue for examples; a scored one only has to give scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rarec.conversations import Example
from rarec.errors import InputError
from rarec.evaluate.predictions import Answer
from rarec.types import Item, ItemId

Scores = NDArray[np.float32]


class System(Protocol):
    """Something that recommends. It may return items that the conversation mentions: they are removed later."""

    @property
    def name(self) -> str: ...

    def rank(self, examples: Sequence[Example], *, n: int) -> list[tuple[ItemId, ...]]:
        """For each example at most n items of the catalogue, best first, none twice.

        A shorter list is allowed; targets that are not in it count as misses.
        """
        ...


@runtime_checkable
class GeneratingSystem(Protocol):
    """A system whose answers come from a language model, with what each call cost."""

    @property
    def name(self) -> str: ...

    def answers(self, examples: Sequence[Example], *, n: int) -> list[Answer]:
        """One answer for each example, with at most n items, as `System.rank` gives them."""
        ...


class ScoredSystem(ABC):
    """A system that gives every item of its catalogue a score; equal scores are ordered by popularity.

    `items` is the catalogue with the most popular first; score columns follow it.
    """

    batch_size = 256

    def __init__(self, name: str, items: Sequence[Item]) -> None:
        """Raises InputError if `items` is empty or has an id twice."""
        if not items:
            raise InputError(f"the system {name!r} got an empty catalogue; give at least one item")
        self.name = name
        # Stable: items of equal popularity keep the order in which they were given.
        self.items: tuple[Item, ...] = tuple(sorted(items, key=lambda item: -item.popularity))
        self.ids: tuple[ItemId, ...] = tuple(item.id for item in self.items)
        self.columns: dict[ItemId, int] = {item: column for column, item in enumerate(self.ids)}
        if len(self.columns) != len(self.ids):
            twice = next(item for column, item in enumerate(self.ids) if self.columns[item] != column)
            raise InputError(f"the catalogue of {name!r} has {twice!r} twice; give every item once")

    @abstractmethod
    def scores(self, examples: Sequence[Example]) -> Scores:
        """Higher is better, shape (examples, items); columns follow `items`."""

    def rank(self, examples: Sequence[Example], *, n: int) -> list[tuple[ItemId, ...]]:
        """The n best items for each example, all of them if the catalogue is smaller.

        Raises:
            InputError: n < 1.
        """
        lists: list[tuple[ItemId, ...]] = []
        for start in range(0, len(examples), self.batch_size):
            batch = examples[start : start + self.batch_size]
            lists += [tuple(self.ids[c] for c in best) for best in top_columns(self.scores(batch), n=n)]
        return lists

    def in_order(self, items: Sequence[Item], rows: Scores) -> Scores:
        """Rows that belong to `items`, in the order of the columns; not copied where that is their order already."""
        if all(mine is given for mine, given in zip(self.items, items, strict=True)):
            return rows
        place = {item.id: row for row, item in enumerate(items)}
        return rows[[place[item] for item in self.ids]]

    def context_matrix(self, examples: Sequence[Example]) -> Scores:
        """1 where an example's conversation mentions an item of the catalogue, shape (examples, items)."""
        matrix = np.zeros((len(examples), len(self.ids)), np.float32)
        for row, example in enumerate(examples):
            matrix[row, [self.columns[i] for i in example.context_items if i in self.columns]] = 1.0
        return matrix


def top_columns(scores: Scores, *, n: int) -> list[list[int]]:
    """The n best columns of each row, best first; the first of equal columns wins.

    Raises:
        InputError: n < 1, or a score is NaN.
    """
    if n < 1:
        raise InputError(f"n must be at least 1, got {n!r}")
    lists: list[list[int]] = []
    width = scores.shape[1]
    # Row by row: passes over a whole batch of 200,000 columns leave the processor's cache and take five times as long.
    for number, row in enumerate(scores):
        if np.isnan(row).any():
            raise InputError(f"row {number!r} has a score that is not a number")
        threshold = np.partition(row, width - n)[width - n] if n < width else -np.inf
        # Everything at the threshold is kept until equal scores are ordered, else a tie is cut at random.
        columns = np.flatnonzero(row >= threshold)
        lists.append(columns[np.argsort(-row[columns], kind="stable")][:n].tolist())
    return lists
