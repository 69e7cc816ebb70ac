"""Fine-tuning of the retriever on conversations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from rarec.embed.protocol import Embedder
from rarec.progress import OnProgress
from rarec.retriever.associations import Associations, Identity, name_of
from rarec.retriever.counting import count_neighbours, count_words
from rarec.retriever.data import ConversationData, conversation_data
from rarec.retriever.model import Retriever
from rarec.retriever.sequence import recommending_turns
from rarec.retriever.tasks import NextMention, ndcg_at_10, ranks_by_weight, validation_ranks
from rarec.retriever.trainer import Task
from rarec.training.figures import retriever_figures
from rarec.training.material import Material, Talks
from rarec.training.recipe import TrainingRecipe
from rarec.training.stages import Stages
from rarec.types import Conversation


class Finetuning:
    """Makes the tasks of fine-tuning; the ranker's folds use it too."""

    def __init__(
        self, recipe: TrainingRecipe, material: Material, talks: Talks, embedder: Embedder, tell: OnProgress
    ) -> None:
        self._recipe, self._material, self._talks = recipe, material, talks
        self._embedder, self._tell = embedder, tell

    def run(self, model: Retriever, stages: Stages) -> dict[str, float]:
        """Fine-tune in place, count associations, and give the figures of each data set's validation conversations."""
        valid = {name: self._tokenise(c, user_weight=0.0) for name, c in self._talks.valid.items()}

        # What is counted is known before anything is learned, so the epoch is chosen that goes best with it.
        counted = self._counted()

        def score() -> float:
            return float(self._scores(model, valid, counted, [(1.0, 1.0)])[0])

        task = self.task(model, self._talks.training)
        average = self._recipe.finetune_average
        stages.run("finetune", model, task, self._recipe.finetune_loop, score, average=average)
        asked = {name: sum(len(t) for _, t in recommending_turns(talks)) for name, talks in self._talks.valid.items()}
        alone = {name: self._ranks(model, data, name) for name, data in valid.items()}
        model.associations = self._weighed(model, valid, counted)
        figures: dict[str, float] = {}
        for name, data in valid.items():
            ranks = self._ranks(model, data, name)
            figures |= {f"{name} valid retriever {k}": v for k, v in retriever_figures(ranks, asked[name]).items()}
            if model.associations:
                plain = retriever_figures(alone[name], asked[name])
                figures[f"{name} valid retriever N@10 without associations"] = plain["N@10"]
        return figures

    def associations(
        self, conversations: Sequence[tuple[Conversation, int]], weights: tuple[float, float]
    ) -> Associations:
        """Counted in conversations, each once; counts without a weight are left out."""
        recipe, talks = self._recipe, [c for c, _ in conversations]
        # Films are the same ones elsewhere under other ids; what an own item is, its id says best.
        by: Identity = "title" if recipe.data is None else "id"
        names = {item.id: name_of(item, by) for item in self._material.items}
        neighbours = count_neighbours(talks, recipe.neighbours, names.get) if weights[0] else None
        words = count_words(talks, recipe.words, names.get) if weights[1] else None
        return Associations(neighbours, words, by).with_weights(*weights)

    def _counted(self) -> Associations:
        """In the training conversations, under the weights that the recipe starts from."""
        recipe = self._recipe
        weights = (
            recipe.neighbours.weight if any(recipe.neighbour_weights) else 0.0,
            recipe.words.weight if any(recipe.word_weights) else 0.0,
        )
        return self.associations(self._talks.training, weights)

    def _weighed(self, model: Retriever, valid: Mapping[str, ConversationData], counted: Associations) -> Associations:
        """The same under the best weights of the recipe."""
        recipe = self._recipe
        tried = list(product(recipe.neighbour_weights, recipe.word_weights))
        at = counted.weights
        factors = [tuple(w / now if now else 0.0 for w, now in zip(pair, at, strict=True)) for pair in tried]
        scores = self._scores(model, valid, counted, [(a, b) for a, b in factors])
        return counted.with_weights(*tried[int(scores.argmax())])

    def _scores(
        self,
        model: Retriever,
        valid: Mapping[str, ConversationData],
        counted: Associations,
        factors: Sequence[tuple[float, float]],
    ) -> NDArray[np.float64]:
        """NDCG@10 on the validation conversations, the mean over the data sets, for each pair of factors."""
        sums = np.zeros(len(factors))
        for name, data in valid.items():
            if len(factors) > 1:
                self._tell(f"weigh associations on {name} valid", 0, 1, "")
            rows = self._material.catalogues[name]
            ranks = ranks_by_weight(model, self._material.table, data, rows, counted, factors)
            sums += [ndcg_at_10(own) for own in ranks]
        return sums / len(valid)

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
