"""What an index is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rarec.types import Filters, Item, ItemId


@dataclass(frozen=True, slots=True)
class Hits:
    """The best items for one query: ids and scores, best first; ties by insertion order."""

    ids: tuple[ItemId, ...]
    scores: NDArray[np.float32]


class Index(Protocol):
    """Maximum inner product search over items, under filters."""

    def __len__(self) -> int: ...

    def add(self, items: Sequence[Item], vectors: NDArray[np.float32]) -> None:
        """Add or replace items; `vectors` has shape (len(items), d), any norm."""
        ...

    def remove(self, ids: Sequence[ItemId]) -> None:
        """Remove items; unknown ids are ignored."""
        ...

    def search(
        self,
        queries: NDArray[np.float32],
        *,
        n: int,
        filters: Filters | Sequence[Filters] | None = None,
        bonuses: Sequence[Mapping[ItemId, float]] | None = None,
    ) -> list[Hits]:
        """The n items with the largest score, for each row of `queries`, shape (q, d).

        A score is the inner product and the item's bonus, if the query has one for it (`bonuses` are at least 0, one
        mapping for each query). Fewer than n come back only if fewer pass the filters (one for all queries, or one
        each).
        """
        ...
