"""A linear autoencoder over items with a closed form."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from rarec.errors import InputError, MissingExtra
from rarec.evaluate.baselines.mentions import FoldInSystem, Mentions, above_zero, indicator
from rarec.evaluate.systems import Scores
from rarec.types import Conversation, Item, ItemId


class EASE(FoldInSystem):
    """Each item is predicted from the others by ridge regression over the training conversations.

    The library `cornac` solves it. It needs about 32 bytes x trained items squared while it does, so only the
    `max_items` items that most conversations mention take part; the others follow by popularity.

    Args:
        regularisation: added to the diagonal of the Gram matrix, > 0. The default did best on ReDial's validation
            conversations (10 to 1000 tried), where it matters little from 30 on.
    Raises:
        InputError: an argument is out of range.
        MissingExtra: cornac or scipy is not installed.
    Source: Steck 2019, "Embarrassingly shallow autoencoders for sparse data", eq. 8.
    """

    def __init__(
        self,
        items: Sequence[Item],
        conversations: Iterable[Conversation],
        *,
        mentioned: Collection[ItemId] = (),
        regularisation: float = 60.0,
        max_items: int = 10_000,
    ) -> None:
        super().__init__("ease", items, conversations, mentioned)
        if not regularisation > 0:
            raise InputError(f"regularisation must be above 0, got {regularisation!r}; 100 is a usual start")
        if max_items < 1:
            raise InputError(f"max_items must be at least 1, got {max_items!r}")
        self._kept = np.sort(np.argsort(-self.mentions.counts, kind="stable")[:max_items])
        self._place = {int(trained): at for at, trained in enumerate(self._kept)}
        self._weights = _weights(self.mentions, self._place, regularisation)

    def folded(self, contexts: Sequence[Sequence[int]]) -> Scores:
        rows = [[self._place[i] for i in context if i in self._place] for context in contexts]
        found = np.zeros((len(contexts), len(self.mentions.columns)), np.float32)
        known = np.flatnonzero([bool(row) for row in rows])
        if len(known):
            scores = indicator([rows[row] for row in known], len(self._kept)) @ self._weights
            found[np.ix_(known, self._kept)] = above_zero(scores)
        return found


def _weights(mentions: Mentions, place: dict[int, int], regularisation: float) -> Scores:
    """Item-item weights over the items that have a place, shape (kept, kept): column j predicts item j."""
    try:
        from cornac.data import Dataset
        from cornac.models import EASE as Library
    except ImportError:
        raise MissingExtra.of("cornac", "bench", "the baseline 'ease'") from None
    if not place:
        return np.zeros((0, 0), np.float32)
    rows = [
        (str(user), place[item], 1.0)
        for user, sequence in enumerate(mentions.sequences)
        for item in sequence
        if item in place
    ]
    # The library numbers items as they come; this keeps our numbers.
    numbers = OrderedDict((at, at) for at in range(len(place)))
    data = Dataset.build(rows, global_iid_map=numbers)
    model = Library(lamb=regularisation, posB=False, verbose=False).fit(data)
    return np.asarray(model.B, np.float32)
