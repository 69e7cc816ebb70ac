"""From staged records to a corpus folder: resolve, name, merge, write."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarec.catalogue.validation import item_problem, shortened
from rarec.corpus.clusters import Clusters, Links, Members, Reason
from rarec.corpus.evidence_file import NAME as EVIDENCE
from rarec.corpus.evidence_file import EvidenceWriter, Link
from rarec.corpus.items_file import NAME as ITEMS
from rarec.corpus.items_file import ItemsWriter
from rarec.corpus.judging import Rules
from rarec.corpus.merging import OTHER_TITLES, FieldOrder, Merger
from rarec.corpus.naming import Names
from rarec.corpus.record import Problem, Record
from rarec.corpus.resolve import resolve
from rarec.corpus.sqlite_errors import guarded
from rarec.corpus.staging import Staging
from rarec.corpus.traits import Traits, read_traits
from rarec.progress import OnProgress
from rarec.types import ItemId

PROBLEMS = "problems.jsonl"
_AT_ONCE = 500
_MOST_SHARED = 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """What decides a corpus beside its records.

    Attributes:
        sources: their names, in the order in which they are believed.
        ids: namespaces; the first of which a group has an id names its item.
        weights: count -> what one of it is worth; the popularity is the largest product.
        fields: see `Merger`.
        rules: when records are one thing.
    """

    sources: tuple[str, ...]
    ids: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    fields: Mapping[str, FieldOrder] = field(default_factory=dict[str, FieldOrder])
    rules: Rules = field(default_factory=Rules)


@dataclass(frozen=True, slots=True)
class Written:
    """What a corpus folder came to hold.

    Attributes:
        untitled: groups that no record gives a title, and that are therefore no items.
        refused_items: groups whose item the catalogue would refuse; each is among the problems.
        unions, refused: reason -> how many pairs.
        renamed: ids of the corpus before whose records are in an item of another id now.
        shared: ids that so many things have that they were taken for none, like ``ean 0``, the most common first.
        attributes: names of all that items may have.
    """

    items: int
    records: int
    untitled: int
    refused_items: int
    unions: Mapping[str, int]
    refused: Mapping[str, int]
    renamed: int
    shared: tuple[str, ...]
    attributes: tuple[str, ...]


def write_corpus(
    staging: Staging, plan: Plan, folder: Path, *, work: Path, previous: Path | None = None, progress: OnProgress
) -> Written:
    """Write items, evidence and problems into a folder, which must be empty.

    Args:
        work: folder for what is needed on the way.
        previous: a corpus folder whose ids are kept.
    Raises:
        StoreError: the disk is full, or `previous` is no corpus.
        MissingExtra: pyarrow is not installed.
    """
    rules = plan.rules
    traits = read_traits(
        staging,
        plan.sources,
        trusted=plan.ids,
        weights=plan.weights,
        facts=rules.facts,
        numbers=tuple(rules.numbers),
        progress=progress,
    )
    clusters = resolve(traits, rules, progress=progress)
    popularity = np.zeros(len(traits), np.float64)
    np.maximum.at(popularity, clusters.labels, traits.popularity)
    groups = _Groups(staging, clusters)
    scratch = work / "names.sqlite"
    with guarded("what is worked out in", scratch, "check its folder"), closing(Names(scratch, plan.ids)) as names:
        if previous is not None:
            progress("keep ids", 0, 1, "")
            names.keep(previous, clusters, popularity, staging.path)
            progress("keep ids", 1, 1, "")
        order = groups.labels[np.argsort(-popularity[groups.labels], kind="stable")]
        names.name(order, clusters, popularity, groups.without_texts, progress)
        return _Writing(staging, plan, clusters, groups, folder).write(names, popularity, progress)


class _Groups:
    """The records of groups, from the staged file."""

    def __init__(self, staging: Staging, clusters: Clusters) -> None:
        self._staging = staging
        self._places = clusters.traits.places
        self._members = Members(clusters.labels)
        self.labels: NDArray[np.int32] = np.unique(clusters.labels)

    def without_texts(self, labels: Sequence[int]) -> Iterator[tuple[int, list[Record]]]:
        for label, _, records in self.read(labels, texts=False):
            yield label, records

    def read(self, labels: Sequence[int], *, texts: bool) -> Iterator[tuple[int, list[int], list[Record]]]:
        """Labels with the numbers of their records, and the records themselves, in the order of numbers."""
        numbers = {label: self._members[label] for label in labels}
        wanted = [place for group in numbers.values() for place in self._places[group].tolist()]
        found = self._staging.fetch(wanted, texts=texts)
        for label, group in numbers.items():
            yield label, group, [found[place] for place in self._places[group].tolist()]


class _Writing:
    def __init__(self, staging: Staging, plan: Plan, clusters: Clusters, groups: _Groups, folder: Path) -> None:
        self._staging, self._plan, self._clusters, self._groups = staging, plan, clusters, groups
        self._folder = folder
        self._merger = Merger(plan.sources, plan.fields)
        self._problems: list[Problem] = []
        self._items = self._records = self._untitled = 0

    def write(self, names: Names, popularity: NDArray[np.float64], progress: OnProgress) -> Written:
        attributes = sorted({*self._clusters.traits.attributes, OTHER_TITLES})
        evidence = EvidenceWriter(self._folder / EVIDENCE)
        items = ItemsWriter(self._folder / ITEMS, attributes)
        try:
            total = len(self._groups.labels)
            for done, batch in _batches(names.in_order()):
                self._write_batch(batch, popularity, items, evidence)
                progress("write items", done, total, "")
            evidence.add_links(self._links(self._clusters.joined), self._links(self._clusters.refused))
            renamed = names.renamed()
            evidence.add_renamed(renamed)
            items.close()
            evidence.close()
        except BaseException:
            items.abandon()
            evidence.abandon()
            raise
        refused_items = len(self._problems)
        shared = list(self._shared())
        self._write_problems()
        return Written(
            self._items,
            self._records,
            self._untitled,
            refused_items,
            _counts(self._clusters.joined),
            _counts(self._clusters.refused),
            len(renamed),
            tuple(shared),
            tuple(attributes),
        )

    def _write_batch(
        self, batch: Mapping[int, str], popularity: NDArray[np.float64], items: ItemsWriter, evidence: EvidenceWriter
    ) -> None:
        for label, numbers, records in self._groups.read(tuple(batch), texts=True):
            merged = self._merger.merge(ItemId(batch[label]), float(popularity[label]), records)
            if merged is None:
                self._untitled += 1
                continue
            item = merged.item
            if problem := item_problem(item):
                first = records[0]
                self._problems.append(
                    Problem(first.source, first.line, f"{first.key!r} makes no item, {problem}", "correct its source")
                )
                continue
            items.add(item)
            self._items += 1
            self._records += len(records)
            evidence.add_item(
                item.id,
                title=item.title,
                year=item.year,
                popularity=item.popularity,
                origin={name: [numbers[place] for place in places] for name, places in merged.origin.items()},
                records=zip(numbers, records, strict=True),
            )

    def _shared(self) -> Iterator[str]:
        """Ids that were taken for none; each is told among the problems too."""
        places, namespaces = self._clusters.traits.places, self._clusters.namespaces
        found = sorted(self._clusters.shared, key=lambda entry: (-entry[2], entry[0]))
        for number, namespace, count in found[:_MOST_SHARED]:
            place, name = int(places[number]), namespaces[namespace]
            record = self._staging.fetch([place], texts=False)[place]
            reason = f"the {name} id {shortened(record.ids[name])} is said of {count:,} records of several things"
            remedy = "it is taken for none; leave ids that are unknown empty"
            self._problems.append(Problem(record.source, record.line, reason, remedy, used=True))
            yield f"{name} {record.ids[name].strip()}"

    def _links(self, links: Links) -> Iterator[Link]:
        for one, other, reason, detail in links:
            yield one, other, reason, detail_of(reason, detail, self._clusters.namespaces, self._plan.rules)

    def _write_problems(self) -> None:
        with (self._folder / PROBLEMS).open("w", encoding="utf-8") as file:
            for source, problem in self._staging.problems():
                file.write(json.dumps(_document(source, problem), ensure_ascii=False) + "\n")
            for problem in self._problems:
                file.write(json.dumps(_document(problem.file, problem), ensure_ascii=False) + "\n")


def detail_of(reason: Reason, detail: int, namespaces: Sequence[str], rules: Rules) -> str:
    """The name of the namespace or attribute that a reason is about; empty if it is about none."""
    if reason in (Reason.SAME_ID, Reason.IDS_DIFFER, Reason.AMBIGUOUS_ID):
        return namespaces[detail]
    if reason is Reason.FACTS_DIFFER:
        return (*rules.facts, *rules.numbers)[detail]
    return ""


def _batches(rows: Iterator[tuple[int, str]]) -> Iterator[tuple[int, dict[int, str]]]:
    done, batch = 0, dict[int, str]()
    for label, name in rows:
        batch[label] = name
        if len(batch) == _AT_ONCE:
            done += len(batch)
            yield done, batch
            batch = {}
    if batch:
        yield done + len(batch), batch


def _counts(links: Links) -> dict[str, int]:
    return {Reason(number).name.lower(): count for number, count in sorted(Counter(links.reason).items())}


def _document(source: str, problem: Problem) -> dict[str, Any]:
    return {
        "source": source,
        "file": problem.file,
        "line": problem.line,
        "reason": problem.reason,
        "remedy": problem.remedy,
        "fatal": problem.fatal,
        "used": problem.used,
    }


__all__ = ["PROBLEMS", "Plan", "Traits", "Written", "detail_of", "write_corpus"]
