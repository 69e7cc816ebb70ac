"""An embedder without a model: texts that share words are close."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from rarec.embed.protocol import Kind, Progress
from rarec.errors import InputError

_WORD = re.compile(r"\w+")
_NO_WORDS = "\0"
_REPORT_EVERY = 1000


class HashEmbedder:
    """Sums one fixed random vector of +1 and -1 per word, drawn from a hash of the word, weighted 1 + log(count).

    The cosine of two texts is about the share of words that they have in common. Nothing is learned or loaded; the same
    text gives the same bytes in every process and in every batch. Queries and documents are treated alike.
    """

    def __init__(self, dimension: int = 64) -> None:
        if dimension < 1:
            raise InputError(f"dimension must be >= 1, got {dimension!r}; 64 tells small catalogues apart")
        self._dimension = dimension

    @property
    def name(self) -> str:
        return f"hash-words-v1-{self._dimension}"

    @property
    def dimension(self) -> int:
        return self._dimension

    def embed(
        self,
        texts: Sequence[str],
        *,
        kind: Kind = "document",  # noqa: ARG002
        progress: Progress | None = None,
    ) -> NDArray[np.float32]:
        """Unit vectors, shape (len(texts), dimension); a text without words gives one fixed vector."""
        rows = np.empty((len(texts), self._dimension), dtype=np.float32)
        for at, text in enumerate(texts):
            rows[at] = hash_vector(text, dimension=self._dimension)
            if progress is not None and ((at + 1) % _REPORT_EVERY == 0 or at + 1 == len(texts)):
                progress(at + 1, len(texts))
        return rows


def hash_vector(text: str, *, dimension: int) -> NDArray[np.float32]:
    """The unit vector of one text, shape (dimension,)."""
    counts = Counter(_WORD.findall(text.casefold()))
    total = np.zeros(dimension, dtype=np.float64)
    for word, count in sorted(counts.items()):
        total += (1.0 + np.log(count)) * _signs(word, dimension)
    if not total.any():  # no words, or words that cancel out
        total += _signs(_NO_WORDS, dimension)
    return (total / np.linalg.norm(total)).astype(np.float32)


@lru_cache(maxsize=50_000)
def _signs(word: str, dimension: int) -> NDArray[np.float64]:
    """A vector of +1 and -1 from 512 bits of hash at a time."""
    data = word.encode("utf-8", "surrogatepass")
    blocks = [
        hashlib.blake2b(data, digest_size=64, salt=block.to_bytes(16, "little")).digest()
        for block in range(-(-dimension // 512))
    ]
    bits = np.unpackbits(np.frombuffer(b"".join(blocks), dtype=np.uint8))[:dimension]
    signs = bits.astype(np.float64) * 2.0 - 1.0
    signs.setflags(write=False)
    return signs
