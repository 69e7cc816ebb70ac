"""What the local ranker reads about each candidate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rarec.embed.protocol import Embedder
from rarec.ranker.evidence import Evidence, asked_for, ngrams, owners, pairs, rarity
from rarec.retriever.sequence import message_text
from rarec.types import Conversation, Item, RankingTask

NAMES = (
    "score", "order", "last_message", "best_message", "mean_message", "assistant_message",
    "best_welcome", "mean_welcome", "last_welcome", "best_disliked",
    "asked", "asked_rare", "shared", "shared_rare", "shared_disliked", "title_words",
    "popularity", "year_gap", "year", "has_mentions", "turns",
)  # fmt: skip
"""The dense features, in order."""

CONTEXTS = 3
"""Text vectors a conversation has: last user message, mean of the user's messages, mean of welcome items."""

_STOP = frozenset(("the", "a", "an", "of", "and", "in", "to", "part", "ii", "iii", "2", "3", "on", "for", "at", "with"))

Floats = NDArray[np.float32]
ItemEmbeddings = Callable[[Sequence[Item]], Floats]
"""Items -> embeddings of their texts, unit rows, shape (n, d)."""


@dataclass(frozen=True, slots=True)
class RankerInput:
    """One ranking task as arrays.

    Attributes:
        dense: shape (candidates, len(NAMES)).
        items: embeddings of the candidates' texts, shape (candidates, d).
        context: shape (CONTEXTS, d); rows are zero where there is nothing.
    """

    dense: Floats
    items: Floats
    context: Floats


class FeatureMaker:
    """Turns ranking tasks into arrays.

    Args:
        embedder: of the messages.
        item_embeddings: of candidates and mentioned items, in the embedder's space; asked for each task.
    """

    def __init__(self, embedder: Embedder, item_embeddings: ItemEmbeddings) -> None:
        self._embedder, self._item_embeddings = embedder, item_embeddings

    def __call__(self, task: RankingTask, retriever_rank: Sequence[int] | None = None) -> RankerInput:
        """The arrays of one task.

        Args:
            retriever_rank: 0-based place of each candidate in the retriever's order; by score if None.
        """
        evidence = Evidence.of(task.conversation, task.mentioned)
        items = [c.item for c in task.candidates]
        vectors = self._item_embeddings([*items, *evidence.mentioned])
        own, mentioned = vectors[: len(items)], vectors[len(items) :]
        user, assistant = self._messages(task.conversation)
        welcome = [r for r, item in enumerate(evidence.mentioned) if evidence.sentiments[item.id] != "disliked"]
        liked, disliked = mentioned[welcome], np.delete(mentioned, welcome, axis=0)
        scores = np.array([c.score for c in task.candidates], dtype=np.float64)
        place = np.argsort(np.argsort(-scores, kind="stable")) if retriever_rank is None else np.array(retriever_rank)
        columns = [
            _standard(scores),
            -np.log1p(place),
            own @ user[-1] if len(user) else _zeros(own),
            _best(own, user),
            _mean(own, user),
            _mean(own, assistant),
            _best(own, liked),
            _mean(own, liked),
            own @ liked[-1] if len(liked) else _zeros(own),
            _best(own, disliked),
            *_lexical(task, evidence, items),
            _standard(np.log1p([i.popularity for i in items])),
            *_years(items, evidence),
            np.full(len(items), float(len(welcome) > 0)),
            np.full(len(items), min(len(task.conversation.turns), 20) / 10),
        ]
        context = np.zeros((CONTEXTS, own.shape[1]), dtype=np.float32)
        if len(user):
            context[0], context[1] = user[-1], user.mean(axis=0)
        if len(liked):
            context[2] = liked.mean(axis=0)
        return RankerInput(np.stack(columns, axis=1).astype(np.float32), own, context)

    def _messages(self, conversation: Conversation) -> tuple[Floats, Floats]:
        """Vectors of the user's last eight messages and of the assistant's last four; either may be empty."""
        said = {"user": list[str](), "assistant": list[str]()}
        for turn in conversation.turns:
            if text := message_text(turn):
                said[turn.role].append(text)
        user, assistant = said["user"][-8:], said["assistant"][-4:]
        vectors = self._embedder.embed([*user, *assistant], kind="query")
        return vectors[: len(user)], vectors[len(user) :]


def _lexical(task: RankingTask, evidence: Evidence, items: Sequence[Item]) -> list[Floats]:
    rare = rarity(task.candidates)
    own = [pairs(item) for item in items]
    titles = ngrams(" ".join(i.title for i in evidence.mentioned), 1) - _STOP
    asked = [[p for p in ps if asked_for(p[1], evidence.words)] for ps in own]
    welcome, disliked = owners(evidence.welcome), owners(evidence.disliked)
    common = [[p for p in ps if p in welcome] for ps in own]
    bad = [[p for p in ps if p in disliked] for ps in own]
    words = [ngrams(item.title, 1) - _STOP for item in items]
    columns: list[list[float]] = [
        [float(np.log1p(len(a))) for a in asked],
        [_sum(rare, a) for a in asked],
        [float(np.log1p(len(c))) for c in common],
        [_sum(rare, c) for c in common],
        [float(np.log1p(len(b))) for b in bad],
        [len(w & titles) / max(1, len(w)) for w in words],
    ]
    return [np.array(c, dtype=np.float32) for c in columns]


def _sum(rare: Mapping[tuple[str, str], float], found: Sequence[tuple[str, str]]) -> float:
    return float(np.sqrt(sum(rare.get(p, 0.0) for p in found)))


def _years(items: Sequence[Item], evidence: Evidence) -> list[Floats]:
    known = [i.year for i in evidence.welcome if i.year is not None]
    middle = sum(known) / len(known) if known else None
    gap = [0.0 if middle is None or i.year is None else min(abs(i.year - middle), 60) / 20 for i in items]
    year = [0.0 if i.year is None else max(-4.0, min(2.0, (i.year - 2000) / 25)) for i in items]
    return [np.array(gap, dtype=np.float32), np.array(year, dtype=np.float32)]


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = values.std() if len(values) else 0.0
    return (values - values.mean()) / spread if spread > 0 else np.zeros(len(values))


def _zeros(own: Floats) -> Floats:
    return np.zeros(len(own), dtype=np.float32)


def _best(own: Floats, others: Floats) -> Floats:
    return np.max(own @ others.T, axis=1) if len(others) else _zeros(own)


def _mean(own: Floats, others: Floats) -> Floats:
    return np.mean(own @ others.T, axis=1) if len(others) else _zeros(own)
