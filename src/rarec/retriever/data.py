"""Training data as rows of two tables: items and messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rarec.embed.protocol import Embedder, Progress
from rarec.retriever.associations import Context
from rarec.retriever.features import PopularityScale, item_features
from rarec.retriever.sequence import ITEM, MESSAGE, OPENING, ROLE_CODE, SENTIMENT_CODE, Event, turn_events
from rarec.types import Conversation, Item, ItemId


@dataclass(frozen=True, slots=True)
class ItemTable:
    """Items and their features, row by row.

    Attributes:
        rows: id -> row.
        features: shape (n, text_dimension + 4).
        items: of the rows; needed where associations count.
    """

    rows: dict[ItemId, int]
    features: Tensor
    items: tuple[Item, ...] = ()

    @staticmethod
    def of(items: Sequence[Item], vectors: NDArray[np.float32], *, scale: PopularityScale | None = None) -> ItemTable:
        """The table of some items.

        Args:
            vectors: embeddings of the item texts, in the same order.
            scale: of the catalogue that the items belong to; None means that they are the catalogue.
        """
        popularity = [item.popularity for item in items]
        features = item_features(
            vectors, popularity, [i.year for i in items], scale=scale or PopularityScale(popularity)
        )
        return ItemTable({item.id: row for row, item in enumerate(items)}, torch.from_numpy(features), tuple(items))

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Target:
    """One item to predict.

    Attributes:
        position: the token whose query should find it.
        row: of the item.
        seen: rows of the items mentioned before; they cannot be the answer.
        weight: how much it counts in the loss.
    """

    position: int
    row: int
    seen: tuple[int, ...]
    weight: float


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """A conversation, tokenised: four codes a token, and what to predict.

    Attributes:
        codes: kind, role, sentiment, row of the item or message; int64, shape (4, time).
    """

    codes: NDArray[np.int64]
    targets: tuple[Target, ...]


@dataclass(slots=True)
class ConversationData:
    """Tokenised conversations and the table of their messages.

    Attributes:
        messages: message embeddings, shape (m, text_dimension).
        texts: the messages.
    """

    sequences: list[TokenSequence]
    messages: Tensor
    texts: tuple[str, ...] = ()

    def context(self, sequence: TokenSequence, position: int, ids: Sequence[ItemId]) -> Context:
        """What a sequence calls for up to a token, as `Context.of` has it; `ids` are those of the item rows."""
        felt: dict[int, int] = {}
        said: list[str] = []
        for kind, role, sentiment, row in sequence.codes[:, : position + 1].T.tolist():
            if kind == ITEM and (sentiment or row not in felt):
                felt[row] = sentiment
            elif kind == MESSAGE and role == ROLE_CODE["user"]:
                said.append(self.texts[row])
        liked = [ids[row] for row, sentiment in felt.items() if sentiment != SENTIMENT_CODE["disliked"]]
        return Context.said_by(said, tuple(liked))


@dataclass(slots=True)
class _Builder:
    rows: dict[ItemId, int]
    user_weight: float
    texts: dict[str, int] = field(default_factory=dict[str, int])

    def sequence(self, conversation: Conversation) -> TokenSequence:
        columns: list[tuple[int, int, int, int]] = [(OPENING.kind, 0, 0, 0)]
        targets: list[Target] = []
        seen: dict[int, None] = {}
        for turn in conversation.turns:
            mentioned = [self.rows[m.item] for m in turn.mentions or () if m.item in self.rows]
            new = [row for row in dict.fromkeys(mentioned) if row not in seen]
            weight = (1.0 if turn.role == "assistant" else self.user_weight) / max(1, len(new)) ** 0.5
            if weight > 0:
                targets += [Target(len(columns) - 1, row, tuple(seen), weight) for row in new]
            columns += [column for event in turn_events(turn) if (column := self._column(event)) is not None]
            seen.update(dict.fromkeys(mentioned))
        return TokenSequence(np.array(columns, dtype=np.int64).T, tuple(targets))

    def _column(self, event: Event) -> tuple[int, int, int, int] | None:
        if event.kind == MESSAGE:
            row = self.texts.setdefault(event.text, len(self.texts))
        elif event.item in self.rows:
            row = self.rows[event.item]
        else:
            return None
        return event.kind, event.role, event.sentiment, row


def conversation_data(
    conversations: Iterable[Conversation],
    items: ItemTable,
    embedder: Embedder,
    *,
    user_weight: float = 0.0,
    progress: Progress | None = None,
) -> ConversationData:
    """Tokenise conversations whose mentions are linked.

    Every item that a recommender's turn mentions for the first time is a target, to be found by the query
    just before that turn. Several in one turn share its weight: each counts 1 / sqrt(how many).

    Args:
        items: mentions of items that it does not have are skipped.
        embedder: of the messages.
        user_weight: weight of what users mention first themselves, as further targets; 0 leaves them out.
        progress: of the embedding.
    """
    builder = _Builder(items.rows, user_weight)
    sequences = [s for s in map(builder.sequence, conversations) if s.targets]
    vectors = embedder.embed(list(builder.texts), kind="query", progress=progress)
    if not len(vectors):
        vectors = np.zeros((1, embedder.dimension), dtype=np.float32)
    return ConversationData(sequences, torch.from_numpy(vectors), tuple(builder.texts))


@dataclass(frozen=True, slots=True)
class Interactions:
    """What one person rated or bought, in order.

    Attributes:
        rows: item rows, shape (n,).
        sentiment: codes as in `Tokens`, shape (n,).
    """

    rows: NDArray[np.int64]
    sentiment: NDArray[np.int64]
