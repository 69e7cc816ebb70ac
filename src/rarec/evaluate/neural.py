"""The systems that we train: the retriever, and the retriever with the local ranker."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from rarec.catalogue.sources.corpus import corpus_items
from rarec.conversations import Example
from rarec.embed.cache import CachedEmbedder
from rarec.embed.protocol import Embedder
from rarec.evaluate.run import Context, Factory
from rarec.evaluate.systems import ScoredSystem, Scores, System
from rarec.evaluate.vectors import stored_vectors
from rarec.ranker.local import LocalRanker
from rarec.ranker.tasks import RankingTasks
from rarec.retriever.bundle import load_retriever
from rarec.retriever.data import ItemTable
from rarec.retriever.encoder import ConversationEncoder
from rarec.retriever.features import PopularityScale
from rarec.types import Item, ItemId

CANDIDATES = 50
"""How many of the retriever's items the ranker sees, as when serving."""


class RetrieverSystem(ScoredSystem):
    """Inner products of a conversation's query with every item of the catalogue.

    Args:
        vectors: projected items in the order of `items`, shape (n, width + 1).
    """

    def __init__(self, items: Sequence[Item], vectors: Scores, encoder: ConversationEncoder) -> None:
        super().__init__("retriever", items)
        place = {item.id: row for row, item in enumerate(items)}
        self._vectors = vectors[[place[i] for i in self.ids]]
        self._encoder = encoder

    def scores(self, examples: Sequence[Example]) -> Scores:
        queries = self._encoder.queries([e.conversation for e in examples])
        scores: Scores = queries @ self._vectors.T
        return scores


class RankedSystem:
    """The retriever's first candidates in the ranker's order, then the rest of the retriever's list."""

    name = "retriever+ranker"

    def __init__(self, retriever: RetrieverSystem, tasks: RankingTasks, ranker: LocalRanker) -> None:
        self._retriever, self._tasks, self._ranker = retriever, tasks, ranker

    def rank(self, examples: Sequence[Example], *, n: int) -> list[tuple[ItemId, ...]]:
        """As `System.rank`; candidates are never items that the conversation mentions."""
        lists: list[tuple[ItemId, ...]] = []
        plain = self._retriever.rank(examples, n=n)
        for example, rest in zip(examples, plain, strict=True):
            task = self._tasks.tasks([example.conversation])[0]
            first = [task.candidates[i].item.id for i in self._ranker.order(task)]
            chosen = dict.fromkeys([*first, *rest])
            lists.append(tuple(chosen)[:n])
        return lists


def neural_factories(bundle: Path) -> Mapping[str, Factory]:
    """Factories of ``retriever`` and ``retriever+ranker`` for `rarec.evaluate.run.EvaluateSettings`.

    Popularity is ranked within the whole corpus that the data set's catalogue belongs to.

    Raises (when a system is built):
        BundleError: the bundle is damaged or was trained with another embedder.
    """

    @cache
    def parts(context: Context) -> _Parts:
        return _Parts(context, bundle)

    factories: dict[str, Callable[[Context], System]] = {
        "retriever": lambda context: parts(context).retriever,
        "retriever+ranker": lambda context: RankedSystem(
            parts(context).retriever, parts(context).tasks(), parts(context).ranker()
        ),
    }
    return factories


class _Parts:
    """What both systems share."""

    def __init__(self, context: Context, bundle: Path) -> None:
        self._context, self._bundle = context, bundle
        self._items = context.items
        # Queries are remembered in memory: the contexts of one dialogue repeat its messages.
        self._embedder: Embedder = CachedEmbedder(context.embedder, Path(os.devnull), queries=200_000)
        self._model = load_retriever(bundle, embedder=self._embedder.name)
        self._texts = stored_vectors(context.data_root / "embeddings", [i.id for i in self._items])
        scale = PopularityScale([i.popularity for i in corpus_items(context.data_root / "corpus" / "movies.parquet")])
        table = ItemTable.of(self._items, self._texts, scale=scale)
        self._vectors: Scores = self._model.project(table.features).numpy()
        rows = self._rows = {item.id: row for row, item in enumerate(self._items)}
        encoder = ConversationEncoder(
            self._model, self._embedder, lambda ids: {i: self._vectors[rows[i]] for i in ids if i in rows}
        )
        self.retriever = RetrieverSystem(self._items, self._vectors, encoder)

    def tasks(self) -> RankingTasks:
        return RankingTasks(self._model, self._items, self._vectors, self._embedder, self._embeddings, n=CANDIDATES)

    def ranker(self) -> LocalRanker:
        return LocalRanker.load(self._bundle, self._embedder, self._embeddings)

    def _embeddings(self, items: Sequence[Item]) -> Scores:
        return self._texts[[self._rows[i.id] for i in items]]


__all__ = ["CANDIDATES", "RankedSystem", "RetrieverSystem", "neural_factories"]
