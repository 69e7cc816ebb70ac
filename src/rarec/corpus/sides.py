"""What is known of a group of records when it is held against another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rarec.corpus.clusters import Clusters, Members
from rarec.corpus.keys import fact_kind
from rarec.corpus.traits import MAIN, UNKNOWN_YEAR

_REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class Side:
    """A group of records, or several that are being joined.

    Attributes:
        label: the smallest number of its records.
        sources: which say it.
        first, last: year; None if none of them knows one.
        people, main: hashes of all, and of the main ones of each record.
        roles: see `Traits.roles`.
        facts: `fact_kind` -> hashes of the values.
        numbers: a tuple of known values for each attribute that holds a number.
        ids: hash for each namespace, 0 where unknown.
    """

    label: int
    sources: frozenset[int]
    first: int | None
    last: int | None
    people: frozenset[int]
    main: frozenset[int]
    roles: int
    facts: dict[int, frozenset[int]]
    numbers: tuple[tuple[float, ...], ...]
    ids: tuple[int, ...]

    def with_other(self, other: Side) -> Side:
        """Both as one."""
        firsts = [year for year in (self.first, other.first) if year is not None]
        lasts = [year for year in (self.last, other.last) if year is not None]
        facts = dict(self.facts)
        for place, values in other.facts.items():
            facts[place] = facts.get(place, frozenset()) | values
        return Side(
            min(self.label, other.label),
            self.sources | other.sources,
            min(firsts, default=None),
            max(lasts, default=None),
            self.people | other.people,
            self.main | other.main,
            self.roles | other.roles,
            facts,
            tuple(a + b for a, b in zip(self.numbers, other.numbers, strict=True)),
            tuple(max(a, b) for a, b in zip(self.ids, other.ids, strict=True)),
        )


class Sides:
    """The sides of the groups as they are now; a later union needs new ones."""

    def __init__(self, clusters: Clusters) -> None:
        traits = clusters.traits
        self._members = Members(clusters.labels)
        # Single numbers are taken out of memoryviews many times faster than out of arrays.
        self._years = traits.years.data
        self._source = traits.source.data
        self._roles = traits.roles.data
        self._people = traits.people.values.data
        self._people_starts = traits.people.starts.data
        self._facts = traits.facts.values.data
        self._fact_starts = traits.facts.starts.data
        self._numbers: list[Any] = [
            column.data if not np.isnan(column).all() else None for column in traits.numbers.values()
        ]
        self._ids = [column.data for column in clusters.ids.values()]
        self._known: dict[int, Side] = {}

    def of(self, label: int) -> Side:
        """The side of a group."""
        side = self._known.get(label)
        if side is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            side = self._known[label] = self._made(label)
        return side

    def _made(self, label: int) -> Side:
        members = self._members[label]
        years = [year for i in members if (year := self._years[i]) != UNKNOWN_YEAR]
        people: list[int] = []
        main: list[int] = []
        facts: dict[int, set[int]] = {}
        roles = 0
        for i in members:
            names = self._people[self._people_starts[i] : self._people_starts[i + 1]].tolist()
            people += names
            main += names[:MAIN]
            roles |= self._roles[i]
            for key in self._facts[self._fact_starts[i] : self._fact_starts[i + 1]]:
                facts.setdefault(fact_kind(key), set()).add(key)
        return Side(
            label,
            frozenset(self._source[i] for i in members),
            min(years, default=None),
            max(years, default=None),
            frozenset(people),
            frozenset(main),
            roles,
            {place: frozenset(values) for place, values in facts.items()},
            tuple(_known(column, members) for column in self._numbers),
            tuple(column[label] for column in self._ids),
        )


def _known(column: memoryview[Any] | None, members: list[int]) -> tuple[float, ...]:
    return () if column is None else tuple(value for i in members if (value := column[i]) == value)  # NaN is not itself
