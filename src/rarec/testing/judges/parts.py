"""The parts of a taste: each gives the candidates of a request a value, by one thing only.

A value is about 0 for an indifferent item and 1 for a good one; a taste adds the values times their weights. A negative
weight turns a part around. `Affinity`, `Words`, `Popularity` and `Judged` use what the judge remembers: an item that it
does not know gets their neutral value. The others read what every request shows, attributes and years.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from rarec.catalogue.folding import folded_words
from rarec.errors import InputError
from rarec.testing.judges.memory import UNKNOWN, Floats
from rarec.testing.judges.reading import Reading
from rarec.types import Item, RankingTask


class Part(Protocol):
    """One thing that a judge looks at."""

    @property
    def weight(self) -> float:
        """Score units a unit of value; any finite number."""
        ...

    def values(self, reading: Reading) -> Floats:
        """A finite value of each candidate, shape (m,); it hangs on the candidate and not on its place."""
        ...


@dataclass(frozen=True, slots=True)
class Affinity:
    """Understanding: closeness of the remembered item to the mentioned ones, in standard deviations (`Memory`)."""

    weight: float = 1.0

    def values(self, reading: Reading) -> Floats:
        memory = reading.memory
        rows = memory.rows_of([item for item, _ in reading.felt])
        feelings = np.array([feeling for _, feeling in reading.felt])
        kept = rows != UNKNOWN
        own = reading.rows[reading.remembered]
        return reading.spread(memory.affinity(own, rows[kept], feelings[kept]))


@dataclass(frozen=True, slots=True)
class Words:
    """Understanding: the user's words in the remembered item's title and text (`Memory.match`)."""

    weight: float = 1.0

    def values(self, reading: Reading) -> Floats:
        own = reading.rows[reading.remembered]
        return reading.spread(reading.memory.match(own, reading.words))


@dataclass(frozen=True, slots=True)
class Judged:
    """Understanding given as a function of the task, one finite number a candidate; 0 for items not remembered."""

    weight: float
    function: Callable[[RankingTask], Sequence[float]]

    def values(self, reading: Reading) -> Floats:
        given = np.asarray(self.function(reading.task), dtype=np.float64)
        if given.shape != (len(reading.items),) or not np.isfinite(given).all():
            raise InputError(f"the function of Judged gave {given!r}; give one finite number a candidate")
        return reading.spread(given[reading.remembered])


@dataclass(frozen=True, slots=True)
class Popularity:
    """The share of the catalogue that is less popular; 0.5 for items not remembered. Aversion is a negative weight."""

    weight: float = 1.0

    def values(self, reading: Reading) -> Floats:
        own = reading.rows[reading.remembered]
        return reading.spread(reading.memory.popularity[own], neutral=0.5)


@dataclass(frozen=True, slots=True)
class Asked:
    """Understanding: 1 - 2^-k for k attribute values that the user names; "no horror" counts like "horror".

    Attributes:
        attributes: which to look at; None is all.
    """

    weight: float = 1.0
    attributes: tuple[str, ...] | None = None

    def values(self, reading: Reading) -> Floats:
        named = [self._named(item, reading) for item in reading.items]
        return 1.0 - 0.5 ** np.array(named, dtype=np.float64)

    def _named(self, item: Item, reading: Reading) -> int:
        """How many values of the item the user names, in the singular or the plural."""
        said, words, count = reading.said, reading.words, 0
        for name in item.attributes if self.attributes is None else self.attributes:
            forms, starts = _forms(tuple(item.attributes.get(name, ())))
            # Most values begin with a word that nobody said: the text is searched for the others only.
            if not starts.isdisjoint(words):
                count += sum(one in said or many in said for begins, one, many in forms if not words.isdisjoint(begins))
        return count


@dataclass(frozen=True, slots=True)
class Shared:
    """Cosine between the item's values and those of the mentioned items, counted by feeling; from -1 to 1.

    Attributes:
        attributes: whose values are compared, each attribute by itself; None is all.
    """

    weight: float = 1.0
    attributes: tuple[str, ...] | None = None

    def values(self, reading: Reading) -> Floats:
        profile: defaultdict[tuple[str, str], float] = defaultdict(float)
        for item, feeling in reading.felt:
            for pair in _values(item, self.attributes):
                profile[pair] += feeling
        length = math.sqrt(sum(count * count for count in profile.values()))
        if length == 0:
            return np.zeros(len(reading.items))
        own = [_values(item, self.attributes) for item in reading.items]
        sums = [sum(profile.get(pair, 0.0) for pair in pairs) / math.sqrt(len(pairs) or 1) for pairs in own]
        return np.array(sums) / length


@dataclass(frozen=True, slots=True)
class People:
    """1 for an item that has a name in common with one the user did not dislike, minus 1 with a disliked one."""

    attributes: tuple[str, ...]
    weight: float = 1.0

    def values(self, reading: Reading) -> Floats:
        good = {p for item, feeling in reading.felt if feeling > 0 for p in _values(item, self.attributes)}
        bad = {p for item, feeling in reading.felt if feeling < 0 for p in _values(item, self.attributes)}
        own = [_values(item, self.attributes) for item in reading.items]
        return np.array([float(not good.isdisjoint(o)) - float(not bad.isdisjoint(o)) for o in own])


@dataclass(frozen=True, slots=True)
class Favourites:
    """A hidden preference: 1 for an item that has one of these values of the attribute, whatever the user says."""

    attribute: str
    favourites: frozenset[str]
    weight: float = 1.0

    def values(self, reading: Reading) -> Floats:
        own = [item.attributes.get(self.attribute, ()) for item in reading.items]
        return np.array([float(not self.favourites.isdisjoint(values)) for values in own])


@dataclass(frozen=True, slots=True)
class Era:
    """exp(-distance / width) to the preferred years; 0 for an item without a year.

    Attributes:
        years: the first and the last of them, both included. None prefers the years of the mentioned items that the
            user did not dislike, averaged by feeling; without such a year every value is 0.
        width: in years, > 0.
    """

    weight: float = 1.0
    years: tuple[int, int] | None = None
    width: float = 10.0

    def __post_init__(self) -> None:
        if not self.width > 0:
            raise InputError(f"width must be > 0 years, got {self.width!r}; 10 is a usual start")

    def values(self, reading: Reading) -> Floats:
        preferred = self._preferred(reading)
        if preferred is None:
            return np.zeros(len(reading.items))
        low, high = preferred
        away = [math.inf if i.year is None else max(low - i.year, i.year - high, 0.0) for i in reading.items]
        return np.exp(-np.array(away) / self.width)

    def _preferred(self, reading: Reading) -> tuple[float, float] | None:
        if self.years is not None:
            return self.years
        liked = [(item.year, feeling) for item, feeling in reading.felt if item.year is not None and feeling > 0]
        if not liked:
            return None
        middle = sum(year * feeling for year, feeling in liked) / sum(feeling for _, feeling in liked)
        return middle, middle


def _values(item: Item, attributes: tuple[str, ...] | None) -> list[tuple[str, str]]:
    names = item.attributes if attributes is None else attributes
    return [(name, value) for name in names for value in item.attributes.get(name, ())]


@lru_cache(maxsize=65536)
def _forms(values: tuple[str, ...]) -> tuple[tuple[tuple[tuple[str, str], str, str], ...], frozenset[str]]:
    """Of each value that has words: how its first word may begin in what was said, and its singular and plural.

    And all of these beginnings.
    """
    spelt = [words for value in values if (words := folded_words(value))]
    forms = tuple(((w[0], w[0] + "s"), f" {' '.join(w)} ", f" {' '.join(w)}s ") for w in spelt)
    return forms, frozenset(begin for begins, _, _ in forms for begin in begins)
