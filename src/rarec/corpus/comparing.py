"""What it would take to bring a store to a corpus: worked out item by item, without writing to the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from rarec.catalogue import CatalogueStore
from rarec.corpus.differing import differing_fields
from rarec.corpus.pending import Pending
from rarec.corpus.reading import CorpusFolder
from rarec.errors import InputError
from rarec.progress import OnProgress
from rarec.types import Item, ItemId

SHOWN = 5
_AT_ONCE = 500
Write = Callable[[Item], str]
"""Item -> the text that is embedded."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An item as an example: its id, title and year, and the fields that change."""

    id: ItemId
    title: str
    year: int | None
    fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What an update does.

    Attributes:
        version: of the catalogue for which it holds.
        added, changed, unchanged, retired: how many items.
        owned: how many items of this corpus the store has now.
        texts: how many of the added and changed have a text that is embedded anew, if no cache has it.
        fields: field -> how many of the changed items differ in it.
        examples: ``added``, ``changed``, ``retired`` -> the first few.
        others: other corpora in the store -> how many items are theirs; they stay.
        by_hand: how many items belong to no corpus, before the update; those that it does not name stay.
    """

    version: int
    added: int
    changed: int
    unchanged: int
    retired: int
    owned: int
    texts: int
    fields: Mapping[str, int]
    examples: Mapping[str, tuple[Shown, ...]]
    others: Mapping[str, int]
    by_hand: int


def compare(store: CatalogueStore, corpus: CorpusFolder, pending: Pending, *, write: Write, tell: OnProgress) -> Plan:
    """Work out an update into `pending`, which must be empty.

    Raises:
        InputError: the corpus is damaged, or names an id twice.
        StoreError: the store or the scratch file cannot be used.
    """
    version, owners, total = store.version, store.revisions.owners(), len(store)
    work = _Comparing(store, pending, write)
    rows = corpus.items(lambda done, of: tell("Compare with the store", done, of, ""))
    while batch := list(islice(rows, _AT_ONCE)):
        if twice := pending.name([item.id for item in batch]):
            raise InputError(f"the corpus {str(corpus.path)!r} has the id {twice[0]!r} twice; build it again")
        work.take(batch)
    work.retire(store.revisions.owned(corpus.name))
    return Plan(
        version=version,
        added=work.counts["added"],
        changed=work.counts["changed"],
        unchanged=work.counts["unchanged"],
        retired=work.counts["retired"],
        owned=owners.pop(corpus.name, 0),
        texts=work.counts["texts"],
        fields=dict(work.fields.most_common()),
        examples={kind: tuple(shown) for kind, shown in work.examples.items()},
        others=owners,
        by_hand=total - sum(store.revisions.owners().values()),
    )


class _Comparing:
    def __init__(self, store: CatalogueStore, pending: Pending, write: Write) -> None:
        self._store, self._pending, self._write = store, pending, write
        self.counts: Counter[str] = Counter()
        self.fields: Counter[str] = Counter()
        self.examples: dict[str, list[Shown]] = {"added": [], "changed": [], "retired": []}

    def take(self, batch: list[Item]) -> None:
        """Compare some items of the corpus."""
        known = {item.id: item for item in self._store.get_many([item.id for item in batch], missing="skip")}
        for item in batch:
            before = known.get(item.id)
            fields = () if before is None else differing_fields(before, item)
            if before is not None and not fields:
                self.counts["unchanged"] += 1
                self._pending.keep(item.id)
                continue
            embed = before is None or (fields != ("popularity",) and self._write(before) != self._write(item))
            self._pending.put(item, embed=embed)
            self.counts["texts"] += embed
            self.fields.update(fields)
            self._count("added" if before is None else "changed", item, fields)

    def retire(self, owned: Iterator[ItemId]) -> None:
        """Find the items of the corpus before that this one does not name."""
        gone = self._pending.retire(owned)
        while batch := list(islice(gone, _AT_ONCE)):
            for item in self._store.get_many(batch, missing="skip"):
                self._count("retired", item, ())

    def _count(self, kind: str, item: Item, fields: tuple[str, ...]) -> None:
        self.counts[kind] += 1
        if len(self.examples[kind]) < SHOWN:
            self.examples[kind].append(Shown(item.id, item.title, item.year, fields))
