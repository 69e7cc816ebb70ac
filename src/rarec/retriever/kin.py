"""What an item that nobody could have talked about yet inherits from items that are like it.

Counts know nothing of an item that arrived after they were taken, so it would stand behind every item that has some,
whatever it is about. What its nearest relatives get is the best guess: the text says what an item is about, the
popularity how often people speak of such. Only new items inherit: that nobody spoke of an item that was there all the
time says something about it.

Ours. The guess is that of the odds, not of their logarithm, which would be too low: of ten relatives of which one is
wanted a tenth of its odds are expected.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch.nn.functional import embedding_bag

from rarec.item_numbers import Bonuses, ItemNumbers, RowOfNumber
from rarec.retriever.features import EXTRA_FEATURES
from rarec.retriever.postings import MOST_WEIGHT
from rarec.types import Item, ItemId

_AT_ONCE = 1024
_LARGEST = 80.0  # bonus whose odds are still a number of float32
_MOST = 2000  # new items that inherit in one conversation, so that its search stays fast


class KinConfig(BaseModel):
    """How new items inherit.

    Attributes:
        weight: of what is inherited; 0 turns it off.
        nearest: how many relatives an item has.
        text: cosine of the texts by which a relative's share falls to 1 / e.
        popularity: the same for the difference of the popularity features, see `PopularityScale`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weight: float = Field(default=1.25, ge=0, le=MOST_WEIGHT)
    nearest: int = Field(default=20, gt=0)
    text: float = Field(default=0.1, ge=1e-3)
    popularity: float = Field(default=0.1, ge=1e-3)


@dataclass(frozen=True, slots=True, eq=False)
class Kin:
    """Those that new items may inherit from.

    Attributes:
        names: of the items for which something is counted, each once.
        features: embeddings of their texts, unit rows, and their popularity features, float16, shape (names, d + 1).
        known: digests, ascending, of all items that were there when it was counted, int64.
    Raises:
        ValueError: these do not fit each other.
    """

    config: KinConfig
    names: tuple[str, ...]
    features: NDArray[np.float16]
    known: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or len(self.features) != len(self.names) or self.features.shape[1] < 2:
            raise ValueError("the features of relatives do not fit their names")
        if (self.features.dtype.name, self.known.dtype.name, self.known.ndim) != ("float16", "int64", 1):
            raise ValueError("the features of relatives, or what is known, are of another kind")
        if not np.isfinite(self.features).all() or (np.diff(self.known) < 0).any():
            raise ValueError("a feature of a relative is no number, or what is known is not in order")
        if len(set(self.names)) != len(self.names):
            raise ValueError("a relative comes twice")

    @staticmethod
    def of(config: KinConfig, counted: Iterable[str], names: Sequence[str], features: NDArray[np.float32]) -> Kin:
        """Of a catalogue.

        Args:
            counted: names of the items for which something is counted; those not in the catalogue are left out.
            names, features: of all its items, row by row; of two with one name the first counts. See `item_features`.
        """
        row = {name: at for at, name in reversed(list(enumerate(names)))}
        kept = sorted(name for name in set(counted) if name in row)
        chosen = features[[row[name] for name in kept]]
        split = features.shape[1] - EXTRA_FEATURES
        known = np.array(sorted(int(name, 16) for name in row), dtype=np.int64)
        return Kin(config, tuple(kept), chosen[:, : split + 1].astype(np.float16), known)

    def with_weight(self, weight: float) -> Kin:
        """The same relatives under another weight."""
        return replace(self, config=self.config.model_copy(update={"weight": weight}))

    def new(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """Which of some items were not there, shape (names,)."""
        digests = np.array([int(name, 16) for name in names], dtype=np.int64)
        places = np.minimum(np.searchsorted(self.known, digests), max(len(self.known) - 1, 0))
        return self.known[places] != digests if len(self.known) else np.ones(len(names), dtype=np.bool_)

    def ties(self, features: NDArray[np.float32]) -> Ties:
        """The nearest relatives of items, and the share of each.

        Args:
            features: see `item_features`, shape (n, d + 4).
        """
        width = self.features.shape[1] - 1 + EXTRA_FEATURES
        if features.ndim != 2 or features.shape[1] != width:
            raise ValueError(f"features have shape {features.shape!r}, relatives need (n, {width})")
        mine = self.features.astype(np.float32)
        parts = [self._ties(mine, features[at : at + _AT_ONCE]) for at in range(0, len(features), _AT_ONCE)]
        return self.joined(parts)

    def joined(self, parts: Iterable[Ties]) -> Ties:
        """Of all items of some parts; no parts give no items."""
        nearest = min(self.config.nearest, len(self.names))
        none = Ties(np.empty((0, nearest), dtype=np.int32), np.empty((0, nearest), dtype=np.float32))
        whole = [none, *parts]
        return Ties(np.concatenate([part.places for part in whole]), np.concatenate([part.shares for part in whole]))

    def inherited(self, ties: Ties, bonuses: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """``weight * log(1 + sum of shares * (exp(bonus) - 1))`` over each item's relatives.

        Of more than 2,000 items only those that gain most.

        Args:
            ties: of the items.
            bonuses: what is counted for the relatives, at least 0, shape (names,).
        Returns:
            rows of the items that gain, ascending, and what each gains, above 0; shape (k,) both.
        """
        if not ties.places.size:
            return np.empty(0, dtype=np.int64), np.empty(0)
        odds = np.expm1(np.minimum(bonuses, _LARGEST))
        # One pass without the gathered numbers in memory; numpy takes three times as long.
        sums = embedding_bag(
            torch.from_numpy(ties.places),
            torch.from_numpy(odds)[:, None],
            per_sample_weights=torch.from_numpy(ties.shares),
            mode="sum",
        )[:, 0].numpy()
        rows = np.flatnonzero(sums)
        if len(rows) > _MOST:
            rows = np.sort(np.argpartition(-sums, _MOST)[:_MOST])
        return rows, self.config.weight * np.log1p(sums[rows].astype(np.float64))

    def _ties(self, mine: NDArray[np.float32], features: NDArray[np.float32]) -> Ties:
        nearest = min(self.config.nearest, len(self.names))
        text, (popularity, known) = features[:, : mine.shape[1] - 1], features[:, mine.shape[1] - 1 :].T[:2]
        apart = np.abs(popularity[:, None] - mine[:, -1]) * (known[:, None] > 0)
        near = text @ mine[:, :-1].T / self.config.text - apart / self.config.popularity
        places = np.argpartition(-near, max(nearest - 1, 0), axis=1)[:, :nearest] if nearest else near.astype(np.int32)
        own = np.take_along_axis(near, places, axis=1)
        shares = np.exp(own - own.max(axis=1, keepdims=True, initial=-np.inf))
        return Ties(places.astype(np.int32), shares / shares.sum(axis=1, keepdims=True))


@dataclass(frozen=True, slots=True, eq=False)
class Ties:
    """Of items to their relatives.

    Attributes:
        places: of the relatives in `Kin.names`, int32, shape (n, nearest).
        shares: of each, float32; the sum of an item's is 1.
    """

    places: NDArray[np.int32]
    shares: NDArray[np.float32]


class Heirs:
    """The new items of a catalogue, which come and go. One thread may change it while others read.

    Args:
        numbers: of ids; shared with other tables, or None.
    """

    def __init__(self, kin: Kin, numbers: ItemNumbers | None = None) -> None:
        self._kin, self._of = kin, ItemNumbers() if numbers is None else numbers
        self._rows, self._size = RowOfNumber(), 0
        # More rows than are used, so that one item comes without all being copied.
        self._room = np.empty(0, dtype=np.int32), kin.joined([])
        self._now = self._room  # what readers see: numbers of the items, and their ties

    def __len__(self) -> int:
        """How many inherit."""
        return self._size

    def put(self, items: Sequence[Item], names: Sequence[str], features: NDArray[np.float32]) -> None:
        """Add or replace items, of two with one id the last; those not new, or without a text, do not inherit.

        Args:
            names, features: of the items; see `item_features`.
        """
        last, new = {item.id: row for row, item in enumerate(items)}, self._kin.new(names)
        chosen = [row for row in last.values() if new[row] and items[row].text.strip()]
        added = self._kin.ties(features[np.array(chosen, dtype=np.int64)])
        gone, start = self._forget(last), len(self._now[0])
        if start + len(chosen) > len(self._room[0]):
            gone, start = gone[:0], self._grow(len(chosen))
        numbers, own = self._of.give([items[row].id for row in chosen]), slice(start, start + len(chosen))
        self._room[0][own] = numbers
        self._room[1].places[own], self._room[1].shares[own] = added.places, added.shares
        self._rows.put(numbers, np.arange(own.start, own.stop))
        self._size += len(chosen)
        self._now = self._used(own.stop)
        self._room[1].shares[gone] = 0  # until then readers take the last of two

    def remove(self, ids: Collection[ItemId]) -> None:
        """Remove items; unknown ids are ignored."""
        self._room[1].shares[self._forget(ids)] = 0

    def inherited(self, bonuses: NDArray[np.float32]) -> Bonuses:
        """What each gains; see `Kin.inherited`."""
        numbers, ties = self._now
        rows, gained = self._kin.inherited(ties, bonuses)
        order = np.argsort(numbers[rows], kind="stable")
        found = numbers[rows][order]
        last = np.diff(found, append=-1) != 0
        return Bonuses(self._of, found[last].astype(np.int64), gained[order][last])

    def _forget(self, ids: Collection[ItemId]) -> NDArray[np.int64]:
        """The rows that they had."""
        numbers = np.unique(self._of.find(ids))
        rows = self._rows.get(numbers)
        numbers, rows = numbers[rows >= 0], rows[rows >= 0]
        self._rows.put(numbers, -1)
        self._size -= len(numbers)
        return rows

    def _grow(self, more: int) -> int:
        """Room for twice as many, without rows of those that are gone; how many rows are used. Readers see it later."""
        numbers, old = self._now
        kept = np.flatnonzero(self._rows.get(numbers) == np.arange(len(numbers)))
        shape = (2 * (len(kept) + more), old.places.shape[1])
        room = Ties(np.zeros(shape, dtype=np.int32), np.zeros(shape, dtype=np.float32))
        room.places[: len(kept)], room.shares[: len(kept)] = old.places[kept], old.shares[kept]
        self._room = np.concatenate([numbers[kept], np.zeros(shape[0] - len(kept), dtype=np.int32)]), room
        self._rows.put(numbers[kept], np.arange(len(kept)))
        return len(kept)

    def _used(self, rows: int) -> tuple[NDArray[np.int32], Ties]:
        numbers, ties = self._room
        return numbers[:rows], Ties(ties.places[:rows], ties.shares[:rows])
