"""What every embedder does to texts on the way in and to vectors on the way out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rarec.errors import EmbedderError, InputError


def checked_texts(texts: Sequence[str]) -> list[str]:
    """The texts as a list of strings that can be encoded as UTF-8; a lone surrogate becomes a question mark.

    Raises:
        InputError: a string stands where a list of strings belongs, or an entry is no string.
    """
    if isinstance(texts, str):
        raise InputError(f"embed takes a list of texts, got the string {texts[:40]!r}; put it in a list")
    clean = []
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"text number {place} is {text!r}, not a string")
        clean.append(text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8"))
    return clean


def longest_first(texts: Sequence[str], size: int) -> Iterator[list[int]]:
    """Places of the texts in chunks of `size`, texts of similar length together, so that little is padded."""
    order = sorted(range(len(texts)), key=lambda place: -len(texts[place]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def unit_rows(vectors: NDArray[np.floating], *, source: str) -> NDArray[np.float32]:
    """The rows at length 1.

    Raises:
        EmbedderError: a row is zero or not finite.
    """
    exact = np.asarray(vectors, dtype=np.float64)
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    good = np.isfinite(lengths) & (lengths > 0)
    if not good.all():
        raise EmbedderError(
            f"{source} gave a vector of length {float(lengths[~good][0])!r}; its weights or its answer are damaged"
        )
    unit: NDArray[np.float32] = (exact / lengths).astype(np.float32)
    return unit
