"""Scores of a retriever for turns, with gradient: the policy before it draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rarec.align.associated import AssociatedTurns
from rarec.align.turns import Stock, TokenisedTurn
from rarec.retriever.model import Retriever, Tokens
from rarec.retriever.sequence import ITEM, by_length
from rarec.retriever.tasks import FinetuneConfig, hide, hide_features, pad, tokens

_BATCH = 32


@contextmanager
def reproducible() -> Iterator[None]:
    """The same bits each time, whatever the number of threads does to sums of gradients."""
    before, warn = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn)


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Scores of some rows of the stock's table for a batch.

    Attributes:
        scores: shape (B, rows in play).
        place: row of the table -> its column of `scores`.
    """

    scores: Tensor
    place: Tensor

    def of(self, rows: Tensor) -> Tensor:
        """Scores of each turn's own rows, shape (B, M) -> (B, M)."""
        return self.scores.gather(1, self.place[rows])

    def all(self, rows: Tensor) -> Tensor:
        """Scores of the same rows for every turn, shape (R,) -> (B, R)."""
        return self.scores.index_select(1, self.place[rows])


class Scorer:
    """A retriever with the tables that it reads.

    Dropout is off (the policy that draws is the one that learns) but in `forward` with `hiding`.

    Args:
        messages: embeddings, shape (m, text_dimension), as in `TurnData`.
        learn_items: whether gradients reach the item tower. Item vectors move through it alone, all together.
        bonuses: of the model's associations; None makes them. Copies of a model share them.
    """

    def __init__(
        self,
        model: Retriever,
        stock: Stock,
        messages: Tensor,
        *,
        learn_items: bool = True,
        bonuses: AssociatedTurns | None = None,
    ) -> None:
        self.model, self.stock = model, stock
        self._messages, self._learn_items = messages, learn_items
        self.bonuses = bonuses or AssociatedTurns(model.associations, stock)
        """Beside the scores of turns: one call serves all scorers of a model and its copies."""

    def project(self) -> Tensor:
        """Vectors of the catalogue's items by the weights as they are, shape (items, width + 1), no gradient."""
        self.model.eval()
        with torch.no_grad():
            parts = [self.model.items(part) for part in torch.split(self.stock.table.features[: len(self.stock)], 8192)]
        return torch.cat(parts)

    def queries(self, turns: Sequence[TokenisedTurn]) -> Tensor:
        """Of turns by the weights as they are, shape (B, width + 1), no gradient."""
        self.model.eval()
        with torch.no_grad():
            return self._by_length(turns, self._queries)

    def scores(
        self,
        turns: Sequence[TokenisedTurn],
        vectors: Tensor,
        *,
        queries: Tensor | None = None,
        bonuses: Tensor | None = None,
    ) -> Tensor:
        """Of the catalogue's items, shape (B, items), no gradient.

        Args:
            vectors: of the items, as from `project`.
            queries, bonuses: of the turns, where they are there already.
        """
        products = (self.queries(turns) if queries is None else queries) @ vectors.T
        added = self.bonuses(turns) if bonuses is None else bonuses
        return products if added is None else products + added[:, : len(vectors)]

    def forward(
        self,
        turns: Sequence[TokenisedTurn],
        rows: Tensor,
        *,
        hiding: torch.Generator | None = None,
        bonuses: Tensor | None = None,
    ) -> Scored:
        """Scores with gradient.

        Args:
            rows: of the table, that are scored, any shape.
            hiding: train as fine-tuning does without noise, with dropout and hidden tokens and features drawn from it.
            bonuses: of the turns, where they are there already.
        """
        used = torch.unique(torch.cat([rows.flatten(), *(_mentioned(turn.tokens.codes) for turn in turns)]))
        self.model.train(hiding is not None)
        with _dropout_from(hiding):
            features = self.stock.table.features[used]
            vectors = self._vectors(features if hiding is None else hide_features(features, hiding))
            place = torch.zeros(len(self.stock.table), dtype=torch.long)
            place[used] = torch.arange(len(used))

            def some(part: Sequence[TokenisedTurn]) -> Tensor:
                codes = pad([turn.tokens for turn in part])
                if hiding is not None:
                    hide(codes, FinetuneConfig(), hiding)
                return self._last(part, tokens(codes, vectors, place, self._messages))

            queries = self._by_length(turns, some)
        self.model.eval()
        scores = queries @ vectors.T
        added = self.bonuses(turns) if bonuses is None else bonuses
        return Scored(scores if added is None else scores + added[:, used], place)

    def _queries(self, turns: Sequence[TokenisedTurn]) -> Tensor:
        codes = pad([turn.tokens for turn in turns])
        used = torch.unique(torch.cat([torch.zeros(1, dtype=torch.long), _mentioned(codes)]))
        place = torch.zeros(len(self.stock.table), dtype=torch.long)
        place[used] = torch.arange(len(used))
        vectors = self.model.items(self.stock.table.features[used])
        return self._last(turns, tokens(codes, vectors, place, self._messages))

    def _last(self, turns: Sequence[TokenisedTurn], padded: Tokens) -> Tensor:
        last = torch.tensor([turn.tokens.codes.shape[1] - 1 for turn in turns])
        found: Tensor = self.model.queries(padded)[last, torch.arange(len(turns))]
        return found

    def _by_length(
        self, turns: Sequence[TokenisedTurn], queries: Callable[[Sequence[TokenisedTurn]], Tensor]
    ) -> Tensor:
        """Queries in the order of the turns."""
        if not turns:
            return torch.empty(0, self.model.config.width + 1)
        batches = list(by_length([turn.tokens.codes.shape[1] for turn in turns], _BATCH))
        found = torch.cat([queries([turns[at] for at in places]) for places in batches])
        return found[torch.tensor([at for places in batches for at in places]).argsort()]

    def _vectors(self, features: Tensor) -> Tensor:
        if self._learn_items:
            return self.model.items(features)
        with torch.no_grad():
            return self.model.items(features)


def _mentioned(codes: NDArray[np.int64] | Tensor) -> Tensor:
    return torch.as_tensor(codes[3][codes[0] == ITEM])


@contextmanager
def _dropout_from(generator: torch.Generator | None) -> Iterator[None]:
    """Dropout draws from torch's global generator; it is seeded for this block only and put back."""
    if generator is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        yield


def seen_mask(turns: Sequence[TokenisedTurn], items: int) -> Tensor:
    """Where an item of the catalogue was mentioned before, bool, shape (B, items)."""
    return _marked(turns, items, lambda turn: turn.seen_rows)


def truth_mask(turns: Sequence[TokenisedTurn], items: int) -> Tensor:
    """Where an item of the catalogue is what was recommended, bool, shape (B, items)."""
    return _marked(turns, items, lambda turn: turn.truth_rows)


def _marked(turns: Sequence[TokenisedTurn], items: int, rows: Callable[[TokenisedTurn], tuple[int, ...]]) -> Tensor:
    mask = torch.zeros(len(turns), items, dtype=torch.bool)
    for line, turn in enumerate(turns):
        mask[line, list(rows(turn))] = True
    return mask
