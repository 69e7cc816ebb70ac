"""A catalogue of any size for the benchmarks of serving: a real corpus if there is one, padded with invented rows.

Vectors are made without a model, because no benchmark of serving times the embedder: a text gets the direction between
two rows of a pool, chosen by a hash of the text. A pool of real embeddings keeps their distribution, on which the work
after the scan depends; without one it is random directions of decaying spread.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import random
import resource
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarec.catalogue.sources.corpus import corpus_items
from rarec.embed.protocol import Kind, Progress
from rarec.types import Conversation, Item, ItemId, Turn

Floats = NDArray[np.float32]

ROWS = 337_731
POOL = 20_000
SYLLABLES = "ba co du fi gre ha jo ka lu mer no pra qui ro sta tu vel wo xan zo"
WORDS = (
    "something like that with a slow start and people who talk at night by the sea maybe less loud than last time my "
    "sister wants one more about work or a long way home but nothing sad please we have all evening and some tea"
)


class PoolEmbedder:
    """See the module; `name` is given, so that a trained bundle can be used on it."""

    def __init__(self, pool: Floats, name: str) -> None:
        self._pool, self.name = pool, name

    @property
    def dimension(self) -> int:
        return int(self._pool.shape[1])

    def embed(
        self,
        texts: Sequence[str],
        *,
        kind: Kind = "document",  # noqa: ARG002
        progress: Progress | None = None,  # noqa: ARG002
    ) -> Floats:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        digests = b"".join(hashlib.blake2b(t.encode("utf-8", "replace"), digest_size=8).digest() for t in texts)
        places = np.frombuffer(digests, dtype=np.uint32).reshape(-1, 2) % len(self._pool)
        rows: Floats = self._pool[places[:, 0]] + 0.5 * self._pool[places[:, 1]]
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows


def pool(dimension: int, vectors: Path | None, seed: int) -> Floats:
    """Unit rows, shape (POOL or fewer, dimension), of a file of vectors; turned at random if of another length."""
    rng = np.random.default_rng(seed)
    if vectors is None:
        spread = 1 / np.sqrt(1 + np.arange(dimension))
        rows: Floats = (rng.standard_normal((POOL, dimension)) * spread).astype(np.float32)
    else:
        matrix = np.load(vectors, mmap_mode="r", allow_pickle=False)
        rows = matrix[:: max(1, len(matrix) // POOL)].astype(np.float32)
        if rows.shape[1] != dimension:
            rows = rows @ rng.standard_normal((rows.shape[1], dimension)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def catalogue_items(count: int, corpus: Path | None, seed: int) -> Iterator[Item]:
    """The first `count` items of the corpus, then invented ones; all are invented without a corpus."""
    made = 0
    if corpus is not None:
        for item in corpus_items(corpus):
            if made == count:
                return
            made += 1
            yield item
    chosen = random.Random(seed)
    for number in range(made, count):
        yield invented(number, chosen)


def invented(number: int, chosen: random.Random) -> Item:
    """An item like those of the corpus, with a title of two invented words."""
    title = " ".join("".join(chosen.choices(SYLLABLES.split(), k=3)).title() for _ in range(2))
    attributes = {
        "genres": tuple(chosen.sample(("Drama", "Comedy", "Horror", "Romance", "Crime", "Family"), 2)),
        "directors": (f"Director {chosen.randrange(20_000)}",),
        "cast": tuple(f"Player {chosen.randrange(60_000)}" for _ in range(4)),
    }
    plot = " ".join(chosen.choices(WORDS.split(), k=60))
    return Item(ItemId(f"invented-{number}"), title, plot, chosen.randint(1930, 2025), attributes, chosen.random())


def talk(titles: Sequence[str], messages: int, seed: int) -> Conversation:
    """So many messages of some twenty words, the last by the user; half of them name a title."""
    chosen = random.Random(seed)
    turns = []
    for number in range(messages):
        words = chosen.choices(WORDS.split(), k=chosen.randint(12, 28))
        if number % 4 < 2:
            words.insert(chosen.randrange(len(words)), chosen.choice(titles))
        turns.append(Turn("assistant" if (messages - number) % 2 == 0 else "user", " ".join(words) + "."))
    return Conversation(tuple(turns))


def memory_mb(peak: bool = False) -> float:
    """Resident memory of this process, now or at its highest, in MB (1e6 bytes); now is Linux only."""
    if peak:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * resource.getpagesize() / 1e6


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that the benchmarks of serving have in common."""
    parser.add_argument("--rows", type=int, default=ROWS, help="items in the catalogue")
    parser.add_argument("--corpus", type=Path, help="movies.parquet; padded to --rows with invented items")
    parser.add_argument("--vectors", type=Path, help=".npy of real embeddings to draw vectors from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
