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
        rows = [self._generator(example).random(len(self.ids), np.float32) for example in examples]
        return np.array(rows, np.float32).reshape(len(examples), len(self.ids))

    def _generator(self, example: Example) -> np.random.Generator:
        digest = hashlib.sha256(f"{self._seed}/{example.id}".encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:8], "little"))
