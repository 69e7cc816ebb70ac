"""Records by hand, and what the resolver makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rarec.corpus.clusters import Clusters
from rarec.corpus.judging import Rules
from rarec.corpus.record import Record
from rarec.corpus.resolve import resolve
from rarec.corpus.staging import Staging
from rarec.corpus.traits import read_traits

Name = tuple[str, str]


@dataclass(frozen=True)
class Outcome:
    """What came of records, each called by source and key."""

    clusters: Clusters
    names: tuple[Name, ...]

    @property
    def groups(self) -> frozenset[frozenset[Name]]:
        found: dict[int, set[Name]] = {}
        for name, label in zip(self.names, self.clusters.labels.tolist(), strict=True):
            found.setdefault(label, set()).add(name)
        return frozenset(frozenset(group) for group in found.values())

    @property
    def joined(self) -> list[tuple[str, Name, Name]]:
        return self._links(self.clusters.joined)

    @property
    def refused(self) -> list[tuple[str, Name, Name]]:
        return self._links(self.clusters.refused)

    def _links(self, links: Iterable[tuple[int, int, object, int]]) -> list[tuple[str, Name, Name]]:
        return [(reason.name.lower(), self.names[a], self.names[b]) for a, b, reason, _ in links]  # type: ignore[attr-defined]


def resolved(
    records: Sequence[Record],
    folder: Path,
    *,
    rules: Rules | None = None,
    ids: Sequence[str] = ("imdb", "tmdb"),
    sources: Sequence[str] | None = None,
) -> Outcome:
    """Stage records in their order and resolve them; sources are believed in the order of their names."""
    rules = rules or Rules()
    path = folder / "staged.sqlite"
    path.unlink(missing_ok=True)
    staging = Staging(path)
    try:
        order = list(sources or sorted({record.source for record in records}))
        for source in order:
            staging.stage(source, "", [record for record in records if record.source == source])
        traits = read_traits(staging, order, trusted=ids, facts=rules.facts, numbers=tuple(rules.numbers))
        names = {place: (record.source, record.key) for place, record in staging.scan()}
        ordered = tuple(names[place] for place in traits.places.tolist())
    finally:
        staging.close()
    return Outcome(resolve(traits, rules), ordered)


def film(
    source: str,
    key: str,
    title: str | tuple[str, ...] = "Grey Harbour",
    year: int | None = 1990,
    people: tuple[str, ...] = (),
    *,
    role: str = "",
    **more: object,
) -> Record:
    """A record; keywords that end in ``_id`` are ids, others attributes; people of a role are one too."""
    ids = {name.removesuffix("_id"): str(value) for name, value in more.items() if name.endswith("_id")}
    attributes = {name: (str(value),) for name, value in more.items() if not name.endswith("_id")}
    if role:
        attributes[role] = people
    titles = (title,) if isinstance(title, str) else title
    return Record(source, key, titles, year, ids, people, attributes)
