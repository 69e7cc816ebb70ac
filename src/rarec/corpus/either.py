"""A corpus folder or a store, whichever a path is: what is looked at item by item."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rarec.catalogue import CatalogueStore
from rarec.corpus.reading import EVIDENCE, Count, is_corpus, open_corpus
from rarec.errors import InputError
from rarec.types import Item

_STORE_FILE = "catalogue.sqlite"


@dataclass(frozen=True, slots=True)
class Items:
    """Items that can be read again and again.

    Attributes:
        name: of the corpus, or of the store's folder.
        made: when the corpus was made, ISO 8601; empty for a store.
        rows: how many there are.
        read: gives them in order, one at a time, and reports (read, in all).
        evidence: the file that says what each field was taken from; None if there is none.
    """

    name: str
    made: str
    rows: int
    read: Callable[[Count | None], Iterator[Item]]
    evidence: Path | None


@contextmanager
def opened(path: Path) -> Iterator[Items]:
    """The items of a corpus folder or a store.

    Raises:
        InputError: it is neither, or damaged.
        StoreError: the store cannot be read.
    """
    if is_corpus(path):
        corpus = open_corpus(path)
        evidence = path / EVIDENCE
        yield Items(corpus.name, corpus.made, corpus.rows, corpus.items, evidence if evidence.is_file() else None)
    elif (path / _STORE_FILE).is_file():
        with CatalogueStore.open(path / _STORE_FILE) as store:
            yield Items(path.resolve().name, "", len(store), lambda progress: _counted(store, progress), None)
    else:
        raise InputError(f"{str(path)!r} is neither a corpus (rarec corpus build) nor a store (rarec init)")


def _counted(store: CatalogueStore, progress: Count | None) -> Iterator[Item]:
    total = len(store)
    for number, item in enumerate(store, start=1):
        yield item
        if progress is not None and (number % 2000 == 0 or number == total):
            progress(number, total)
