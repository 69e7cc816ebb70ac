"""What was mentioned, again: how far repetition alone gets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rarec.conversations import Example
from rarec.evaluate.systems import ScoredSystem, Scores
from rarec.types import Item


class RepeatContext(ScoredSystem):
    """The items of the conversation, the latest first; the rest of the catalogue by popularity.

    Where repeated targets are left out, so are its items, and what remains is the catalogue's popularity.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        super().__init__("repeat-context", items)

    def scores(self, examples: Sequence[Example]) -> Scores:
        scores = np.zeros((len(examples), len(self.ids)), np.float32)
        for row, example in enumerate(examples):
            for place, mention in enumerate(example.conversation.mentions(), start=1):
                if mention.item in self.columns:
                    scores[row, self.columns[mention.item]] = place
        return scores
