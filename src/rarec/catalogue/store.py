"""The catalogue on disk: items come and go at run time, and readers can follow the changes."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple

from rarec.catalogue.database import Database, check, create
from rarec.catalogue.revisions import Revisions, disown
from rarec.catalogue.stored import (
    COLUMNS,
    INSERT,
    UPDATE,
    find,
    find_many,
    item_of,
    meta,
    row_of,
    set_meta,
    version_of,
)
from rarec.catalogue.text import Layout, load_layout
from rarec.catalogue.tokens import Tokens
from rarec.errors import InputError, StoreError, UnknownItem
from rarec.types import Item, ItemId

_PAGE = 1000
_LISTED = 10


class Counts(NamedTuple):
    """How many items a write added, replaced, and found already there word for word."""

    added: int
    updated: int
    unchanged: int


class Changes(NamedTuple):
    """Ids that were added or replaced, in the catalogue's order, and ids that are gone."""

    changed: tuple[ItemId, ...]
    deleted: tuple[ItemId, ...]


class Page(NamedTuple):
    """Some items in order of insertion, and where the next page starts; None behind the last."""

    items: tuple[Item, ...]
    next: int | None


class CatalogueStore:
    """Items in one SQLite file (write-ahead log, every acknowledged write synced to the disk).

    Safe to use from several threads and processes. Every write is one transaction and raises `version` by one
    if it changed anything. Close it, or use it in a `with` block.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(
        cls, path: str | Path, *, create: bool = False, layout: Layout | None = None, busy_timeout_s: float = 5.0
    ) -> CatalogueStore:
        """Open a store.

        Args:
            create: make an empty one if there is none; its folder must exist.
            layout: how the items of a store made now are written for the embedder; None is the generic one.
            busy_timeout_s: how long to wait for another process that writes.
        Raises:
            StoreError: there is none, it is no store, it is damaged or locked.
        """
        file = Path(path)
        if not create and not file.is_file():
            raise StoreError(f"no catalogue at {str(file)!r}; make one with: rarec init")
        database = Database(file, busy_timeout_s=busy_timeout_s)
        try:
            if create:
                _create(file, database, layout or load_layout("generic"))
            check(database)
        except BaseException:
            database.close()
            raise
        return cls(database)

    @property
    def path(self) -> Path:
        return self._database.path

    def close(self) -> None:
        """End the connections of every thread; a second call does nothing."""
        self._database.close()

    def __enter__(self) -> CatalogueStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def add(self, items: Iterable[Item], *, columns: Mapping[str, str] | None = None) -> Counts:
        """Insert items, or replace those whose id is there (they keep their place), in one transaction.

        `items` is consumed as it comes, so it may be longer than memory; an exception in it undoes the whole
        write. The later of two items with one id wins. No items change nothing.

        Args:
            columns: which column of a file fed which field; remembered with the items. None leaves what is known.
        Raises:
            InputError: an item is not acceptable (an empty title, a negative popularity ...).
            StoreError: the store is full, locked or damaged.
        """
        return self._write(items, missing=None, columns=columns)

    def update(self, items: Iterable[Item]) -> Counts:
        """Replace items that are there; like `add`, but an id that is not is an error.

        Raises:
            UnknownItem: an id is not in the catalogue; nothing was changed.
            InputError, StoreError: as `add`.
        """
        return self._write(items, missing=_unknown)

    def delete(self, ids: Iterable[ItemId], *, missing: Literal["raise", "skip"] = "raise") -> int:
        """Delete items in one transaction and return how many; an id given twice counts once.

        Raises:
            UnknownItem: an id is not in the catalogue and `missing` is "raise"; nothing was changed.
        """
        wanted = list(dict.fromkeys(ids))
        with self._database.writing() as connection:
            known = find_many(connection, wanted)
            if missing == "raise" and len(known) < len(wanted):
                raise _unknown(*(item_id for item_id in wanted if item_id not in known))
            version = version_of(connection) + 1
            connection.executemany("DELETE FROM items WHERE id = ?", ((item_id,) for item_id in known))
            connection.executemany("REPLACE INTO deleted VALUES (?, ?)", ((item_id, version) for item_id in known))
            disown(connection, known)
            if known:
                set_meta(connection, "version", str(version))
        return len(known)

    def get(self, item_id: ItemId) -> Item:
        """The item of that id. Raises: UnknownItem if there is none."""
        return self.get_many((item_id,))[0]

    def get_many(self, ids: Iterable[ItemId], *, missing: Literal["raise", "skip"] = "raise") -> tuple[Item, ...]:
        """Items in the order of `ids`, all from one moment; no ids give nothing.

        Raises:
            UnknownItem: an id is not in the catalogue and `missing` is "raise".
        """
        wanted = list(ids)
        with self._database.reading() as connection:
            rows = find_many(connection, list(dict.fromkeys(wanted)))
        if missing == "raise" and (unknown := [item_id for item_id in dict.fromkeys(wanted) if item_id not in rows]):
            raise _unknown(*unknown)
        items = {item_id: item_of(row) for item_id, row in rows.items()}
        return tuple(items[item_id] for item_id in wanted if item_id in items)

    def __contains__(self, item_id: object) -> bool:
        with self._database.reading() as connection:
            return isinstance(item_id, str) and find(connection, item_id) is not None

    def __len__(self) -> int:
        with self._database.reading() as connection:
            return int(connection.execute("SELECT count(*) FROM items").fetchone()[0])

    def __bool__(self) -> bool:
        return True  # an empty store is a store

    def __iter__(self) -> Iterator[Item]:
        """Items in order of insertion, a page at a time; what is written meanwhile may or may not appear."""
        return (item for _, item in self._placed())

    def _placed(self) -> Iterator[tuple[int, Item]]:
        """Every item with its place, ascending, a page at a time."""
        place = -1
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(
                    f"SELECT position, {COLUMNS} FROM items WHERE position > ? ORDER BY position LIMIT ?",
                    (place, _PAGE),
                ).fetchall()
            if not rows:
                return
            place = rows[-1][0]
            yield from ((row[0], item_of(row[1:])) for row in rows)

    def page(self, after: int = 0, *, n: int = 100) -> Page:
        """Up to n items in order of insertion, behind the place that the page before gave as `next`.

        An item that stays is on one page and no other, whatever is written meanwhile. An empty store gives none.

        Raises:
            InputError: `after` is negative or beyond 64 bits, or n < 1.
        """
        if not 0 <= after < 1 << 63 or n < 1:
            raise InputError(f"a page needs after >= 0 (below 2**63) and n >= 1, got {after!r} and {n!r}")
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT position, {COLUMNS} FROM items WHERE position > ? ORDER BY position LIMIT ?", (after, n + 1)
            ).fetchall()
        return Page(tuple(item_of(row[1:]) for row in rows[:n]), rows[n - 1][0] if len(rows) > n else None)

    def ids(self) -> tuple[ItemId, ...]:
        """Every id in order of insertion."""
        with self._database.reading() as connection:
            return tuple(ItemId(row[0]) for row in connection.execute("SELECT id FROM items ORDER BY position"))

    @property
    def version(self) -> int:
        """How many writes changed something since the store was made; cheap, so poll it."""
        with self._database.reading() as connection:
            return version_of(connection)

    def changes_since(self, version: int) -> Changes:
        """What changed after `version`; 0 gives everything.

        To follow a store: read `version` first, then the changes since the one known before, then remember the
        first. A write in between is then reported twice and never lost.

        Raises:
            InputError: `version` is newer than the store, so it was another one; read everything again.
        """
        with self._database.reading() as connection:
            current = version_of(connection)
            if not 0 <= version <= current:
                raise InputError(f"version {version!r} is not one of this store (0..{current}); read all items again")
            # The sign keeps SQLite from reading all rows in order of position: a few changed, so the index is quicker.
            changed = connection.execute("SELECT id FROM items WHERE version > ? ORDER BY +position", (version,))
            gone = connection.execute("SELECT id FROM deleted WHERE version > ? ORDER BY version, id", (version,))
            return Changes(tuple(ItemId(row[0]) for row in changed), tuple(ItemId(row[0]) for row in gone))

    @property
    def layout(self) -> Layout:
        """How items are written for the embedder."""
        with self._database.reading() as connection:
            return Layout.model_validate_json(meta(connection, "layout"))

    def set_layout(self, layout: Layout, tokens: Tokens | None = None) -> int:
        """Change the layout; the items whose text it changes then count as changed. How many these were.

        Args:
            tokens: of the store's embedder, where a layout sets a limit of tokens; see `item_text`.
        """
        known, before = self.version, self.layout
        if layout == before:
            return 0
        changed = self._with_another_text(before, layout, tokens)  # long, so others may write meanwhile
        with self._database.writing() as connection:
            version = version_of(connection) + 1
            if version != known + 1:
                changed = self._with_another_text(before, layout, tokens)
            set_meta(connection, "layout", layout.model_dump_json())
            set_meta(connection, "version", str(version))
            places = ((version, place) for place in changed)
            connection.executemany("UPDATE items SET version = ? WHERE position = ?", places)
        return len(changed)

    def _with_another_text(self, before: Layout, layout: Layout, tokens: Tokens | None) -> array[int]:
        """Places of the items that two layouts write otherwise."""
        return array(
            "q", (place for place, item in self._placed() if before.render(item, tokens) != layout.render(item, tokens))
        )

    @property
    def revisions(self) -> Revisions:
        """Whole sets of items that were put in, and can be taken back."""
        return Revisions(self._database)

    @property
    def columns(self) -> Mapping[str, str]:
        """Which column fed which field, of the last import that mapped the id; empty if none did."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT value FROM meta WHERE key = 'columns'").fetchone()
        return {} if row is None else json.loads(row[0])

    def _write(
        self,
        items: Iterable[Item],
        *,
        missing: Callable[[ItemId], Exception] | None,
        columns: Mapping[str, str] | None = None,
    ) -> Counts:
        added = updated = unchanged = 0
        with self._database.writing() as connection:
            version = version_of(connection) + 1
            for item in items:
                row = row_of(item)
                before = find(connection, item.id)
                if before == row:
                    unchanged += 1
                elif before is not None:
                    connection.execute(UPDATE, (*row[1:], version, item.id))
                    updated += 1
                elif missing is not None:
                    raise missing(item.id)
                else:
                    connection.execute(INSERT, (*row, version))
                    connection.execute("DELETE FROM deleted WHERE id = ?", (item.id,))
                    added += 1
            if added or updated:
                set_meta(connection, "version", str(version))
            if columns:
                set_meta(connection, "columns", json.dumps(dict(columns), ensure_ascii=False))
        return Counts(added, updated, unchanged)


def _create(file: Path, database: Database, layout: Layout) -> None:
    try:
        file.touch()
    except OSError as error:
        raise StoreError(f"cannot make {str(file)!r}: {error.strerror}; choose a folder that exists") from error
    create(database)
    check(database)
    with database.writing() as connection:
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('layout', ?)", (layout.model_dump_json(),))


def _unknown(*ids: ItemId) -> UnknownItem:
    if len(ids) == 1:
        return UnknownItem(f"no item with the id {ids[0]!r} in the catalogue; ids are compared exactly, case included")
    listed = ", ".join(repr(item_id) for item_id in ids[:_LISTED])
    more = f" and {len(ids) - _LISTED} more" if len(ids) > _LISTED else ""
    return UnknownItem(f"no items with the {len(ids)} ids {listed}{more}; ids are compared exactly, case included")
