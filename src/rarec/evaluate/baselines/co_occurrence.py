"""Items mentioned together with those of the conversation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from rarec.conversations import Example
from rarec.evaluate.systems import ScoredSystem, Scores
from rarec.types import Conversation, Item


class CoOccurrence(ScoredSystem):
    """In how many training conversations an item occurs with each item of the context, summed over the context.

    Equal sums, and conversations without a known item, fall back to popularity in training (as many
    conversations as mention the item), then to the catalogue's popularity.
    """

    def __init__(self, items: Sequence[Item], conversations: Iterable[Conversation]) -> None:
        super().__init__("co-occurrence", items)
        self._together = np.zeros((len(self.ids), len(self.ids)), np.float32)
        for conversation in conversations:
            columns = sorted({self.columns[m.item] for m in conversation.mentions() if m.item in self.columns})
            self._together[np.ix_(columns, columns)] += 1.0
        occurrences = self._together.diagonal().copy()
        np.fill_diagonal(self._together, 0.0)
        # Less than the smallest difference between two sums, so it orders equal sums only.
        self._fallback = occurrences / (occurrences.max(initial=0.0) + 1.0)

    def scores(self, examples: Sequence[Example]) -> Scores:
        return np.asarray(self.context_matrix(examples) @ self._together + self._fallback, np.float32)
