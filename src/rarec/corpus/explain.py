"""Why an item of a corpus is what it is: its records, what joined them, what was kept apart, where fields are from."""

from __future__ import annotations

import difflib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rarec.corpus.differing import value_of
from rarec.corpus.evidence_file import open_evidence, using_evidence
from rarec.corpus.keys import is_no_id, person_key, title_key
from rarec.corpus.reading import is_corpus, item_of
from rarec.errors import UnknownItem

_SUGGESTED = 5
_COMPARED = 50_000
_PEOPLE = 3


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
        values: field -> what the item has there, for the same fields; empty if the items of the corpus are missing.
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
    values: Mapping[str, object]
    asked: str = ""


def explain(name: str, corpus: Path) -> Explanation:
    """The evidence of an item.

    Args:
        name: its id; the id that it had in an earlier corpus; ``SOURCE:KEY`` of one of its records; or an id that a
            source gives, like ``tt0111161``.
        corpus: a folder that `rarec corpus build` made.
    Raises:
        UnknownItem: nothing in the corpus is called so; names what may be meant.
        StoreError: the folder is no corpus, or damaged.
    """
    with closing(open_evidence(corpus)) as connection, using_evidence(corpus):
        item, asked = _found(name, connection)
        title, year, popularity, origin = connection.execute(
            "SELECT title, year, popularity, origin FROM items WHERE id = ?", (item,)
        ).fetchone()
        records = _records("item = ?", (item,), connection)
        known = {record.number: record for record in records}
        unions = _links("unions", "one = ?1", records, known, connection)  # both are of the item
        refused = _links("refused", "one = ?1 OR other = ?1", records, known, connection)
    fields = {field: tuple(known[number] for number in numbers) for field, numbers in json.loads(origin).items()}
    values = _values(item, fields, corpus)
    return Explanation(item, title, year, popularity, tuple(records), unions, refused, fields, values, asked)


def _values(item: str, fields: Iterable[str], corpus: Path) -> dict[str, object]:
    found = item_of(corpus, item) if is_corpus(corpus) else None
    return {} if found is None else {field: value_of(found, field) for field in fields}


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
    meant = _meant(name, connection)
    guess = f"\nDid you mean {', '.join(meant)}?" if meant else ""
    raise UnknownItem(
        f"no item {name!r} in the corpus; give an item's id, SOURCE:KEY, or an id that a source gives{guess}"
    )


def _meant(name: str, connection: sqlite3.Connection) -> list[str]:
    """Items that have this title, or it or the id in part, the most popular first; else those of nearly this id."""
    part = "%" + name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    query = (
        "SELECT id, title, year FROM items WHERE title LIKE ?1 ESCAPE '\\' OR id LIKE ?1 ESCAPE '\\' "
        "ORDER BY title = ?2 COLLATE NOCASE DESC, popularity DESC, id LIMIT ?3"
    )
    rows = connection.execute(query, (part, name, _SUGGESTED)).fetchall() if name.strip() else []
    if not rows:
        near = "SELECT id FROM items WHERE abs(length(id) - ?) <= 1 ORDER BY popularity DESC LIMIT ?"
        ids = [row[0] for row in connection.execute(near, (len(name), _COMPARED))]
        for close in difflib.get_close_matches(name, ids, n=_SUGGESTED, cutoff=0.8):
            rows += connection.execute("SELECT id, title, year FROM items WHERE id = ?", (close,)).fetchall()
    return [f"{found} ({title}{'' if year is None else f', {year}'})" for found, title, year in rows]


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
    table: str, where: str, records: Sequence[Said], known: Mapping[int, Said], connection: sqlite3.Connection
) -> tuple[Why, ...]:
    found: dict[tuple[int, int], Why] = {}
    query = (
        f"SELECT one, other, name, text, detail FROM {table} JOIN reasons ON reason = reasons.number "
        f"WHERE {where} ORDER BY one, other"
    )
    for record in records:
        for one, other, reason, text, detail in connection.execute(query, (record.number,)).fetchall():
            first, second = (one, other) if one in known else (other, one)
            beyond = known.get(second) or next(iter(_records("number = ?", (second,), connection)), None)
            if beyond is not None:  # what was refused may be in no item, for want of a title
                told = _told(reason, text, detail, known[first], beyond)
                if reason == "ids_differ":
                    other_ids = _ids(_records("item = ?", (beyond.item,), connection), detail)
                    told = f"{text}: {detail} {_ids(records, detail)} / {other_ids}"
                found[one, other] = Why(known[first], beyond, reason, told, shared(known[first], beyond))
    return tuple(found[key] for key in sorted(found))


def _told(reason: str, text: str, detail: str, one: Said, other: Said) -> str:
    """The reason as it fits these two records, with what differs."""
    years = None if one.year is None or other.year is None else (one.year, other.year)
    if reason in ("two_people", "a_person") and years and years[0] != years[1]:
        people = "several people" if reason == "two_people" else "a person"
        text = f"title and {people} agree; {years[0]} and {years[1]} lie within the years of what each was joined with"
    if reason == "main_person":
        when = "a year is unknown" if years is None else f"the years nearly: {years[0]} and {years[1]}"
        text = f"the title and a main person agree, {when}"
    if reason in ("nobody_in_common", "minor_person"):
        return f"{text}: {_people(one)} / {_people(other)}"
    if reason == "ambiguous_id" and (value := one.ids.get(detail, "")):
        return f"{text}: {detail} {value}"
    return f"{text}: {detail}" if detail else text


def _ids(records: Iterable[Said], namespace: str) -> str:
    """The id that records of an item have in a namespace."""
    return next((value for said in records if (value := said.ids.get(namespace, ""))), "unknown")


def _people(said: Said) -> str:
    more = ", ..." if len(said.people) > _PEOPLE else ""
    return ", ".join(said.people[:_PEOPLE]) + more or "nobody"


def shared(one: Said, other: Said) -> tuple[str, ...]:
    """What two records both say: ids, the first title that agrees, the year, people."""
    ids = [f"{name} {value}" for name, value in one.ids.items() if other.ids.get(name) == value and not is_no_id(value)]
    keys = {title_key(title) for title in other.titles} - {0}
    titles = [f"title {title!r}" for title in one.titles if title_key(title) in keys][:1]
    years = [f"year {one.year}"] if one.year is not None and one.year == other.year else []
    names = {person_key(name) for name in other.people} - {0}
    return (*ids, *titles, *years, *(name for name in one.people if person_key(name) in names))


__all__ = ["Explanation", "Said", "Why", "explain", "shared"]
