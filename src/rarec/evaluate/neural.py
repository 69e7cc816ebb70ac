"""The systems that we train: the retriever, and the retriever with the local ranker."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rarec.conversations import Example
from rarec.embed.cache import CachedEmbedder
from rarec.embed.protocol import Embedder
from rarec.evaluate.item_vectors import check_vectors
from rarec.evaluate.systems import ScoredSystem, Scores, top_columns
from rarec.ranker.local import LocalRanker
from rarec.retriever.associations import AssociationScores
from rarec.retriever.bundle import load_retriever
from rarec.retriever.data import ItemTable
from rarec.retriever.encoder import ConversationEncoder
from rarec.retriever.features import PopularityScale
from rarec.types import Candidate, Conversation, Item, ItemId, RankingTask

CANDIDATES = 50
"""How many of the retriever's items the ranker sees, as when serving."""


class RetrieverSystem(ScoredSystem):
    """The retriever's score of every item of the catalogue: inner products, and what is counted beside them.

    Args:
        vectors: projected items in the order of `items`, shape (n, width + 1).
        encoder: of the conversations, over the same projected items.
        features: of the items, see `AssociationScores`.
        mentioned: other items that conversations may mention.
    """

    def __init__(
        self,
        items: Sequence[Item],
        vectors: Scores,
        encoder: ConversationEncoder,
        features: Scores | None = None,
        *,
        mentioned: Sequence[Item] = (),
    ) -> None:
        super().__init__("retriever", items)
        self._vectors = self.in_order(items, vectors)
        self._encoder = encoder
        own = None if features is None else self.in_order(items, features)
        self._associated = AssociationScores(encoder.model.associations, self.items, own, mentioned=mentioned)

    @staticmethod
    def load(
        bundle: Path,
        items: Sequence[Item],
        texts: Scores,
        *,
        embedder: Embedder,
        popularity: Sequence[float] | None = None,
        mentioned: Sequence[Item] = (),
        mentioned_texts: Scores | None = None,
    ) -> RetrieverSystem:
        """The retriever of a bundle over any catalogue.

        Args:
            items: what is ranked: a data set's items or a whole corpus.
            texts: embeddings of the item texts by `embedder`, unit rows in the order of `items`, shape (n, d).
            embedder: of the messages; `remembering` one saves most of the time.
            popularity: values within which an item's popularity is placed, on the items' own scale: those of the
                whole corpus where `items` is a part of it. None means those of `items`.
            mentioned: items that are not ranked and that conversations may mention; others say nothing.
            mentioned_texts: embeddings of their texts, shape (len(mentioned), d); needed if there are some.
        Raises:
            InputError: there are no items, or texts do not fit them.
            BundleError: the bundle is damaged or was trained with another embedder.
        """
        others = np.empty((0, embedder.dimension), np.float32) if mentioned_texts is None else mentioned_texts
        check_vectors("texts", texts, items, embedder)
        check_vectors("texts", others, mentioned, embedder)
        model = load_retriever(bundle, embedder=embedder.name)
        scale = PopularityScale([item.popularity for item in items] if popularity is None else popularity)
        known, n = [*items, *mentioned], len(items)
        features = ItemTable.of(known, np.concatenate([texts, others]) if len(others) else texts, scale=scale).features
        vectors: Scores = model.project(features).numpy()
        rows = {item.id: row for row, item in enumerate(known)}
        encoder = ConversationEncoder(model, embedder, lambda ids: {i: vectors[rows[i]] for i in ids if i in rows})
        return RetrieverSystem(items, vectors[:n], encoder, features[:n].numpy(), mentioned=mentioned)

    def scores(self, examples: Sequence[Example]) -> Scores:
        conversations = [example.conversation for example in examples]
        scores: Scores = self._encoder.queries(conversations) @ self._vectors.T
        self._associated.add_to(scores, conversations)
        return scores


class RankedSystem:
    """The retriever's first candidates in the ranker's order, then the rest of the retriever's list.

    Each batch is encoded and scored once; candidates and list come from the same scores.

    Args:
        candidates: how many of the retriever's items the ranker sees.
    """

    name = "retriever+ranker"

    def __init__(self, retriever: RetrieverSystem, ranker: LocalRanker, *, candidates: int = CANDIDATES) -> None:
        self._retriever, self._ranker, self._candidates = retriever, ranker, candidates

    @staticmethod
    def load(
        bundle: Path, items: Sequence[Item], texts: Scores, *, embedder: Embedder, retriever: RetrieverSystem
    ) -> RankedSystem:
        """The ranker of a bundle behind a retriever that is already loaded; arguments as for it.

        Raises:
            BundleError: the bundle is damaged or was trained with another embedder.
        """
        rows = {item.id: row for row, item in enumerate(items)}
        ranker = LocalRanker.load(bundle, embedder, lambda asked: texts[[rows[item.id] for item in asked]])
        return RankedSystem(retriever, ranker)

    def rank(self, examples: Sequence[Example], *, n: int) -> list[tuple[ItemId, ...]]:
        """As `System.rank`; candidates are never items that the conversation mentions."""
        lists: list[tuple[ItemId, ...]] = []
        size = self._retriever.batch_size
        for start in range(0, len(examples), size):
            batch = examples[start : start + size]
            scores = self._retriever.scores(batch)
            plain = top_columns(scores, n=n)
            tasks = ranking_tasks(self._retriever, [e.conversation for e in batch], scores, n=self._candidates)
            for task, rest in zip(tasks, plain, strict=True):
                order = self._ranker.order(task) if task.candidates else []
                first = [task.candidates[place].item.id for place in order]
                chosen = dict.fromkeys([*first, *(self._retriever.ids[column] for column in rest)])
                lists.append(tuple(chosen)[:n])
        return lists


def ranking_tasks(
    system: ScoredSystem, conversations: Sequence[Conversation], scores: Scores, *, n: int
) -> list[RankingTask]:
    """At the end of each conversation the n best items that it does not mention, to be ranked.

    Args:
        scores: of `system` for these conversations; the scores of mentioned items are overwritten.
    """
    seen = [list(dict.fromkeys(m.item for m in c.mentions() if m.item in system.columns)) for c in conversations]
    for row, items in zip(scores, seen, strict=True):
        row[[system.columns[item] for item in items]] = -np.inf
    tasks: list[RankingTask] = []
    for conversation, row, items, best in zip(conversations, scores, seen, top_columns(scores, n=n), strict=True):
        candidates = tuple(Candidate(system.items[c], float(row[c])) for c in best if row[c] > -np.inf)
        mentioned = {item: system.items[system.columns[item]] for item in items}
        tasks.append(RankingTask(conversation, mentioned, candidates, len(candidates)))
    return tasks


def remembering(embedder: Embedder) -> Embedder:
    """The same embedder with its queries kept in memory: the contexts of one dialogue repeat its messages."""
    if isinstance(embedder, CachedEmbedder):
        return embedder
    return CachedEmbedder(embedder, Path(os.devnull), queries=200_000)


__all__ = [
    "CANDIDATES",
    "RankedSystem",
    "RetrieverSystem",
    "ranking_tasks",
    "remembering",
]
