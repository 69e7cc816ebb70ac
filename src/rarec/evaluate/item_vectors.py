"""Vectors of items: those that lie beside the data, and the rest from the embedder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarec.catalogue.text import Layout, item_text
from rarec.conversations.parquet import read_columns
from rarec.embed.protocol import Embedder
from rarec.embed.tokens import tokens_of
from rarec.errors import InputError
from rarec.types import Item

STORED_MODEL = "minilm"
"""What the name of the embedder of stored vectors contains; others do not use them."""


def item_vectors(
    items: Sequence[Item],
    embedder: Embedder,
    *,
    layout: Layout,
    stored: Path,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """A unit vector for each item, shape (items, dimension).

    A stored vector is used where the text that it was made of is, byte for byte, the item's text in this layout.

    Args:
        stored: a folder with ``minilm_f16.npy`` and ``texts.parquet``; it need not exist.
    Raises:
        InputError: the stored files are damaged or do not fit each other.
    """
    if not items:  # else the stored texts would be read for nothing
        return np.empty((0, embedder.dimension), np.float32)
    tokens = tokens_of(embedder) if layout.max_tokens else None
    texts = [item_text(item, layout, tokens) for item in items]
    vectors = np.empty((len(items), embedder.dimension), np.float32)
    missing = list(range(len(items)))
    if STORED_MODEL in embedder.name.casefold() and (stored / "texts.parquet").exists():
        missing = _fill(vectors, texts, stored)
    if missing:
        vectors[missing] = embedder.embed([texts[at] for at in missing], progress=progress)
    return vectors


def check_vectors(what: str, vectors: NDArray[np.float32], items: Sequence[Item], embedder: Embedder) -> None:
    """Raises InputError unless there is a row of the embedder's length for each item; `what` names the vectors."""
    if vectors.shape != (len(items), embedder.dimension):
        raise InputError(
            f"{what} have shape {vectors.shape!r}, {len(items)} items and {embedder.name!r} need "
            f"{(len(items), embedder.dimension)!r}; embed the items with the same embedder"
        )


def _fill(vectors: NDArray[np.float32], texts: Sequence[str], stored: Path) -> list[int]:
    """Fill in the stored rows; gives the places that have none."""
    path = stored / "minilm_f16.npy"
    (known,) = read_columns(stored / "texts.parquet", ("text",), purpose="reading stored vectors")
    try:
        matrix = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}; is the file complete?") from None
    if matrix.shape != (len(known), vectors.shape[1]):
        raise InputError(
            f"{str(path)!r} has shape {matrix.shape!r}, its texts and the embedder need "
            f"{(len(known), vectors.shape[1])!r}; are both files of one release?"
        )
    row = {text: at for at, text in enumerate(known)}
    found = [at for at, text in enumerate(texts) if text in row]
    rows = np.asarray(matrix[[row[texts[at]] for at in found]], np.float32)
    # Kept with half precision: bring them back to length 1.
    vectors[found] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return [at for at, text in enumerate(texts) if text not in row]
