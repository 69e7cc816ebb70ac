"""Ids of items: by what they are called elsewhere, and the same as in the corpus before."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import count, groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarec.corpus.clusters import Clusters
from rarec.corpus.evidence_file import NAME as EVIDENCE
from rarec.corpus.evidence_file import open_evidence, using_evidence
from rarec.corpus.keys import is_no_id
from rarec.corpus.record import Record
from rarec.progress import OnProgress

_AT_ONCE = 2000
_WISHES = """
SELECT found.item, found.label, found.worth FROM (
    SELECT before.item AS item, assigned.label AS label, count(*) AS records, assigned.popularity AS worth,
        max(EXISTS (SELECT 1 FROM json_each(record.document, '$[2]') AS id
            WHERE before.item = id.key || '-' || id.value)) AS own
    FROM assigned JOIN staged.records AS record ON record.place = assigned.place
    JOIN staged.sources AS source ON source.number = record.source
    JOIN old.records AS before ON before.source = source.name AND before.key = record.key
    GROUP BY before.item, assigned.label
) AS found JOIN old.items ON old.items.id = found.item
ORDER BY old.items.popularity DESC, found.item, found.own DESC, found.records DESC, found.worth DESC, found.label
"""

# What the earlier corpus itself had renamed, to an item that is still called so, and to one that is not any more.
_STILL_RENAMED = (
    """INSERT OR IGNORE INTO renamed SELECT before.old, names.label, before.why
    FROM old.renamed AS before JOIN names ON names.id = before.new""",
    """INSERT OR IGNORE INTO renamed SELECT before.old, main.renamed.label, before.why
    FROM old.renamed AS before JOIN main.renamed ON main.renamed.old = before.new""",
)

Renamed = tuple[str, str, str]
"""An id of the corpus before, the item that its records are in now, and why it is gone."""


class Names:
    """Gives every group an id, in a file of its own, so that millions of ids are not held in memory.

    An id that is taken is not given twice: where groups contradict each other about an id, the more popular one has it.

    Args:
        path: of the file; what is there is written anew.
        namespaces: the first of which a group has an id names it.
    """

    def __init__(self, path: Path, namespaces: Sequence[str]) -> None:
        path.unlink(missing_ok=True)
        self._namespaces = tuple(namespaces)
        self._connection = sqlite3.connect(path.resolve().as_uri(), uri=True, isolation_level=None)
        run = self._connection.execute
        run("PRAGMA journal_mode=OFF")
        run("PRAGMA synchronous=OFF")
        run("CREATE TABLE names (label INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, popularity REAL NOT NULL)")
        run("CREATE TABLE renamed (old TEXT PRIMARY KEY, label INTEGER NOT NULL, why TEXT NOT NULL)")
        run("BEGIN")

    def keep(self, previous: Path, clusters: Clusters, popularity: NDArray[np.float64], staged: Path) -> None:
        """Give groups the ids that their records had in an earlier corpus.

        Where the records of several old items came together the most popular old item gives the id; where those of one
        went apart, the group has it that the id would name anyway, then that with the most of them, then the more
        popular one.

        Args:
            popularity: of groups, at their labels.
            staged: the file of `rarec.corpus.staging`.
        Raises:
            StoreError: `previous` is no corpus, or damaged.
        """
        open_evidence(previous).close()  # says what is wrong with it
        with using_evidence(previous / EVIDENCE):
            self._keep(previous, clusters, popularity, staged)

    def _keep(self, previous: Path, clusters: Clusters, popularity: NDArray[np.float64], staged: Path) -> None:
        run = self._connection.execute
        run("COMMIT")
        run("ATTACH ? AS staged", (f"{staged.resolve().as_uri()}?mode=ro",))
        run("ATTACH ? AS old", (f"{(previous / EVIDENCE).resolve().as_uri()}?mode=ro",))
        run("BEGIN")
        run("CREATE TABLE assigned (place INTEGER PRIMARY KEY, label INTEGER NOT NULL, popularity REAL NOT NULL)")
        places, labels = clusters.traits.places, clusters.labels
        for start in range(0, len(places), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            rows = zip(places[part].tolist(), labels[part].tolist(), popularity[labels[part]].tolist(), strict=True)
            self._connection.executemany("INSERT INTO assigned VALUES (?, ?, ?)", rows)
        with closing(self._connection.execute(_WISHES)) as wishes:
            for item, group in groupby(wishes, key=itemgetter(0)):
                self._give(item, [(label, worth) for _, label, worth in group])
        for still in _STILL_RENAMED:
            run(still)

    def _give(self, item: str, wishes: list[tuple[int, float]]) -> None:
        if not any(self._claim(label, item, worth) for label, worth in wishes):
            self._connection.execute("INSERT INTO renamed VALUES (?, ?, 'merged')", (item, wishes[0][0]))

    def name(
        self,
        labels: NDArray[np.int32],
        clusters: Clusters,
        popularity: NDArray[np.float64],
        records_of: Callable[[Sequence[int]], Iterator[tuple[int, list[Record]]]],
        progress: OnProgress,
    ) -> None:
        """Give ids to the groups that have none, in this order.

        Args:
            records_of: called with some labels; gives each with its records.
        """
        named = np.array([label for (label,) in self._connection.execute("SELECT label FROM names")], np.int32)
        rest = labels[~np.isin(labels, named)]
        for start in range(0, len(rest), _AT_ONCE):
            progress("name items", start, len(rest), "")
            for label, records in records_of(rest[start : start + _AT_ONCE].tolist()):
                worth = float(popularity[label])
                next(name for name in self._candidates(label, records, clusters) if self._claim(label, name, worth))
        progress("name items", len(rest), len(rest), "")

    def in_order(self) -> Iterator[tuple[int, str]]:
        """Labels and ids, the most popular first, then by id."""
        with closing(self._connection.execute("SELECT label, id FROM names ORDER BY popularity DESC, id")) as rows:
            yield from rows

    def renamed(self) -> list[Renamed]:
        """What happened to ids that no item has any more although its records are there."""
        query = "SELECT old, id, why FROM renamed JOIN names USING (label) ORDER BY old"
        return self._connection.execute(query).fetchall()

    def close(self) -> None:
        self._connection.close()

    def _claim(self, label: int, name: str, popularity: float) -> bool:
        done = self._connection.execute("INSERT OR IGNORE INTO names VALUES (?, ?, ?)", (label, name, popularity))
        return bool(done.rowcount)

    def _candidates(self, label: int, records: Sequence[Record], clusters: Clusters) -> Iterator[str]:
        for namespace in self._namespaces:
            if namespace not in clusters.ids or not clusters.ids[namespace][label]:
                continue  # it has none, or what stands there was taken for none
            for record in records:
                value = record.ids.get(namespace, "").strip()
                if not is_no_id(value):
                    yield f"{namespace}-{value}"
        first = records[0]
        yield f"{first.source}-{first.key}"
        for number in count(2):
            yield f"{first.source}-{first.key}-{number}"


__all__ = ["Names", "Renamed"]
