"""Why an item of a corpus is what it is: its records, what joined them, what was kept apart, where fields are from."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rarec.corpus.evidence_file import guarded, open_evidence
from rarec.corpus.keys import is_no_id, person_key, title_key
from rarec.errors import UnknownItem


@dataclass(frozen=True, slots=True)
class Said:
    """What a source says of an item; see `rarec.corpus.record.Record`.

    Attributes:
        item: that the record is in.
    """

    number: int
    item: str
    source: str
    key: str
    line: int
    titles: tuple[str, ...]
    year: int | None
    ids: Mapping[str, str]
    people: tuple[str, ...]
    counts: Mapping[str, float]

    @property
    def name(self) -> str:
        """Source and key."""
        return f"{self.source}:{self.key}"


@dataclass(frozen=True, slots=True)
class Why:
    """Two records that were joined, or were not.

    Attributes:
        reason: its name, like ``same_id``.
        text: the reason in plain words, with what it is about.
        shared: what both say: ids, a title, people.
    """

    one: Said
    other: Said
    reason: str
    text: str
    shared: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """An item with its evidence.

    Attributes:
        records: in the order of sources and keys.
        unions: enough of them to connect all records.
        refused: what was near, and kept apart; `Why.one` is a record of this item.
        fields: field -> the records that it was taken from.
        asked: if the item was asked for by another name, how that name leads to it.
    """

    item: str
    title: str
    year: int | None
    popularity: float
    records: tuple[Said, ...]
    unions: tuple[Why, ...]
    refused: tuple[Why, ...]
    fields: Mapping[str, tuple[Said, ...]]
    asked: str = ""


def explain(name: str, corpus: Path) -> Explanation:
    """The evidence of an item.

    Args:
        name: its id; the id that it had in an earlier corpus; ``SOURCE:KEY`` of one of its records; or an id that a
            source gives, like ``tt0111161``.
        corpus: a folder that `rarec corpus build` made.
    Raises:
        UnknownItem: nothing in the corpus is called so.
        StoreError: the folder is no corpus, or damaged.
    """
    with closing(open_evidence(corpus)) as connection, guarded(corpus):
        item, asked = _found(name, connection)
        title, year, popularity, origin = connection.execute(
            "SELECT title, year, popularity, origin FROM items WHERE id = ?", (item,)
        ).fetchone()
        records = _records("item = ?", (item,), connection)
        known = {record.number: record for record in records}
        unions = _links("unions", records, known, connection)
        refused = _links("refused", records, known, connection)
    fields = {field: tuple(known[number] for number in numbers) for field, numbers in json.loads(origin).items()}
    return Explanation(item, title, year, popularity, tuple(records), unions, refused, fields, asked)


def _found(name: str, connection: sqlite3.Connection) -> tuple[str, str]:
    """The id of the item that is meant, and how it was found."""
    run = connection.execute
    if run("SELECT 1 FROM items WHERE id = ?", (name,)).fetchone():
        return name, ""
    if row := run("SELECT new, why FROM renamed WHERE old = ?", (name,)).fetchone():
        return str(row[0]), f"{name} is an id of an earlier corpus ({row[1]})"
    source, colon, key = name.partition(":")
    if colon and (row := run("SELECT item FROM records WHERE source = ? AND key = ?", (source, key)).fetchone()):
        return str(row[0]), f"{name} is one of its records"
    ids = "SELECT item, id.key FROM records, json_each(records.ids) AS id WHERE id.value = ? ORDER BY number"
    if row := run(ids, (name,)).fetchone():
        return str(row[0]), f"{name} is its id at {row[1]}"
    raise UnknownItem(f"no item {name!r} in the corpus; give an item's id, SOURCE:KEY, or an id that a source gives")


def _records(condition: str, values: Sequence[object], connection: sqlite3.Connection) -> list[Said]:
    columns = "number, item, source, key, line, titles, year, ids, people, counts"
    rows = connection.execute(f"SELECT {columns} FROM records WHERE {condition} ORDER BY number", tuple(values))
    return [
        Said(
            number,
            item,
            source,
            key,
            line,
            tuple(json.loads(titles)),
            year,
            json.loads(ids),
            tuple(json.loads(people)),
            json.loads(counts),
        )
        for number, item, source, key, line, titles, year, ids, people, counts in rows
    ]


def _links(
    table: str, records: Sequence[Said], known: Mapping[int, Said], connection: sqlite3.Connection
) -> tuple[Why, ...]:
    found: dict[tuple[int, int], Why] = {}
    query = (
        f"SELECT one, other, name, text, detail FROM {table} JOIN reasons ON reason = reasons.number "
        "WHERE one = ? OR other = ? ORDER BY one, other"
    )
    for record in records:
        for one, other, reason, text, detail in connection.execute(query, (record.number, record.number)).fetchall():
            first, second = (one, other) if one in known else (other, one)
            beyond = known.get(second) or next(iter(_records("number = ?", (second,), connection)), None)
            if beyond is not None:  # what was refused may be in no item, for want of a title
                told = f"{text}: {detail}" if detail else text
                found[one, other] = Why(known[first], beyond, reason, told, shared(known[first], beyond))
    return tuple(found[key] for key in sorted(found))


def shared(one: Said, other: Said) -> tuple[str, ...]:
    """What two records both say: ids, the first title that agrees, the year, people."""
    ids = [f"{name} {value}" for name, value in one.ids.items() if other.ids.get(name) == value and not is_no_id(value)]
    keys = {title_key(title) for title in other.titles} - {0}
    titles = [f"title {title!r}" for title in one.titles if title_key(title) in keys][:1]
    years = [f"year {one.year}"] if one.year is not None and one.year == other.year else []
    names = {person_key(name) for name in other.people} - {0}
    return (*ids, *titles, *years, *(name for name in one.people if person_key(name) in names))


__all__ = ["Explanation", "Said", "Why", "explain", "shared"]
