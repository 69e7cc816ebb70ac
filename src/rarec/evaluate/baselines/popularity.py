"""The items that training conversations mention most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from rarec.conversations import Example
from rarec.evaluate.systems import ScoredSystem, Scores
from rarec.types import Conversation, Item


class Popularity(ScoredSystem):
    """The same list for everyone: by mentions in training, equal counts by the catalogue's popularity."""

    def __init__(self, items: Sequence[Item], conversations: Iterable[Conversation]) -> None:
        super().__init__("popularity", items)
        counts = Counter(mention.item for conversation in conversations for mention in conversation.mentions())
        self._counts = np.array([counts[item] for item in self.ids], np.float32)

    def scores(self, examples: Sequence[Example]) -> Scores:
        return np.tile(self._counts, (len(examples), 1))
