"""Items mentioned together with those of the conversation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from rarec.evaluate.baselines.mentions import FoldInSystem, indicator
from rarec.evaluate.systems import Scores
from rarec.types import Conversation, Item, ItemId


class CoOccurrence(FoldInSystem):
    """In how many training conversations an item occurs with each item of the context, summed over the context.

    Equal sums, and conversations without a known item, fall back to popularity in training (as many
    conversations as mention the item), then to the catalogue's popularity.

    Raises:
        MissingExtra: scipy is not installed.
    """

    def __init__(
        self, items: Sequence[Item], conversations: Iterable[Conversation], *, mentioned: Collection[ItemId] = ()
    ) -> None:
        super().__init__("co-occurrence", items, conversations, mentioned)
        seen = self.mentions.matrix()
        self._together = (seen.T @ seen).tocsr()
        self._together.setdiag(0.0)
        counts = self.mentions.counts
        # Less than the smallest difference between two sums, so it orders equal sums only.
        self._fallback = counts / (counts.max(initial=0.0) + 1.0)

    def folded(self, contexts: Sequence[Sequence[int]]) -> Scores:
        sums = indicator(contexts, len(self._fallback)) @ self._together
        return np.asarray(sums.toarray() + self._fallback, np.float32)
