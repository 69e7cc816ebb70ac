"""What of every record decides whether it is the same thing as another, as arrays: a hundred bytes or so a record."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rarec.corpus.keys import fact_key, id_key, is_no_id, person_key, title_key
from rarec.corpus.record import Record
from rarec.corpus.staging import Staging
from rarec.progress import OnProgress

UNKNOWN_YEAR = -32768
MAIN = 3
"""How many people of a record, from the first, are its main ones."""

MOST_FACTS = 8
"""How many attributes can be compared by their values."""

_ANY_ROLE = 63
_MOST_PEOPLE = 40


@dataclass(frozen=True, slots=True)
class Ragged:
    """Lists of whole numbers, one a record: those of record i are ``values[starts[i]:starts[i + 1]]``."""

    starts: NDArray[np.int64]
    values: NDArray[np.uint32]

    @classmethod
    def of(cls, owners: NDArray[np.int32], values: NDArray[np.uint32], count: int) -> Ragged:
        """Lists of `count` records; `owners` says whose each value is. Values keep their order."""
        order = np.argsort(owners, kind="stable")
        starts = np.zeros(count + 1, np.int64)
        np.cumsum(np.bincount(owners, minlength=count), out=starts[1:])
        return cls(starts, values[order])


@dataclass(frozen=True, slots=True)
class Traits:
    """Columns over n records, whose numbers are their places here; the order is that of sources, then of keys.

    Attributes:
        places: where the staged sources keep each record.
        source: which source says it.
        years: `UNKNOWN_YEAR` where there is none.
        popularity: the largest of a record's counts, each times its weight; 0 if it has none.
        ids: namespace -> hashes, 0 where a record has none or a placeholder; namespaces in the order of trust.
        people: hashes, the most important first.
        roles: bit i of a record says that it names people of role i; the top bit, of an unknown role.
        facts: `fact_key` of every value of the attributes that must not differ.
        numbers: attribute -> values, NaN where unknown, of those that must be near each other.
        attributes: names of all that records have.
        titles: hashes of all titles, sorted; `titled` is whose each is and `main` whether it is the first one of it.
    """

    places: NDArray[np.int64]
    source: NDArray[np.int16]
    years: NDArray[np.int16]
    popularity: NDArray[np.float64]
    ids: Mapping[str, NDArray[np.uint64]]
    people: Ragged
    roles: NDArray[np.uint64]
    facts: Ragged
    numbers: Mapping[str, NDArray[np.float32]]
    attributes: frozenset[str]
    titles: NDArray[np.uint64]
    titled: NDArray[np.int32]
    main: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.places)


def read_traits(
    staging: Staging,
    sources: Sequence[str],
    *,
    trusted: Sequence[str] = (),
    weights: Mapping[str, float] | None = None,
    facts: Sequence[str] = (),
    numbers: Sequence[str] = (),
    progress: OnProgress | None = None,
) -> Traits:
    """Read the staged records once.

    Args:
        trusted: namespaces of ids, strongest first; others that come up follow by name.
        weights: count -> what one of it is worth, for the popularity.
        facts: attributes whose values must not differ, at most 8.
        numbers: attributes that hold a number.
    """
    places, source = staging.places(sources)
    reader = _Reader(len(places), trusted, dict(weights or {}), tuple(facts)[:MOST_FACTS], tuple(numbers))
    order = np.argsort(places)  # places are scanned in their own order
    in_order = places[order].tolist()
    number_of = order.tolist()
    at, total = 0, len(in_order)
    for place, record in staging.scan():
        if at < total and in_order[at] == place:
            reader.take(number_of[at], record)
            at += 1
            if progress is not None and at % 1000 == 0:
                progress("compare", at, total, "")
    if progress is not None:
        progress("compare", total or 1, total or 1, "")
    return reader.finish(places, source)


class _Reader:
    def __init__(
        self,
        count: int,
        trusted: Sequence[str],
        weights: dict[str, float],
        facts: tuple[str, ...],
        near: tuple[str, ...],
    ) -> None:
        self.count = count
        self.trusted = tuple(trusted)
        self.weights = weights
        self.fact_places = {name: place for place, name in enumerate(facts)}
        self.role_bits: dict[str, int] = {}
        self.years = np.full(count, UNKNOWN_YEAR, np.int16)
        self.popularity = np.zeros(count, np.float64)
        self.roles = np.zeros(count, np.uint64)
        self.ids: dict[str, NDArray[np.uint64]] = {}
        self.numbers = {name: np.full(count, np.nan, np.float32) for name in near}
        self.attributes: set[str] = set()
        self.people, self.of_people = array("I"), array("i")
        self.facts, self.of_facts = array("I"), array("i")
        self.titles, self.of_titles, self.main = array("Q"), array("i"), array("b")

    def take(self, number: int, record: Record) -> None:
        if record.year is not None and abs(record.year) < -UNKNOWN_YEAR:
            self.years[number] = record.year
        if record.counts:
            weights = self.weights
            self.popularity[number] = max(count * weights.get(name, 0.0) for name, count in record.counts.items())
        for namespace, value in record.ids.items():
            if not is_no_id(value):
                if namespace not in self.ids:
                    self.ids[namespace] = np.zeros(self.count, np.uint64)
                self.ids[namespace][number] = id_key(value)
        if record.people:
            self._people(number, record)
        self._titles(number, record.titles)
        self._attributes(number, record.attributes)

    def _people(self, number: int, record: Record) -> None:
        keys = [key for name in record.people[:_MOST_PEOPLE] if (key := person_key(name))]
        self.people.extend(keys)
        self.of_people.extend([number] * len(keys))
        people = set(record.people)
        rest = set(people)
        roles = 0
        for name, values in record.attributes.items():
            if not people.isdisjoint(values):
                rest.difference_update(values)
                roles |= 1 << self.role_bits.setdefault(name, min(len(self.role_bits), _ANY_ROLE))
        self.roles[number] = roles | (1 << _ANY_ROLE if rest else 0) if keys else 0

    def _titles(self, number: int, titles: Sequence[str]) -> None:
        seen: set[int] = set()
        for place, title in enumerate(titles):
            key = title_key(title)
            if key and key not in seen:
                seen.add(key)
                self.titles.append(key)
                self.of_titles.append(number)
                self.main.append(place == 0)

    def _attributes(self, number: int, attributes: Mapping[str, Sequence[str]]) -> None:
        self.attributes.update(attributes)
        for name, place in self.fact_places.items():
            for value in attributes.get(name, ()):
                self.facts.append(fact_key(place, value, language="language" in name))
                self.of_facts.append(number)
        for name, column in self.numbers.items():
            for value in attributes.get(name, ())[:1]:
                column[number] = _number(value)

    def finish(self, places: NDArray[np.int64], source: NDArray[np.int16]) -> Traits:
        titles = np.array(self.titles, np.uint64)
        titled = np.array(self.of_titles, np.int32)
        order = np.lexsort((titled, titles))
        names = [name for name in self.trusted if name in self.ids]
        names += sorted(self.ids.keys() - set(names))
        return Traits(
            places=places,
            source=source,
            years=self.years,
            popularity=self.popularity,
            ids={name: self.ids[name] for name in names},
            people=_ragged(self.of_people, self.people, self.count),
            roles=self.roles,
            facts=_ragged(self.of_facts, self.facts, self.count),
            numbers=self.numbers,
            attributes=frozenset(self.attributes),
            titles=titles[order],
            titled=titled[order],
            main=np.array(self.main, np.bool_)[order],
        )


def _ragged(owners: array[int], values: array[int], count: int) -> Ragged:
    return Ragged.of(np.array(owners, np.int32), np.array(values, np.uint32), count)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


__all__ = ["MAIN", "MOST_FACTS", "UNKNOWN_YEAR", "Ragged", "Traits", "read_traits"]
