"""Which items of the corpus belong to a data set of films, by the tables of mapping/."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from rarec.catalogue.sources.corpus import corpus_items
from rarec.conversations.parquet import read_columns, read_table
from rarec.errors import InputError
from rarec.types import Item, ItemId


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
    path = Path(data_root) / "corpus" / "movies.parquet"
    return items_of_corpus(path, data_set_catalogue(data_root, name), name=name)


def items_of_corpus(path: Path, ids: Collection[ItemId], *, name: str) -> list[Item]:
    """These items of the corpus, in the order of `ids`.

    Raises:
        InputError: the file is missing, or lacks one of them; `name` says whose it is.
    """
    found = {item.id: item for item in corpus_items(path, ids=ids)}
    if missing := set(ids) - found.keys():
        raise InputError(f"{str(path)!r} lacks the item {min(missing)!r} of {name!r}; are both from one release?")
    return [found[item] for item in ids]


def corpus_size(path: Path) -> int:
    """How many items a corpus file has; only its ids are read."""
    return len(read_table(path, ("id",), purpose="reading the movie corpus"))


def mapped_entities(crs_items: Path, data_set: str, *, column: str) -> dict[str, ItemId]:
    """Entity -> item, of the rows of one data set that are mapped; `column` holds the entity."""
    data_sets, entities, ids = read_columns(
        crs_items, ("dataset", column, "corpus_id"), purpose="reading a data set's vocabulary"
    )
    rows = zip(data_sets, entities, ids, strict=True)
    return {entity: ItemId(str(i)) for name, entity, i in rows if name == data_set and entity and i is not None}


def entity_names(crs_items: Path, data_set: str) -> dict[str, str]:
    """Entity -> its name in the data set, for every entity of one data set, mapped or not."""
    purpose = "reading a data set's vocabulary"
    columns = read_columns(crs_items, ("dataset", "entity_id", "entity_name"), purpose=purpose)
    return {entity: title or "" for name, entity, title in zip(*columns, strict=True) if name == data_set and entity}


def has_entities(crs_items: Path, data_set: str) -> bool:
    """Whether the table is there and has rows of the data set."""
    if not crs_items.is_file():
        return False
    return data_set in read_columns(crs_items, ("dataset",), purpose="reading a data set's vocabulary")[0]


def corpus_ids_by_imdb(corpus: Path) -> dict[str, ItemId]:
    """IMDb id -> item, for the items of the corpus that have one."""
    ids, imdb = read_columns(corpus, ("id", "imdb_id"), purpose="reading the movie corpus")
    return {name: ItemId(str(i)) for i, name in zip(ids, imdb, strict=True) if name}


def corpus_ids_by_title(corpus: Path) -> dict[tuple[str, int | None], ItemId]:
    """(title without case, year) -> the most popular item of that name in the corpus."""
    columns = read_columns(corpus, ("id", "title", "year"), purpose="reading the movie corpus")
    found: dict[tuple[str, int | None], ItemId] = {}
    for i, title, year in zip(*columns, strict=True):
        found.setdefault((title.casefold(), year), ItemId(str(i)))  # the corpus begins with the most popular
    return found
