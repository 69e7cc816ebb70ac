"""Fine-tuning of the retriever on conversations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rarec.embed.protocol import Embedder
from rarec.progress import OnProgress
from rarec.retriever.associations import Associations, AssociationWeights, Identity, name_of
from rarec.retriever.counting import count_neighbours, count_words
from rarec.retriever.data import ConversationData, conversation_data
from rarec.retriever.kin import Kin
from rarec.retriever.model import Retriever
from rarec.retriever.sequence import recommending_turns
from rarec.retriever.tasks import AS_THEY_ARE, NextMention, ndcg_at_10, ranks_by_weight, validation_ranks
from rarec.retriever.trainer import Task
from rarec.training.figures import POPULARITY, RETRIEVER, VECTORS, Figures, popularity_ranks, retriever_figures
from rarec.training.material import Material, Talks
from rarec.training.recipe import TrainingRecipe
from rarec.training.stages import Stages
from rarec.types import Conversation

_ROUNDS = 2
_KEPT = ("written", "kin")


class Finetuning:
    """Makes the tasks of fine-tuning; the ranker's folds use it too."""

    def __init__(
        self, recipe: TrainingRecipe, material: Material, talks: Talks, embedder: Embedder, tell: OnProgress
    ) -> None:
        self._recipe, self._material, self._talks = recipe, material, talks
        self._embedder, self._tell = embedder, tell

    def run(self, model: Retriever, stages: Stages) -> Figures:
        """Fine-tune in place, count associations, and give the figures of each data set's validation conversations."""
        valid = {name: self._tokenise(c, user_weight=0.0) for name, c in self._talks.valid.items()}

        # What is counted is known before anything is learned, so the epoch is chosen that goes best with it.
        counted = self._counted()

        def score() -> float:
            return float(self._scores(model, valid, counted, [AS_THEY_ARE])[0])

        task = self.task(model, self._talks.training)
        average = self._recipe.finetune_average
        stages.run("finetune", model, task, self._recipe.finetune_loop, score, average=average)
        asked = {name: sum(len(t) for _, t in recommending_turns(talks)) for name, talks in self._talks.valid.items()}
        alone = {name: self._ranks(model, data, name) for name, data in valid.items()}
        model.associations = self._weighed(model, valid, counted)
        figures: Figures = {}
        for name, data in valid.items():
            counts, rows = self._talks.mentions[name], self._material.catalogues[name]
            popular = popularity_ranks(counts, self._material.table, data, rows)
            ranks = {POPULARITY: popular, VECTORS: alone[name], RETRIEVER: self._ranks(model, data, name)}
            figures[f"{name} valid"] = {system: retriever_figures(own, asked[name]) for system, own in ranks.items()}
        return figures

    def associations(
        self, conversations: Sequence[tuple[Conversation, int]], weights: AssociationWeights
    ) -> Associations:
        """Counted in conversations, each once, and by attributes; kinds without a weight are left out."""
        recipe, talks = self._recipe, [c for c, _ in conversations]
        # Films are the same ones elsewhere under other ids; what an own item is, its id says best.
        by: Identity = "title" if recipe.data is None else "id"
        names = {item.id: name_of(item, by) for item in self._material.items}
        neighbours = count_neighbours(talks, recipe.neighbours, names.get) if weights.neighbours else None
        words = count_words(talks, recipe.words, names.get) if weights.words else None
        counted = Associations(neighbours, words, by, recipe.shared, recipe.asked, recipe.written)
        if weights.kin and len(counted):
            rows = [names[item.id] for item in self._material.items]
            kin = Kin.of(recipe.kin, counted.names, rows, self._material.table.features.numpy())
            counted = replace(counted, kin=kin)
        return counted.with_weights(weights)

    def _counted(self) -> Associations:
        """In the training conversations, under the weights that the recipe starts from."""
        kinds = (getattr(self._recipe, kind) for kind in AssociationWeights._fields)
        return self.associations(self._talks.training, AssociationWeights(*(config.weight for config in kinds)))

    def _weighed(self, model: Retriever, valid: Mapping[str, ConversationData], counted: Associations) -> Associations:
        """The same under the best weights that are found by changing one after the other.

        Those of words of texts and of relatives stay: they are for catalogues, wishes and items that no training
        conversation has.
        """
        best = start = counted.weights
        for _ in range(_ROUNDS):
            before = best
            for kind, now in start._asdict().items():
                if now and kind not in _KEPT and (tried := self._recipe.association_weights):
                    asked = [best._replace(**{kind: weight}) for weight in tried]
                    scores = self._scores(model, valid, counted, [_factors(weights, start) for weights in asked])
                    best = asked[int(scores.argmax())]
            if best == before:  # another round would find the same
                break
        return counted.with_weights(best)

    def _scores(
        self,
        model: Retriever,
        valid: Mapping[str, ConversationData],
        counted: Associations,
        factors: Sequence[AssociationWeights],
    ) -> NDArray[np.float64]:
        """NDCG@10 on the validation conversations for each of the factors, data sets by the roots of their targets."""
        sums, total = np.zeros(len(factors)), 0.0
        for name, data in valid.items():
            if len(factors) > 1:
                self._tell(f"weigh associations on {name} valid", 0, 1, "")
            rows = self._material.catalogues[name]
            ranks = ranks_by_weight(model, self._material.table, data, rows, counted, factors)
            # More targets say more, but the largest set must not be the only one that counts.
            share = math.sqrt(ranks.shape[1])
            sums += [share * ndcg_at_10(own) for own in ranks]
            total += share
        return sums / total if total else sums

    def task(self, model: Retriever, conversations: Sequence[tuple[Conversation, int]]) -> Task:
        """What `model` learns from conversations, each with how often an epoch visits it."""
        visited = [c for c, visits in conversations for _ in range(visits)]
        data = self._tokenise(visited, user_weight=self._recipe.user_weight)
        table, settings = self._material.table, self._recipe.finetune
        few = settings.model_copy(update={"negatives": min(settings.negatives, len(table))})
        return NextMention(model, table, data, self._material.candidates, few, seed=self._recipe.seed)

    def _tokenise(self, conversations: Sequence[Conversation], *, user_weight: float) -> ConversationData:
        return conversation_data(
            conversations,
            self._material.table,
            self._embedder,
            user_weight=user_weight,
            progress=lambda done, total: self._tell("embed messages", done, total, ""),
        )

    def _ranks(self, model: Retriever, data: ConversationData, name: str) -> NDArray[np.int64]:
        return validation_ranks(model, self._material.table, data, self._material.catalogues[name])


def _factors(weights: AssociationWeights, start: AssociationWeights) -> AssociationWeights:
    """What makes one of the other; 0 where there is nothing to multiply."""
    return AssociationWeights(*(own / was if was else 0.0 for own, was in zip(weights, start, strict=True)))
