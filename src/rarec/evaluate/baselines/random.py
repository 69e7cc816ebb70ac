"""Chance."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from rarec.conversations import Example
from rarec.evaluate.systems import ScoredSystem, Scores
from rarec.types import Item


class Random(ScoredSystem):
    """A random order for each example, derived from `seed` and the example's id, so batches do not matter."""

    def __init__(self, items: Sequence[Item], *, seed: int = 0) -> None:
        super().__init__("random", items)
        self._seed = seed

    def scores(self, examples: Sequence[Example]) -> Scores:
        scores = np.empty((len(examples), len(self.ids)), np.float32)
        for row, example in zip(scores, examples, strict=True):
            self._generator(example).random(dtype=np.float32, out=row)
        return scores

    def _generator(self, example: Example) -> np.random.Generator:
        digest = hashlib.sha256(f"{self._seed}/{example.id}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:8], "little"))
