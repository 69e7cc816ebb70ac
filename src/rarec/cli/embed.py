"""`rarec embed`."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rarec.cli.command import Interrupted, command
from rarec.cli.console import out, print_json
from rarec.cli.options import STORE, AsJson, Store
from rarec.cli.progress import counting
from rarec.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from rarec.embed import CachedEmbedder
    from rarec.progress import OnProgress

STREAM_CHUNK = 2000
"""Texts whose vectors are in memory at one time."""


@command
def embed(
    store: Store = STORE,
    seed_texts: Annotated[
        Path | None, typer.Option(metavar="FILE.parquet", help="Texts, in a column named text, of --seed-vectors.")
    ] = None,
    seed_vectors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npy", help="Vectors that the same embedder made elsewhere, one a text; a sample is checked."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Embed the items that have no vector yet.

    Answering embeds what is missing by itself; this does it beforehand and shows how far it is, as rarec import --embed
    does for one file. Vectors are kept as they are made: after Ctrl-C or a crash the same command goes on where it was.
    Ready vectors can be taken over with --seed-texts and --seed-vectors.

    Example: rarec embed --seed-texts texts.parquet --seed-vectors minilm_f16.npy
    """
    if (seed_texts is None) != (seed_vectors is None):
        raise InputError("--seed-texts and --seed-vectors go together; give both or none")
    from rarec.assembly import cached_embedder
    from rarec.catalogue import CatalogueStore
    from rarec.embed.tokens import tokens_of
    from rarec.settings import StorePaths, read_settings

    paths, settings = StorePaths(store), read_settings(store)
    with (
        CatalogueStore.open(paths.catalogue) as catalogue,
        cached_embedder(paths, settings) as embedder,
    ):
        seeded = 0
        if seed_texts is not None and seed_vectors is not None:
            seeded = _seed(embedder, seed_texts, seed_vectors)
        layout = catalogue.layout
        tokens = tokens_of(embedder) if layout.max_tokens else None
        count = len(catalogue)
        embedded = embed_texts(embedder, (layout.render(item, tokens) for item in catalogue), count)
        name = embedder.name
    if as_json:
        print_json({"items": count, "embedded": embedded, "seeded": seeded, "embedder": name})
        return
    taken = f", {seeded:,} vectors taken over" if seeded else ""
    out().print(f"{count:,} items have a vector, {embedded:,} of them new{taken}. Embedder: {name}")


def embed_texts(embedder: CachedEmbedder, texts: Iterable[str], total: int) -> int:
    """Embed what is missing of so many texts, under a bar; how many that was."""
    with counting("Embedding items", unit="texts") as progress:

        def tell(_stage: str, done: int, of: int, _text: str) -> None:
            progress(done, of)

        try:
            return embed_stream(embedder, texts, total=total, tell=tell)
        except KeyboardInterrupt:
            raise Interrupted("What was embedded is kept; run the same command again to go on.") from None


def embed_stream(embedder: CachedEmbedder, texts: Iterable[str], *, total: int, tell: OnProgress) -> int:
    """Embed what is missing, some texts at a time, so that neither texts nor vectors are all in memory; how many."""
    done = new = 0
    coming = iter(texts)
    tell("Embed", 0, total, "")
    while chunk := list(islice(coming, STREAM_CHUNK)):
        fresh = 0

        def progress(had: int, of: int, before: int = done, size: int = len(chunk)) -> None:
            nonlocal fresh
            fresh = had
            tell("Embed", before + size - of + had, total, "")

        embedder.embed(chunk, progress=progress)
        done += len(chunk)
        new += fresh
        tell("Embed", done, total, "")
    return new


def _seed(embedder: CachedEmbedder, texts: Path, vectors: Path) -> int:
    import numpy as np

    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise MissingExtra.of("pyarrow", "train", "reading --seed-texts") from None
    try:
        rows = parquet.read_table(texts, columns=["text"])["text"].to_pylist()
    except FileNotFoundError:
        raise InputError(f"no file {str(texts)!r}; --seed-texts is a Parquet file with a column 'text'") from None
    except (OSError, ArrowException, KeyError) as error:
        raise InputError(f"cannot read {str(texts)!r}: {error}; it must be Parquet with a column 'text'") from error
    try:
        matrix = np.load(vectors, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"cannot read {str(vectors)!r}: {error}; --seed-vectors is a .npy file") from error
    if matrix.ndim != 2 or not np.issubdtype(matrix.dtype, np.floating):
        raise InputError(
            f"{str(vectors)!r} holds {matrix.dtype} of shape {matrix.shape}; give one row of floats a text"
        )
    return embedder.import_vectors(rows, matrix)
