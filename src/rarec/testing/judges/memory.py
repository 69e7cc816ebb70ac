"""What a simulated judge remembers of a catalogue from before the request, and from when on it remembers nothing."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from rarec.catalogue.folding import folded_words
from rarec.catalogue.text import item_text
from rarec.errors import InputError
from rarec.testing.embedder import HashEmbedder
from rarec.types import Item, ItemId

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

UNKNOWN = -1
"""The row of an item that the judge does not remember."""

_OWN_DIMENSION = 256
_PAIRS = 4000


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """Popularity, words and vectors of the items that the judge knows by heart, row by row.

    What a request shows of an item is not memory: a judge without memory still reads attributes and years there.

    Attributes:
        rows: id -> row of the items that it knows.
        popularity: share of the catalogue that is less popular, ties halved, from 0 to 1, shape (n,).
        vectors: unit rows, shape (n, d).
        centre, spread: mean and standard deviation of the cosine of two items drawn at random.
        vocabulary: word -> number; `rarity` holds for each number how telling it is, from 0 (in every item) to 1.
        words, starts: the words of row i are ``words[starts[i]:starts[i + 1]]``.
    """

    rows: Mapping[ItemId, int]
    popularity: Floats
    vectors: NDArray[np.float32]
    centre: float
    spread: float
    vocabulary: Mapping[str, int]
    rarity: Floats
    words: NDArray[np.int32]
    starts: NDArray[np.int64]

    @staticmethod
    def of(items: Sequence[Item], *, vectors: NDArray[np.float32] | None = None, until: int | None = None) -> Memory:
        """Learn a catalogue by heart; no items give a memory of nothing.

        Args:
            vectors: embeddings of the items in the same order, shape (len(items), d), of any length. None takes
                vectors in which items are close that share words of title, attributes and text.
            until: the last year of which it knows anything: later items leave no trace. Items without a year stay.
        Raises:
            InputError: an item comes twice, or `vectors` has another number of rows or is not finite.
        """
        if len(ids := {item.id for item in items}) < len(items):
            raise InputError(f"{len(items) - len(ids)} of {len(items)} items come twice; give every item once")
        if vectors is not None and (vectors.ndim != 2 or len(vectors) != len(items)):
            raise InputError(f"vectors have the shape {vectors.shape!r} for {len(items)} items; give one row an item")
        if vectors is not None and not np.isfinite(vectors).all():
            raise InputError("vectors have values that are not finite; embed the items again")
        if until is not None:
            kept = [at for at, item in enumerate(items) if item.year is None or item.year <= until]
            items, vectors = [items[at] for at in kept], None if vectors is None else vectors[kept]
        if vectors is None:
            vectors = HashEmbedder(_OWN_DIMENSION).embed([item_text(item) for item in items])
        units = _units(vectors)
        centre, spread = _cosines(units)
        vocabulary, rarity, words, starts = _words(items)
        return Memory(
            rows={item.id: row for row, item in enumerate(items)},
            popularity=_shares(items),
            vectors=units,
            centre=centre,
            spread=spread,
            vocabulary=vocabulary,
            rarity=rarity,
            words=words,
            starts=starts,
        )

    def rows_of(self, items: Sequence[Item]) -> Rows:
        """The row of each item, or `UNKNOWN`, shape (len(items),)."""
        return np.array([self.rows.get(item.id, UNKNOWN) for item in items], dtype=np.intp)

    def affinity(self, rows: Rows, others: Rows, weights: Floats) -> Floats:
        """How close remembered items are to others, in standard deviations above two random items, shape (len(rows),).

        Cosines to the others are averaged with the weights (over the sum of their sizes, so a negative one counts
        against). Zeros without others.
        """
        total = float(np.abs(weights).sum())
        if not len(others) or total == 0:
            return np.zeros(len(rows))
        # Not a matrix product: that may round the same pair differently in other company.
        own, theirs = self.vectors[rows].astype(np.float64), self.vectors[others].astype(np.float64)
        cosines = np.einsum("rd,od->ro", own, theirs, optimize=False)
        sums: Floats = ((cosines - self.centre) / self.spread * (weights / total)).sum(axis=1)
        return sums

    def match(self, rows: Rows, words: Collection[str]) -> Floats:
        """How much of remembered items is in some words: log(1 + sum of the rarities of the common words)."""
        asked = np.zeros(len(self.rarity))
        numbers = [number for word in words if (number := self.vocabulary.get(word)) is not None]
        asked[numbers] = self.rarity[numbers]
        sums = [asked[self.words[self.starts[row] : self.starts[row + 1]]].sum() for row in rows]
        return np.log1p(np.array(sums, dtype=np.float64))


def _units(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    if not len(vectors):
        return np.zeros((0, 1), dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _cosines(units: NDArray[np.float32]) -> tuple[float, float]:
    """Mean and deviation over the same random pairs for the same number of items; (0, 1) for fewer than two."""
    n = len(units)
    if n < 2:
        return 0.0, 1.0
    rng = np.random.default_rng(n)
    left = rng.integers(0, n, _PAIRS)
    right = (left + rng.integers(1, n, _PAIRS)) % n  # never the same item
    cosines = np.einsum("pd,pd->p", units[left].astype(np.float64), units[right].astype(np.float64))
    return float(cosines.mean()), float(cosines.std()) or 1.0


def _shares(items: Sequence[Item]) -> Floats:
    own = np.array([item.popularity for item in items], dtype=np.float64)
    ordered = np.sort(own)
    below, upto = np.searchsorted(ordered, own, side="left"), np.searchsorted(ordered, own, side="right")
    shares: Floats = (below + upto) / (2 * max(1, len(own)))
    return shares


def _words(items: Sequence[Item]) -> tuple[dict[str, int], Floats, NDArray[np.int32], NDArray[np.int64]]:
    vocabulary: dict[str, int] = {}
    each: list[list[int]] = []
    for item in items:
        own = dict.fromkeys(folded_words(f"{item.title} {item.text}"))
        each.append([vocabulary.setdefault(word, len(vocabulary)) for word in own])
    words = np.fromiter(chain.from_iterable(each), dtype=np.int32)
    starts = np.concatenate([[0], np.cumsum([len(own) for own in each], dtype=np.int64)]).astype(np.int64)
    found_in = np.bincount(words, minlength=len(vocabulary)).astype(np.float64)
    most = math.log(len(items)) if len(items) > 1 else 1.0
    return vocabulary, np.log(len(items) / found_in) / most if items else found_in, words, starts
