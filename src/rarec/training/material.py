"""What a run learns from, whatever the domain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarec.conversations import Interactions as Person
from rarec.conversations import as_served, held_back
from rarec.retriever.data import Interactions, ItemTable
from rarec.retriever.features import EXTRA_FEATURES
from rarec.retriever.sequence import SENTIMENT_CODE
from rarec.training.card import FILMS, Story
from rarec.types import Conversation, Item, ItemId


@dataclass(frozen=True, slots=True)
class Talks:
    """Conversations to learn from.

    Attributes:
        training: with how often an epoch visits each.
        valid: data set -> its validation conversations.
        mentions: data set -> how often its own training conversations mention each item.
    """

    training: list[tuple[Conversation, int]]
    valid: dict[str, list[Conversation]]
    mentions: dict[str, Counter[ItemId]]

    @staticmethod
    def of(
        training: Mapping[str, Iterable[Conversation]],
        valid: Mapping[str, Iterable[Conversation]],
        *,
        hold_back: float,
        visits: Mapping[str, int] | None = None,
    ) -> Talks:
        """Leave out what is held back, and what is not there when serving.

        Args:
            training: by data set, and so is `valid`.
            hold_back: share of the training conversations.
            visits: data set -> how often an epoch visits its conversations; 1 where it says nothing.
        """
        learned = {name: [c for c in talks if not held_back(c.id, hold_back)] for name, talks in training.items()}
        return Talks(
            [(c, (visits or {}).get(name, 1)) for name, talks in learned.items() for c in talks],
            # Labels that were given after a dialogue are not there when serving, so no figure may see them.
            {name: [as_served(c) for c in conversations] for name, conversations in valid.items()},
            {name: Counter(m.item for c in talks for m in c.mentions()) for name, talks in learned.items()},
        )


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """Items, interactions and conversations.

    Attributes:
        table: features of the items, row by row.
        catalogues: data set -> rows of what it recommends from.
        candidates: rows that compete in every step of fine-tuning, and that the ranker's candidates come from.
        people: sequences of interactions, to pretrain on; may be empty.
        talks: None if the conversations were not asked for.
        content: part of own data -> hash of it: ``items``, ``interactions``, ``conversations``; empty for films.
        about: for the manifest.
        story: for the card.
    """

    items: list[Item]
    table: ItemTable
    catalogues: dict[str, NDArray[np.int64]]
    candidates: NDArray[np.int64]
    people: list[Interactions]
    talks: Talks | None
    content: Mapping[str, str] = field(default_factory=dict[str, str])
    about: Mapping[str, Any] = field(default_factory=dict[str, Any])
    story: Story = FILMS

    def embeddings(self, items: Sequence[Item]) -> NDArray[np.float32]:
        """Embeddings of the items' texts, shape (n, d)."""
        rows = [self.table.rows[i.id] for i in items]
        found: NDArray[np.float32] = self.table.features[rows, :-EXTRA_FEATURES].numpy()
        return found


def sequence_of(person: Person, table: ItemTable) -> Interactions:
    """What somebody did as rows of the table, without items that it lacks."""
    known = [(table.rows[i], s) for i, s in zip(person.items, person.sentiments, strict=True) if i in table.rows]
    return Interactions(
        np.array([row for row, _ in known], dtype=np.int64),
        np.array([SENTIMENT_CODE[s] for _, s in known], dtype=np.int64),
    )
