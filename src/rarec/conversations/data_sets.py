"""Which items belong to which data set, and where its files lie under a data folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from rarec.catalogue.sources.corpus import corpus_items
from rarec.conversations.inspired import read_inspired
from rarec.conversations.parquet import read_columns
from rarec.conversations.redial import read_redial
from rarec.errors import InputError
from rarec.types import Conversation, Item, ItemId

_READERS: dict[str, Callable[[Path], Iterator[Conversation]]] = {"redial": read_redial, "inspired": read_inspired}
DATA_SETS = tuple(_READERS)


def read_split(data_root: str | Path, name: str, split: str) -> Iterator[Conversation]:
    """The conversations of ``<data_root>/<name>/<split>.jsonl``, or of that file with .zst or .gz.

    Raises:
        InputError: no such data set or file, or a line is wrong.
    """
    if name not in _READERS:
        raise InputError(f"no reader for the data set {name!r}; use {' or '.join(DATA_SETS)}")
    stem = Path(data_root) / name / f"{split}.jsonl"
    for path in (stem, stem.with_name(f"{stem.name}.zst"), stem.with_name(f"{stem.name}.gz")):
        if path.exists():
            return _READERS[name](path)
    raise InputError(f"no file {str(stem)!r}, nor with .zst or .gz; is {str(data_root)!r} the data folder?")


def data_set_catalogue(data_root: str | Path, name: str) -> tuple[ItemId, ...]:
    """The distinct items that a data set's own vocabulary maps to, in order of corpus id.

    Raises:
        InputError: mapping/crs_items.parquet is missing under `data_root`, or has no rows for `name`.
    """
    path = Path(data_root) / "mapping" / "crs_items.parquet"
    data_sets, ids = read_columns(path, ("dataset", "corpus_id"), purpose="reading a data set's catalogue")
    found = {corpus for data_set, corpus in zip(data_sets, ids, strict=True) if data_set == name and corpus is not None}
    if not found:
        raise InputError(f"{str(path)!r} has no items of {name!r}; it has {sorted(set(data_sets))!r}")
    return tuple(ItemId(str(corpus)) for corpus in sorted(found))


def data_set_items(data_root: str | Path, name: str) -> list[Item]:
    """The items of `data_set_catalogue` with titles, texts and popularity, in the same order.

    Raises:
        InputError: a file is missing, or an item of the vocabulary is not in corpus/movies.parquet.
    """
    wanted = set(data_set_catalogue(data_root, name))
    path = Path(data_root) / "corpus" / "movies.parquet"
    found: dict[ItemId, Item] = {}
    for item in corpus_items(path):
        if item.id in wanted:
            found[item.id] = item
            if len(found) == len(wanted):
                break
    if missing := wanted - found.keys():
        raise InputError(f"{str(path)!r} lacks the item {min(missing)!r} of {name!r}; are both from one release?")
    return [found[item] for item in data_set_catalogue(data_root, name)]
