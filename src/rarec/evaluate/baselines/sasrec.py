"""The next mentioned item from those before it, by self-attention."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from rarec.errors import InputError, MissingExtra
from rarec.evaluate.baselines.mentions import FoldInSystem, Mentions, above_zero
from rarec.evaluate.systems import Scores
from rarec.types import Conversation, Item, ItemId


class SASRec(FoldInSystem):
    """Self-attention over the items of the context in the order of their first mention.

    The library `cornac` trains it on the mentioned items of the training conversations, each prefix predicting the
    item that follows, by cross-entropy over sampled items. It reads neither words nor who mentioned an item. The
    defaults did best on ReDial's validation conversations: NDCG@10 .093; after 40 epochs it has overfitted to .084.

    Args:
        seed: of the initial weights, dropout, order and samples; PyTorch's own generator is left as it was.
        width: of item vectors and states.
        samples: items against which each batch is scored.
        max_items: how many of the last items are read.
    Raises:
        InputError: an argument is out of range.
        MissingExtra: cornac or torch is not installed.
    Source: Kang and McAuley 2018, "Self-attentive sequential recommendation".
    """

    def __init__(
        self,
        items: Sequence[Item],
        conversations: Iterable[Conversation],
        *,
        mentioned: Collection[ItemId] = (),
        seed: int = 0,
        epochs: int = 10,
        width: int = 64,
        dropout: float = 0.5,
        learning_rate: float = 0.001,
        samples: int = 2048,
        max_items: int = 10,
    ) -> None:
        super().__init__("sasrec", items, conversations, mentioned)
        for name, value in (("epochs", epochs), ("width", width), ("samples", samples), ("max_items", max_items)):
            if value < 1:
                raise InputError(f"{name} must be at least 1, got {value!r}")
        self._max_items = max_items
        self._model: Any = None
        if any(len(sequence) > 1 for sequence in self.mentions.sequences):
            self._model = _trained(
                self.mentions,
                seed=seed,
                n_epochs=epochs,
                embedding_dim=width,
                dropout=dropout,
                learning_rate=learning_rate,
                n_sample=samples,
                max_len=max_items,
            )

    def folded(self, contexts: Sequence[Sequence[int]]) -> Scores:
        if self._model is None:  # nothing ever followed anything
            return np.zeros((len(contexts), len(self.mentions.columns)), np.float32)
        import torch

        trained = len(self.mentions.columns)
        # Padded at the front with the number after the last item, as the library does.
        read = np.full((len(contexts), self._max_items), trained, np.int64)
        for row, context in enumerate(contexts):
            last = context[-self._max_items :]
            read[row, -len(last) :] = last
        with torch.inference_mode():
            scores = self._model(None, torch.from_numpy(read), torch.arange(trained))
        return above_zero(scores.numpy())


def _trained(mentions: Mentions, *, seed: int, **settings: Any) -> Any:
    """The library's network in evaluation mode: (nothing, histories, items) -> scores."""
    try:
        import torch
        from cornac.data import SequentialDataset
        from cornac.models import SASRec as Library
    except ImportError as error:
        raise MissingExtra.of((error.name or "cornac").partition(".")[0], "bench", "the baseline 'sasrec'") from None
    rows = [(user, item, at) for user, sequence in enumerate(mentions.sequences) for at, item in enumerate(sequence)]
    # The library numbers items as they come; this keeps our numbers.
    numbers = OrderedDict((at, at) for at in range(len(mentions.columns)))
    data = SequentialDataset.build(rows, fmt="SIT", global_iid_map=numbers)
    # The library seeds PyTorch's own generator; the caller's state comes back afterwards.
    with torch.random.fork_rng(devices=[]):
        model = Library(seed=seed, **settings).fit(data)
    return model.model.eval()
