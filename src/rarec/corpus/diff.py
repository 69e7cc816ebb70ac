"""Two catalogues side by side: what came, what went, and what changed in which field."""

from __future__ import annotations

import hashlib
import sqlite3
import struct
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rarec.corpus.differing import value_of
from rarec.corpus.either import Items
from rarec.corpus.quality import line_of
from rarec.corpus.sqlite_errors import guarded
from rarec.progress import OnProgress
from rarec.types import Item

EXAMPLES = 5
_AT_ONCE = 500
_DIGEST = struct.Struct("<H6s")
_OWN = ("title", "text", "year", "popularity")


@dataclass(frozen=True, slots=True)
class Change:
    """One field of one item, before and after; values of an attribute are a tuple."""

    item: str
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class Difference:
    """How the new one differs.

    Attributes:
        added, retired, changed, unchanged: how many items.
        fields: field -> how many items differ in it, the most first.
        added_examples, retired_examples: the first few as lines, in the order of their catalogue.
        changes: field -> the first few changes.
    """

    old: str
    new: str
    added: int
    retired: int
    changed: int
    unchanged: int
    fields: Mapping[str, int]
    added_examples: tuple[str, ...]
    retired_examples: tuple[str, ...]
    changes: Mapping[str, tuple[Change, ...]]


def difference(old: Items, new: Items, tell: OnProgress) -> Difference:
    """Compare by id. The old one's fields are kept on disk as digests, in a temporary folder: about 100 bytes an item.

    The order of attributes does not count.

    Raises:
        InputError, StoreError: items cannot be read, or the temporary folder is full.
    """
    with tempfile.TemporaryDirectory(prefix="rarec-diff-") as folder:
        path = Path(folder) / "old.sqlite"
        with (
            guarded("what is compared in", path, "set TMPDIR"),
            closing(sqlite3.connect(path, isolation_level=None)) as scratch,
        ):
            scratch.execute("PRAGMA journal_mode=OFF")
            scratch.execute("PRAGMA synchronous=OFF")
            return _Diff(scratch).of(old, new, tell)


class _Diff:
    def __init__(self, scratch: sqlite3.Connection) -> None:
        self._run = scratch.execute
        self._many = scratch.executemany
        self._names: dict[str, int] = {}
        self._counts: Counter[str] = Counter()
        self._fields: Counter[str] = Counter()
        self._added: list[str] = []
        self._after: dict[str, dict[str, Item]] = {}

    def of(self, old: Items, new: Items, tell: OnProgress) -> Difference:
        self._run("CREATE TABLE old (id TEXT PRIMARY KEY, fields BLOB NOT NULL) WITHOUT ROWID")
        self._run("BEGIN")
        rows = ((item.id, self._packed(item)) for item in _told(old, "Read the old one", tell))
        self._many("INSERT OR REPLACE INTO old VALUES (?, ?)", rows)
        coming = iter(_told(new, "Compare the new one", tell))
        while batch := list(islice(coming, _AT_ONCE)):
            self._take(batch)
        # What was found in both is gone from the table.
        retired = int(self._run("SELECT count(*) FROM old").fetchone()[0])
        shown, before = self._look_again(old, retired, tell)
        return Difference(
            old=old.name,
            new=new.name,
            added=self._counts["added"],
            retired=retired,
            changed=self._counts["changed"],
            unchanged=self._counts["unchanged"],
            fields=dict(self._fields.most_common()),
            added_examples=tuple(self._added),
            retired_examples=tuple(shown),
            changes={
                field: tuple(
                    Change(line_of(after), value_of(before[item_id], field), value_of(after, field))
                    for item_id, after in self._after[field].items()
                    if item_id in before  # else a live store has lost it since
                )
                for field, _ in self._fields.most_common()
            },
        )

    def _take(self, batch: list[Item]) -> None:
        marks = ",".join("?" * len(batch))
        known = dict(self._run(f"SELECT id, fields FROM old WHERE id IN ({marks})", [item.id for item in batch]))
        for item in batch:
            before = known.get(item.id)
            if before is None:
                self._counts["added"] += 1
                if len(self._added) < EXAMPLES:
                    self._added.append(line_of(item))
                continue
            differing = [] if before == self._packed(item) else self._differing(before, self._packed(item))
            self._counts["changed" if differing else "unchanged"] += 1
            self._fields.update(differing)
            for field in differing:
                shown = self._after.setdefault(field, {})
                if len(shown) < EXAMPLES:
                    shown[item.id] = item
        self._many("DELETE FROM old WHERE id = ?", ((item.id,) for item in batch))

    def _look_again(self, old: Items, retired: int, tell: OnProgress) -> tuple[list[str], dict[str, Item]]:
        """The first items that went, and how the items that are shown were before."""
        wanted = {item_id for shown in self._after.values() for item_id in shown}
        lines: list[str] = []
        before: dict[str, Item] = {}
        for item in _told(old, "Find examples", tell):
            if len(before) == len(wanted) and len(lines) == min(EXAMPLES, retired):
                break
            if item.id in wanted:
                before[item.id] = item
            elif (
                len(lines) < min(EXAMPLES, retired)
                and self._run("SELECT 1 FROM old WHERE id = ?", (item.id,)).fetchone()
            ):
                lines.append(line_of(item))
        return lines, before

    def _packed(self, item: Item) -> bytes:
        """Which fields an item has and a digest of each, in the order of their numbers."""
        fields: list[tuple[str, object]] = [(name, getattr(item, name)) for name in _OWN]
        fields += [(f"attributes.{name}", values) for name, values in item.attributes.items() if values]
        found = {self._names.setdefault(name, len(self._names)): _digest(value) for name, value in fields}
        return b"".join(_DIGEST.pack(number, found[number]) for number in sorted(found))

    def _differing(self, one: bytes, other: bytes) -> list[str]:
        """Names of the fields in which two packed items differ."""
        first, second = dict(_DIGEST.iter_unpack(one)), dict(_DIGEST.iter_unpack(other))
        names = list(self._names)
        return [names[number] for number in sorted({*first, *second}) if first.get(number) != second.get(number)]


def _told(items: Items, stage: str, tell: OnProgress) -> Iterator[Item]:
    return items.read(lambda done, total: tell(stage, done, total, ""))


def _digest(value: object) -> bytes:
    return hashlib.blake2b(repr(value).encode("utf-8", "replace"), digest_size=6).digest()
