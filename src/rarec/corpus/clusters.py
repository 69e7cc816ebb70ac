"""Which records are one thing, and why: groups that are only ever joined, with a log of what joined or refused them."""

from __future__ import annotations

import enum
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rarec.corpus.traits import Traits


class Reason(enum.IntEnum):
    """Why two records were joined, or were not although something speaks for it. The numbers are written in files."""

    SAME_ID = 1
    TWO_PEOPLE = 2
    A_PERSON = 3
    MAIN_PERSON = 4
    ID_AND_TITLE = 5
    ONLY_CANDIDATE = 6
    IDS_DIFFER = 11
    AMBIGUOUS_ID = 12
    NOBODY_IN_COMMON = 13
    FACTS_DIFFER = 14
    MINOR_PERSON = 15
    YEAR_UNKNOWN = 16
    SAME_SOURCE = 17
    NOT_UNIQUE = 18
    CONTRADICTED = 19
    COMMON_TITLE = 20

    @property
    def joins(self) -> bool:
        return self < Reason.IDS_DIFFER

    @property
    def text(self) -> str:
        """In plain words; the detail (a namespace, an attribute) comes behind it."""
        return _TEXTS[self]


_TEXTS: Mapping[Reason, str] = {
    Reason.SAME_ID: "the same id",
    Reason.TWO_PEOPLE: "title, year and several people agree",
    Reason.A_PERSON: "title, year and a person agree",
    Reason.MAIN_PERSON: "the title and a main person agree, the years nearly or one is unknown",
    Reason.ID_AND_TITLE: "an id agrees, and title or people",
    Reason.ONLY_CANDIDATE: "the title is the only one of its time in both sources, and nothing speaks against it",
    Reason.IDS_DIFFER: "ids differ",
    Reason.AMBIGUOUS_ID: "the id is said of several things that differ",
    Reason.NOBODY_IN_COMMON: "title and year agree, but nobody of their people: a namesake or a remake",
    Reason.FACTS_DIFFER: "title and year agree, but something else differs",
    Reason.MINOR_PERSON: "the years are apart, and no main person agrees",
    Reason.YEAR_UNKNOWN: "a year is unknown, and people do not tell",
    Reason.SAME_SOURCE: "a possible duplicate inside a source",
    Reason.NOT_UNIQUE: "the title fits several, and nothing tells which",
    Reason.CONTRADICTED: "it was joined with something that this contradicts",
    Reason.COMMON_TITLE: "too many things have this title, and nobody in common",
}


@dataclass(slots=True)
class Links:
    """Pairs of records with a reason each; `detail` is a place in the list of names that the reason is about, or -1."""

    one: array[int]
    other: array[int]
    reason: array[int]
    detail: array[int]

    @classmethod
    def empty(cls) -> Links:
        return cls(array("i"), array("i"), array("b"), array("b"))

    def __len__(self) -> int:
        return len(self.one)

    def add(self, one: int, other: int, reason: Reason, detail: int = -1) -> None:
        self.one.append(one)
        self.other.append(other)
        self.reason.append(reason)
        self.detail.append(detail)

    def extend(self, one: NDArray[np.int32], other: NDArray[np.int32], reason: Reason, detail: int = -1) -> None:
        self.one.frombytes(one.astype(np.int32).tobytes())
        self.other.frombytes(other.astype(np.int32).tobytes())
        self.reason.extend([reason] * len(one))
        self.detail.extend([detail] * len(one))

    def __iter__(self) -> Iterator[tuple[int, int, Reason, int]]:
        for one, other, reason, detail in zip(self.one, self.other, self.reason, self.detail, strict=True):
            yield one, other, Reason(reason), detail


class Members:
    """The records of each group, looked up by its label.

    Args:
        labels: of all records; a label is the number of one of them.
    """

    def __init__(self, labels: NDArray[np.int32]) -> None:
        self._sorted = np.argsort(labels, kind="stable").astype(np.int32).data
        self._starts = np.r_[0, np.cumsum(np.bincount(labels, minlength=len(labels)))].astype(np.int32).data

    def __getitem__(self, label: int) -> list[int]:
        """Numbers of the records, ascending."""
        return self._sorted[self._starts[label] : self._starts[label + 1]].tolist()


class Clusters:
    """Groups of the records of `Traits`; each is called by the smallest number in it, and starts with one record.

    Attributes:
        labels: the group of each record, shape (n,).
        ids: namespace -> hash of the id that each group has, at the group's label; 0 if none. A group never has two.
        joined: every union, as two records that are in the groups that it joined.
        refused: what speaks for a union that was not made.
        shared: ids that so many things have that they were taken for none: a record that says it, the place of its
            namespace, and how many records do.
    """

    def __init__(self, traits: Traits) -> None:
        self.traits = traits
        self.labels: NDArray[np.int32] = np.arange(len(traits), dtype=np.int32)
        self.ids: dict[str, NDArray[np.uint64]] = {name: column.copy() for name, column in traits.ids.items()}
        self.joined = Links.empty()
        self.refused = Links.empty()
        self.shared: list[tuple[int, int, int]] = []

    @property
    def namespaces(self) -> tuple[str, ...]:
        """In the order of trust; details of reasons that are about ids point into it."""
        return tuple(self.ids)

    def merge(self, kept: NDArray[np.int32], gone: NDArray[np.int32]) -> None:
        """Put groups into others, pairwise; every `kept` is smaller than its `gone`, and is itself not gone.

        Raises:
            ValueError: two groups have different ids in a namespace: they must not be joined.
        """
        for name, column in self.ids.items():
            told = column[gone] != 0
            into, value, before = kept[told], column[gone[told]], column[kept]
            np.maximum.at(column, into, value)
            if (column[into] != value).any() or ((before != 0) & (before != column[kept])).any():
                raise ValueError(f"groups with different {name} ids were to be joined; this is a fault of rarec")
        target = np.arange(len(self.labels), dtype=np.int32)
        target[gone] = kept
        self.labels = target[self.labels]

    def settle_refusals(self) -> None:
        """Keep one refusal a pair of groups, the first, and none within a group that other evidence made."""
        one, other = (self.labels[np.array(column, np.int32)] for column in (self.refused.one, self.refused.other))
        pair = np.minimum(one, other).astype(np.int64) << 32 | np.maximum(one, other)
        _, firsts = np.unique(pair, return_index=True)
        kept = np.sort(firsts[one[firsts] != other[firsts]])
        columns = (self.refused.one, self.refused.other, self.refused.reason, self.refused.detail)
        self.refused = Links(*(array(column.typecode, np.array(column)[kept].tolist()) for column in columns))


__all__ = ["Clusters", "Links", "Members", "Reason"]
