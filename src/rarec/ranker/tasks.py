"""Ranking tasks as the retriever would pose them at each recommending turn of known conversations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from rarec.embed.protocol import Embedder
from rarec.ranker.features import FeatureMaker, ItemEmbeddings
from rarec.ranker.train import Example
from rarec.retriever.associations import AssociationScores
from rarec.retriever.encoder import ConversationEncoder
from rarec.retriever.model import Retriever
from rarec.retriever.sequence import recommending_turns
from rarec.types import Candidate, Conversation, Item, ItemId, RankingTask

Progress = Callable[[int, int], None]


class RankingTasks:
    """Poses tasks over a fixed catalogue.

    Args:
        items: the catalogue.
        vectors: their projected vectors, shape (n, width + 1).
        embedder: of the messages.
        item_embeddings: see `FeatureMaker`.
        n: candidates a task.
        features: of the items, see `AssociationScores`.
    """

    def __init__(
        self,
        model: Retriever,
        items: Sequence[Item],
        vectors: NDArray[np.float32],
        embedder: Embedder,
        item_embeddings: ItemEmbeddings,
        *,
        n: int,
        features: NDArray[np.float32] | None = None,
    ) -> None:
        self._items, self._vectors, self._n = list(items), vectors, n
        self._rows = {item.id: row for row, item in enumerate(self._items)}
        self._encoder = ConversationEncoder(model, embedder, self._known)
        self._associated = AssociationScores(model.associations, self._items, features)
        self._features = FeatureMaker(embedder, item_embeddings)

    def examples(self, conversations: Sequence[Conversation], *, progress: Progress | None = None) -> list[Example]:
        """One example for each assistant's turn that mentions items for the first time, in order.

        Mentioned items are never candidates. The order of the candidates is the retriever's.
        """
        turns = list(recommending_turns(conversations))
        result: list[Example] = []
        for start in range(0, len(turns), 256):
            chunk = turns[start : start + 256]
            for (before, targets), task in zip(chunk, self.tasks([b for b, _ in chunk]), strict=True):
                place = {c.item.id: position for position, c in enumerate(task.candidates)}
                found = tuple(place[t] for t in targets if t in place)
                result.append(Example(self._features(task), found, len(targets) - len(found), before.id))
            if progress:
                progress(len(result), len(turns))
        return result

    def tasks(self, conversations: Sequence[Conversation]) -> list[RankingTask]:
        """The task at the end of each conversation."""
        queries = self._encoder.queries(conversations)
        scores = queries @ self._vectors.T
        self._associated.add_to(scores, conversations)
        tasks: list[RankingTask] = []
        for conversation, row in zip(conversations, scores, strict=True):
            seen = {m.item for m in conversation.mentions()}
            row[[self._rows[i] for i in seen if i in self._rows]] = -np.inf
            best = np.argsort(-row, kind="stable")[: self._n]
            candidates = tuple(Candidate(self._items[i], float(row[i])) for i in best if row[i] > -np.inf)
            mentioned = {i: self._items[self._rows[i]] for i in seen if i in self._rows}
            tasks.append(RankingTask(conversation, mentioned, candidates, len(candidates)))
        return tasks

    def _known(self, ids: Sequence[ItemId]) -> dict[ItemId, NDArray[np.float32]]:
        return {i: self._vectors[self._rows[i]] for i in ids if i in self._rows}
