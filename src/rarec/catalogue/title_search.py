"""Words of a title -> the items that have them, for people who type into a search field."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from rarec.catalogue.folding import folded_words
from rarec.catalogue.store import CatalogueStore
from rarec.types import Item, ItemId

_MOST_WORDS = 20


@dataclass(frozen=True, slots=True)
class _Title:
    folded: str
    popularity: float


class TitleSearch:
    """Finds items of a store by the beginnings of words of their titles, and follows the store.

    Case, accents and punctuation do not count ("amelie" finds "Amélie"), nor does the order of the words; every word
    must begin a word of the title. Titles are read at the first search, about 5 microseconds each; a search looks at
    all of them, some ten milliseconds for 100,000. Safe to use from several threads.
    """

    def __init__(self, store: CatalogueStore) -> None:
        self._store = store
        self._titles: dict[ItemId, _Title] = {}
        self._version = 0
        self._lock = threading.Lock()

    def find(self, text: str, *, n: int) -> tuple[Item, ...]:
        """At most n items: the whole title first, then titles that begin so, then the more popular ones.

        A text without letters and digits finds nothing. Only its first twenty words count.

        Raises:
            StoreError: the store cannot be read.
        """
        words = folded_words(text)[:_MOST_WORDS]
        if not words:
            return ()
        whole, beginnings = " ".join(words), [f" {word}" for word in words]
        with self._lock:
            self._follow()
            found = [
                (title.folded != f" {whole}", not title.folded.startswith(f" {whole}"), -title.popularity, item)
                for item, title in self._titles.items()
                if all(beginning in title.folded for beginning in beginnings)
            ]
        found.sort(key=lambda entry: entry[:3])
        return self._store.get_many([entry[3] for entry in found[:n]], missing="skip")

    def _follow(self) -> None:
        version = self._store.version
        if version == self._version:
            return
        if self._version == 0:
            self._know(self._store)
        else:
            changes = self._store.changes_since(self._version)
            for item_id in changes.deleted:
                self._titles.pop(item_id, None)
            self._know(self._store.get_many(changes.changed, missing="skip"))
        self._version = version

    def _know(self, items: Iterable[Item]) -> None:
        for item in items:
            self._titles[item.id] = _Title(" " + " ".join(folded_words(item.title)), item.popularity)
