"""What attributes add to scores: a value in common with a mentioned item, or one that the user names.

Nothing here is learned from conversations but two weights, so an item that arrived a minute ago has it like any other,
in any domain. The rarity of a value that m of N items have is log(N / m) / log N, from 0 (all have it) to 1 (one has).

Source: the inverse document frequency of Spärck Jones 1972, brought to the scale of the catalogue; the logarithm of the
sum as in `rarec.retriever.associations`.
"""

from __future__ import annotations

import math
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from pydantic import BaseModel, ConfigDict, Field

from rarec.types import Item, ItemId

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
"""A word, apostrophes inside it."""

_LONGEST = 4  # words of a value that is looked for in what was said
_MANY = 32  # items from which on they are kept as keys
_FEW = 10  # items that may always have a value in common, however small the catalogue


class ValuesConfig(BaseModel):
    """How values in common become scores.

    Attributes:
        weight: of the whole; 0 turns it off.
        gain: how soon the logarithm bends.
        share: of the catalogue, that may have a value that counts (ten items always may); what most have tells nothing.
        most: items that may have it, whatever the catalogue's size.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: float = Field(default=1.0, ge=0)
    gain: float = Field(default=6.0, gt=0)
    share: float = Field(default=0.02, gt=0, le=1)
    most: int = Field(default=300, gt=0)


def most_having(size: int, config: ValuesConfig) -> float:
    """How many of so many items may have a value that counts."""
    return min(config.most, max(_FEW, config.share * size))


def folded(text: str) -> str:
    """The words of a text without case, joined by single spaces."""
    return " ".join(WORD.findall(text.casefold()))


def runs_of_words(words: Sequence[str], longest: int) -> Iterator[str]:
    """All runs of 1 to `longest` words that follow each other, joined by single spaces."""
    for length in range(1, longest + 1):
        for start in range(len(words) - length + 1):
            yield " ".join(words[start : start + length])


def values_of(item: Item) -> tuple[str, ...]:
    """The values of all attributes, folded, each once, none empty: a director who acts elsewhere is the same person."""
    return tuple(dict.fromkeys(v for values in item.attributes.values() for value in values if (v := _folded(value))))


@lru_cache(maxsize=1 << 16)
def _folded(value: str) -> str:
    """One text for all items that have the value: most of the memory would go into copies."""
    return sys.intern(folded(value))


class AttributeValues:
    """Which items of a catalogue have which values; items come and go."""

    def __init__(self) -> None:
        self._values: dict[ItemId, tuple[str, ...]] = {}
        # Most values are had by a few items, and a tuple takes a third of a dictionary's room.
        self._items: dict[str, tuple[ItemId, ...] | dict[ItemId, None]] = {}

    def __len__(self) -> int:
        """How many items there are."""
        return len(self._values)

    def put(self, items: Iterable[Item]) -> None:
        """Add or replace items."""
        for item in items:
            values = values_of(item)
            if self._values.get(item.id) == values:
                continue
            self.remove([item.id])
            self._values[item.id] = values
            for value in values:
                self._items[value] = _with(self._items.get(value, ()), item.id)

    def remove(self, ids: Iterable[ItemId]) -> None:
        """Remove items; unknown ids are ignored."""
        for item in ids:
            for value in self._values.pop(item, ()):
                if rest := _without(self._items[value], item):
                    self._items[value] = rest
                else:
                    del self._items[value]

    def shared(
        self,
        mentioned: Iterable[ItemId],
        config: ValuesConfig,
        *,
        others: Mapping[ItemId, tuple[str, ...]] | None = None,
    ) -> dict[ItemId, float]:
        """``weight * log(1 + gain * sum of squared rarities)`` over the values in common with each mentioned item.

        An item has nothing in common with itself.

        Args:
            mentioned: each once; unknown ids have nothing in common with anything.
            others: values of items that are not in the catalogue, as `values_of` gives them.
        Returns:
            of the items with something in common, above 0.
        """
        sums: defaultdict[ItemId, float] = defaultdict(float)
        for item in mentioned:
            values = self._values.get(item) or (others or {}).get(item, ())
            for having, rarity in self._rare(values, config):
                for other in having:
                    if other != item:
                        sums[other] += rarity * rarity
        return _scored(sums, config)

    def asked(self, said: Iterable[str], config: ValuesConfig) -> dict[ItemId, float]:
        """``weight * log(1 + gain * sum of rarities)`` over the item's values that somebody names, each once.

        A value is named where its words, at most four, stand one after the other.

        Args:
            said: messages, folded.
        Returns:
            of the items with such a value, above 0.
        """
        sums: defaultdict[ItemId, float] = defaultdict(float)
        for having, rarity in self._rare(
            dict.fromkeys(run for text in said for run in runs_of_words(text.split(), _LONGEST)), config
        ):
            for item in having:
                sums[item] += rarity
        return _scored(sums, config)

    def _rare(self, values: Iterable[str], config: ValuesConfig) -> Iterable[tuple[Sequence[ItemId], float]]:
        """Of values that count: who has it, and its rarity, above 0."""
        size = len(self._values)
        limit = most_having(size, config)
        for value in values:
            having = self._items.get(value, ())
            if 0 < len(having) <= limit and len(having) < size:
                # A copy, since another thread may be putting items.
                yield tuple(having), math.log(size / len(having)) / math.log(size)


def _with(having: tuple[ItemId, ...] | dict[ItemId, None], item: ItemId) -> tuple[ItemId, ...] | dict[ItemId, None]:
    if isinstance(having, tuple) and len(having) < _MANY:
        return (*having, item)
    if isinstance(having, tuple):
        having = dict.fromkeys(having)
    having[item] = None
    return having


def _without(having: tuple[ItemId, ...] | dict[ItemId, None], item: ItemId) -> tuple[ItemId, ...] | dict[ItemId, None]:
    if isinstance(having, tuple):
        return tuple(other for other in having if other != item)
    del having[item]
    return having


def _scored(sums: Mapping[ItemId, float], config: ValuesConfig) -> dict[ItemId, float]:
    if not config.weight:
        return {}
    return {item: config.weight * math.log1p(config.gain * value) for item, value in sums.items()}
