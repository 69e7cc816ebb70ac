"""Whole sets of items that come, change and go together, in one transaction each, and can be taken back."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rarec.catalogue.database import Database
from rarec.catalogue.stored import COLUMNS, INSERT, UPDATE, Row, find, row_of, set_meta, version_of
from rarec.errors import InputError, StoreError
from rarec.types import Item, ItemId

KEPT = 3
"""So many revisions can be taken back; what is needed for older ones is let go."""

_PAGE = 5000
_NAMES = tuple(COLUMNS.split(", "))
# Made when the first revision is written: a store without one is as every rarec knows it.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS revisions (
    number INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    made TEXT NOT NULL,
    note TEXT NOT NULL,
    added INTEGER NOT NULL,
    changed INTEGER NOT NULL,
    retired INTEGER NOT NULL,
    taken_back TEXT,
    kept INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS owned (id TEXT PRIMARY KEY, owner TEXT NOT NULL, since INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS revised (
    revision INTEGER NOT NULL,
    id TEXT NOT NULL,
    before TEXT,
    place INTEGER,
    owner TEXT,
    since INTEGER,
    after BLOB,
    PRIMARY KEY (revision, id)
) WITHOUT ROWID;
"""
# revisions.kept: whether its rows are still in `revised`. There, before: the columns that changed, as JSON; NULL if the
# item was not there. place: where it stood, if it went. owner, since: whose it was. after: digest of its row since
# then; NULL if it went.


class StoreMoved(StoreError):
    """Something else was written since the change was worked out; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One set of changes.

    Attributes:
        number: from 1, in the order of writing.
        owner: whose items they are.
        made: when, UTC, ISO 8601; so is `taken_back`, which is None while it stands.
        note: what the writer wanted to remember, JSON values.
        added, changed, retired: how many items.
        kept: whether it can still be taken back, once those after it are.
    """

    number: int
    owner: str
    made: str
    note: Mapping[str, Any]
    added: int
    changed: int
    retired: int
    taken_back: str | None
    kept: bool


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What taking back a revision did.

    Attributes:
        removed: items that it had added.
        restored: items that it had changed.
        returned: items that it had retired.
        left: items that were written by somebody else since; they stay as they are.
    """

    revision: Revision
    removed: int
    restored: int
    returned: int
    left: int


@dataclass(frozen=True, slots=True)
class RevisionOf:
    """What is to be written.

    Attributes:
        owner: whose items they will be.
        put: items that are new or changed; consumed as they come.
        same: ids of items that stay as they are, and belong to the owner from now on.
        retired: ids of items that go.
        note: kept with the revision, JSON values.
    """

    owner: str
    put: Iterable[Item]
    same: Iterable[ItemId]
    retired: Iterable[ItemId]
    note: Mapping[str, Any]


class Revisions:
    """The revisions of a store. An item belongs to whoever named it last; what was added by hand belongs to nobody."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> tuple[Revision, ...]:
        """Every revision, the oldest first."""
        with self._database.reading() as connection:
            if not _has_tables(connection):
                return ()
            return tuple(_revisions(connection))

    def owners(self) -> dict[str, int]:
        """Owner -> how many items of the catalogue are its own; empty without any revision."""
        with self._database.reading() as connection:
            if not _has_tables(connection):
                return {}
            query = "SELECT owner, count(*) FROM owned WHERE id IN (SELECT id FROM items) GROUP BY owner ORDER BY owner"
            return dict(connection.execute(query))

    def owned(self, owner: str) -> Iterator[ItemId]:
        """Ids of an owner's items that are in the catalogue, ascending, a page at a time."""
        last = ""
        while True:
            with self._database.reading() as connection:
                if not _has_tables(connection):
                    return
                # All ids of a page, whoever's: so each page is one walk along the key.
                rows = connection.execute(
                    "SELECT id, owner, EXISTS (SELECT 1 FROM items WHERE items.id = owned.id) FROM owned "
                    "WHERE id > ? ORDER BY id LIMIT ?",
                    (last, _PAGE),
                ).fetchall()
            if not rows:
                return
            last = rows[-1][0]
            yield from (ItemId(row[0]) for row in rows if row[1] == owner and row[2])

    def write(self, wanted: RevisionOf, *, expected: int) -> Revision:
        """Write a revision in one transaction; a kill leaves all of it or nothing.

        Args:
            expected: the catalogue's version for which the change was worked out.
        Raises:
            StoreMoved: the catalogue has another version; work the change out again.
            InputError: an item cannot be stored.
            StoreError: the store is full, locked or damaged.
        """
        with self._database.writing() as connection:
            if version_of(connection) != expected:
                raise StoreMoved(
                    f"the store {str(self._database.path)!r} was written meanwhile; nothing was changed, try again"
                )
            _make_tables(connection)
            number = 1 + int(connection.execute("SELECT coalesce(max(number), 0) FROM revisions").fetchone()[0])
            writer = _Writer(connection, wanted.owner, number, version=expected + 1)
            writer.write(wanted)
            if writer.moved:
                set_meta(connection, "version", str(expected + 1))
            connection.execute(
                "INSERT INTO revisions VALUES (?, ?, ?, ?, ?, ?, ?, NULL, 1)",
                (
                    number, wanted.owner, _now(), json.dumps(wanted.note, ensure_ascii=False),
                    writer.added, writer.changed, writer.retired,
                ),
            )  # fmt: skip
            standing = [one.number for one in _revisions(connection) if one.taken_back is None]
            for old in standing[:-KEPT]:
                connection.execute("DELETE FROM revised WHERE revision = ?", (old,))
                connection.execute("UPDATE revisions SET kept = 0 WHERE number = ?", (old,))
            return _revisions(connection)[-1]

    def take_back(self) -> TakenBack:
        """Bring back what was before the last revision that stands, in one transaction.

        Items that were written since by somebody else stay as they are.

        Raises:
            InputError: no revision stands, or what is needed for it was let go.
        """
        with self._database.writing() as connection:
            known = _revisions(connection) if _has_tables(connection) else []
            standing = [one for one in known if one.taken_back is None]
            if not standing:
                raise InputError("nothing to take back: no corpus was put into this store, or each was taken back")
            last = standing[-1]
            if not last.kept:
                raise InputError(
                    f"revision {last.number} cannot be taken back: what was before it is kept for the last {KEPT} "
                    "revisions only; restore a backup"
                )
            version = version_of(connection) + 1
            done = _taken_back(connection, last, version)
            if done.removed or done.restored or done.returned:
                set_meta(connection, "version", str(version))
            return done


def disown(connection: sqlite3.Connection, ids: Iterable[str]) -> None:
    """Items that were deleted by hand are nobody's: whoever adds one of these ids later has an item of their own."""
    if _has_tables(connection):
        connection.executemany("DELETE FROM owned WHERE id = ?", ((item_id,) for item_id in ids))


class _Writer:
    """Writes one revision inside a transaction, and what is needed to take it back."""

    def __init__(self, connection: sqlite3.Connection, owner: str, number: int, *, version: int) -> None:
        self._run = connection.execute
        self._connection = connection
        self._owner, self._number, self._version = owner, number, version
        self.added = self.changed = self.retired = 0

    @property
    def moved(self) -> bool:
        """Whether an item changed."""
        return bool(self.added or self.changed or self.retired)

    def write(self, wanted: RevisionOf) -> None:
        for item in wanted.put:
            self._put(item)
        for item_id in wanted.same:
            self._claim(item_id)
        for item_id in wanted.retired:
            self._retire(item_id)

    def _put(self, item: Item) -> None:
        row = row_of(item)
        before = find(self._connection, item.id)
        if before == row:
            self._claim(item.id)
            return
        if before is None:
            self._run(INSERT, (*row, self._version))
            self._run("DELETE FROM deleted WHERE id = ?", (item.id,))
            self.added += 1
            kept = None
        else:
            self._run(UPDATE, (*row[1:], self._version, item.id))
            self.changed += 1
            kept = json.dumps({n: b for n, b, r in zip(_NAMES, before, row, strict=True) if b != r}, ensure_ascii=False)
        self._remember(item.id, kept, None, _digest(row))
        self._own(item.id)

    def _claim(self, item_id: ItemId) -> None:
        """An item that stays as it is; one that was another owner's must be given back to it some day."""
        known = self._run("SELECT owner FROM owned WHERE id = ?", (item_id,)).fetchone()
        if known is not None and known[0] != self._owner:
            row = find(self._connection, item_id)
            self._remember(item_id, "{}", None, None if row is None else _digest(row))
        if known is None or known[0] != self._owner:
            self._own(item_id)

    def _retire(self, item_id: ItemId) -> None:
        row = find(self._connection, item_id)
        if row is None:
            return
        place = self._run("SELECT position FROM items WHERE id = ?", (item_id,)).fetchone()[0]
        self._remember(item_id, json.dumps(dict(zip(_NAMES, row, strict=True)), ensure_ascii=False), place, None)
        self._run("DELETE FROM items WHERE id = ?", (item_id,))
        self._run("REPLACE INTO deleted VALUES (?, ?)", (item_id, self._version))
        self._run("DELETE FROM owned WHERE id = ?", (item_id,))
        self.retired += 1

    def _remember(self, item_id: str, before: str | None, place: int | None, after: bytes | None) -> None:
        owner, since = self._run("SELECT owner, since FROM owned WHERE id = ?", (item_id,)).fetchone() or (None, None)
        values = (self._number, item_id, before, place, owner, since, after)
        self._run("REPLACE INTO revised VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def _own(self, item_id: str) -> None:
        # Whoever has an item already keeps the number since which it is so.
        self._run(
            "INSERT INTO owned VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, "
            "since = excluded.since WHERE owner != excluded.owner",
            (item_id, self._owner, self._number),
        )


def _taken_back(connection: sqlite3.Connection, revision: Revision, version: int) -> TakenBack:
    run = connection.execute
    removed = restored = returned = left = 0
    rows = run(
        "SELECT id, before, place, owner, since, after FROM revised WHERE revision = ? ORDER BY place, id",
        (revision.number,),
    )
    for item_id, before, place, owner, since, after in rows:
        now = find(connection, item_id)
        if (None if now is None else _digest(now)) != after:
            left += 1
            continue
        if before is None:
            run("DELETE FROM items WHERE id = ?", (item_id,))
            run("REPLACE INTO deleted VALUES (?, ?)", (item_id, version))
            removed += 1
        elif now is None:
            _insert_again(connection, json.loads(before), place, version)
            returned += 1
        elif columns := json.loads(before):
            row = {**dict(zip(_NAMES, now, strict=True)), **columns}
            run(UPDATE, (*(row[name] for name in _NAMES[1:]), version, item_id))
            restored += 1
        if owner is None:
            run("DELETE FROM owned WHERE id = ?", (item_id,))
        else:
            run("REPLACE INTO owned VALUES (?, ?, ?)", (item_id, owner, since))
    run("DELETE FROM owned WHERE since = ?", (revision.number,))
    run("DELETE FROM revised WHERE revision = ?", (revision.number,))
    run("UPDATE revisions SET taken_back = ?, kept = 0 WHERE number = ?", (_now(), revision.number))
    return TakenBack(revision, removed, restored, returned, left)


def _insert_again(connection: sqlite3.Connection, row: Mapping[str, Any], place: int, version: int) -> None:
    """Where it stood before, unless something else stands there by now."""
    taken = connection.execute("SELECT 1 FROM items WHERE position = ?", (place,)).fetchone()
    values = (None if taken else place, *(row[name] for name in _NAMES), version)
    connection.execute(f"INSERT INTO items (position, {COLUMNS}, version) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    connection.execute("DELETE FROM deleted WHERE id = ?", (row["id"],))


def _revisions(connection: sqlite3.Connection) -> list[Revision]:
    rows = connection.execute(
        "SELECT number, owner, made, note, added, changed, retired, taken_back, kept FROM revisions ORDER BY number"
    )
    return [
        Revision(number, owner, made, json.loads(note), added, changed, retired, back, bool(kept))
        for number, owner, made, note, added, changed, retired, back, kept in rows
    ]


def _has_tables(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'revisions'").fetchone()[0])


def _make_tables(connection: sqlite3.Connection) -> None:
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)


def _digest(row: Row) -> bytes:
    return hashlib.blake2b(json.dumps(row).encode(), digest_size=16).digest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
