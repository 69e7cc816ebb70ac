"""The film data sets: MovieLens 1M, ReDial and INSPIRED, with a corpus of films around them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rarec.catalogue import load_layout
from rarec.catalogue.sources.corpus import corpus_items
from rarec.conversations import DIALOGUE_SETS, data_set_catalogue, read_ml1m, read_split
from rarec.embed.cache import CachedEmbedder
from rarec.errors import InputError
from rarec.progress import OnProgress
from rarec.retriever.data import ItemTable
from rarec.retriever.features import PopularityScale
from rarec.training.material import Material, Talks, sequence_of


def film_material(
    data: Path,
    embedder: CachedEmbedder,
    tell: OnProgress,
    *,
    visits: Mapping[str, int],
    hold_back: float,
    talks: bool = True,
) -> Material:
    """The corpus items that have a text or occur in a data set, embedded, with interactions and conversations.

    Args:
        data: folder with corpus/, mapping/, movielens/, redial/ and inspired/; embeddings/ may be there.
        visits: data set -> how often an epoch visits each of its conversations; 1 if not named.
        hold_back: share of the training conversations that is left out.
        talks: whether to read the conversations.
    Raises:
        InputError: a file is missing or wrong.
    """
    catalogues = {name: data_set_catalogue(data, name) for name in DIALOGUE_SETS}
    people = list(read_ml1m(data / "movielens" / "ml1m_ratings.parquet"))
    # Read before the long part, so that a missing file is not found out after it.
    read = film_talks(data, visits=visits, hold_back=hold_back) if talks else None
    wanted = {i for ids in catalogues.values() for i in ids} | {i for person in people for i in person.items}
    everything = list(corpus_items(data / "corpus" / "movies.parquet"))
    scale = PopularityScale([i.popularity for i in everything])
    items = [i for i in everything if i.text or i.id in wanted]
    seed_embeddings(embedder, data / "embeddings")
    layout = load_layout("film")
    texts = [layout.render(i) for i in items]
    vectors = embedder.embed(texts, progress=lambda done, total: tell("embed items", done, total, ""))
    table = ItemTable.of(items, vectors, scale=scale)
    rows = {name: np.array([table.rows[i] for i in ids], dtype=np.int64) for name, ids in catalogues.items()}
    return Material(
        items,
        table,
        catalogues=rows,
        candidates=np.unique(np.concatenate(list(rows.values()))),
        people=[sequence_of(person, table) for person in people],
        talks=read,
    )


def film_talks(data: Path, *, visits: Mapping[str, int], hold_back: float) -> Talks:
    """The conversations of ReDial and INSPIRED. Raises InputError if a split is missing or a line is wrong."""
    training, valid = ({name: read_split(data, name, split) for name in DIALOGUE_SETS} for split in ("train", "valid"))
    return Talks.of(training, valid, hold_back=hold_back, visits=visits)


def seed_embeddings(embedder: CachedEmbedder, folder: Path) -> None:
    """Take over ready vectors (texts.parquet, minilm_f16.npy) if the folder has them."""
    if not (folder / "texts.parquet").exists():
        return
    import pyarrow.parquet as parquet

    texts = parquet.read_table(folder / "texts.parquet", columns=["text"])["text"].to_pylist()
    try:
        vectors = np.load(folder / "minilm_f16.npy", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{str(folder)!r} has texts.parquet but no readable minilm_f16.npy: {error}; add it, or remove the folder"
        ) from error
    embedder.import_vectors(texts, vectors)
