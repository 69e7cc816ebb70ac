"""Ids that are said of more than one thing: placeholders, and ids whose records have neither title nor people alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from rarec.corpus.judging import Rules, same_roles
from rarec.corpus.traits import UNKNOWN_YEAR, Traits

MOST_THINGS = 5
"""An id that a single source gives to so many records of different titles is none."""

_COMPARED = 60  # of more records with one id or title only so many are held against each other


@dataclass(frozen=True, slots=True)
class SharedId:
    """An id that is taken for none.

    Attributes:
        namespace: whose id it is.
        records: numbers of those that say it, ascending, shape (n,).
    """

    namespace: str
    records: NDArray[np.int32]


def without_shared_ids(traits: Traits) -> tuple[Traits, list[SharedId]]:
    """Traits without ids that one source gives to `MOST_THINGS` titles or more; and those ids.

    Shops write ``0`` or an example where they have no number. Such an id neither joins, nor names an item, nor
    speaks against a union.
    """
    main, found = _main_titles(traits), list[SharedId]()
    ids = dict(traits.ids)
    for name, column in traits.ids.items():
        bearers = np.flatnonzero((column != 0) & (main != 0))
        rows = np.stack([column[bearers], traits.source[bearers].astype(np.uint64), main[bearers]], axis=1)
        rows = rows[np.lexsort(rows.T[::-1])]
        rows = rows[_changes(rows)]
        starts = np.flatnonzero(_changes(rows[:, :2]))
        sizes = np.diff(np.r_[starts, len(rows)])
        values = np.unique(rows[starts[sizes >= MOST_THINGS], 0])
        if len(values):
            ids[name] = np.where(np.isin(column, values), np.uint64(0), column)
            found += [SharedId(name, np.flatnonzero(column == value).astype(np.int32)) for value in values]
    return replace(traits, ids=ids) if found else traits, found


class Agreement:
    """Which of the records that share an id are one thing as far as they themselves say."""

    def __init__(self, traits: Traits, rules: Rules) -> None:
        self._rules = rules
        self._main = _main_titles(traits)
        self._source = traits.source
        order = np.argsort(traits.titled, kind="stable")
        self._titles = traits.titles[order].data
        self._title_starts = np.searchsorted(traits.titled[order], np.arange(len(traits) + 1)).data
        self._years = traits.years.data
        self._roles = traits.roles.data
        self._people = traits.people.values.data
        self._starts = traits.people.starts.data
        self._has_people = np.diff(traits.people.starts) > 0

    def parts(
        self, bearers: NDArray[np.int32], values: NDArray[np.uint64], labels: NDArray[np.int32]
    ) -> NDArray[np.int64]:
        """For each record a number that it shares with those of its id that it agrees with; 0 for all of most ids.

        An id is doubted if two records of one source have it whose titles, years or people differ, or if two records
        have neither a title nor a person in common although both name people. Then only those records are together
        that agree.

        Args:
            bearers: records with an id, sorted by it and by their number, shape (n,).
            values: their ids, shape (n,).
            labels: the groups that they are in; records of a group are together in any case.
        """
        parts = np.zeros(len(bearers), np.int64)
        if not len(bearers):
            return parts
        starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
        ends = np.r_[starts[1:], len(values)]
        for at in np.flatnonzero(self._worth_asking(bearers, starts)).tolist():
            part = slice(int(starts[at]), int(ends[at]))
            members = bearers[part].tolist()
            if self._is_doubted(members):
                parts[part] = self._together(members, labels[part].tolist())
        return parts

    def _worth_asking(self, bearers: NDArray[np.int32], starts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """For each id whether its main titles are not all the same, and a source or people may tell it apart."""
        main, source = self._main[bearers], self._source[bearers]
        titled = np.where(main == 0, np.iinfo(np.uint64).max, main)
        several = np.maximum.reduceat(main, starts) > np.minimum.reduceat(titled, starts)
        again = np.zeros(len(bearers), np.bool_)
        again[1:] = source[1:] == source[:-1]  # the order of records is that of sources
        again[starts] = False
        peopled = np.add.reduceat(self._has_people[bearers].astype(np.int64), starts)
        return np.asarray((several & (peopled > 1)) | np.logical_or.reduceat(again, starts))

    def _is_doubted(self, members: list[int]) -> bool:
        if len(members) > _COMPARED:
            return True
        return any(
            self._has_titles(one)
            and self._has_titles(other)
            and (not self._agree(one, other) if self._of_one_source(one, other) else self._contradict(one, other))
            for one, other in combinations(members, 2)
        )

    def _of_one_source(self, one: int, other: int) -> bool:
        return bool(self._source[one] == self._source[other])

    def _together(self, members: list[int], labels: list[int]) -> list[int]:
        """A number from 1 for each record; equal for those that are connected by agreement, or in a group already."""
        heads = list(range(len(members)))

        def head(place: int) -> int:
            while heads[place] != place:
                place = heads[place]
            return place

        for one, other in self._alike(members, labels):
            first, second = sorted((head(one), head(other)))
            heads[second] = first
        return [head(place) + 1 for place in range(len(members))]

    def _alike(self, members: list[int], labels: list[int]) -> Iterator[tuple[int, int]]:
        """Pairs of places that are together: found over what they have in common, so that not all are compared."""
        groups: dict[int, int] = {}
        common: dict[tuple[str, int], list[int]] = {}
        for place, (member, label) in enumerate(zip(members, labels, strict=True)):
            yield groups.setdefault(label, place), place
            keys = [("title", key) for key in self._titles_of(member)]
            keys += [("person", key) for key in self._people_of(member)]
            for key in keys:
                others = common.setdefault(key, [])
                for other in others:
                    if self._supports(members[other], member):
                        yield other, place
                if len(others) < _COMPARED:
                    others.append(place)

    def _supports(self, one: int, other: int) -> bool:
        """Whether an id that is doubted joins two records; they have a title or a person in common."""
        if self._of_one_source(one, other):
            return self._agree(one, other)
        return not self._contradict(one, other)

    def _agree(self, one: int, other: int) -> bool:
        """Whether title, years and people are alike, as far as both say them."""
        if self._titles_of(one).isdisjoint(self._titles_of(other)):
            return False
        years = self._years[one], self._years[other]
        if UNKNOWN_YEAR not in years and abs(years[0] - years[1]) > self._rules.year_slack:
            return False
        return not self._strangers(one, other)

    def _contradict(self, one: int, other: int) -> bool:
        return self._titles_of(one).isdisjoint(self._titles_of(other)) and self._strangers(one, other)

    def _strangers(self, one: int, other: int) -> bool:
        """Whether both name people in comparable roles, and not one of them is the same."""
        if not self._rules.people or not same_roles(self._roles[one], self._roles[other]):
            return False
        people, others = self._people_of(one), self._people_of(other)
        return bool(people and others) and people.isdisjoint(others)

    def _has_titles(self, member: int) -> bool:
        return self._title_starts[member] < self._title_starts[member + 1]

    def _titles_of(self, member: int) -> frozenset[int]:
        return frozenset(self._titles[self._title_starts[member] : self._title_starts[member + 1]])

    def _people_of(self, member: int) -> frozenset[int]:
        return frozenset(self._people[self._starts[member] : self._starts[member + 1]])


def _changes(rows: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """For each row whether it differs from the one before."""
    changes = np.ones(len(rows), np.bool_)
    changes[1:] = (rows[1:] != rows[:-1]).any(axis=1)
    return changes


def _main_titles(traits: Traits) -> NDArray[np.uint64]:
    """Hash of the first title of each record, 0 if it has none."""
    main = np.zeros(len(traits), np.uint64)
    main[traits.titled[traits.main]] = traits.titles[traits.main]
    return main


__all__ = ["MOST_THINGS", "Agreement", "SharedId", "without_shared_ids"]
