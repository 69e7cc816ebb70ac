"""Training of the local ranker on candidates of retrievers that do not know the conversation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from rarec.conversations import as_served
from rarec.embed.protocol import Embedder
from rarec.progress import OnProgress
from rarec.ranker.model import Ranker, RankerConfig
from rarec.ranker.tasks import RankingTasks
from rarec.ranker.train import ChooseTarget, Example, gains_at_10, order_of
from rarec.retriever.model import Retriever
from rarec.training.figures import Figures, mean, ranker_figures
from rarec.training.finetuning import Finetuning
from rarec.training.material import Material, Talks
from rarec.training.recipe import TrainingRecipe
from rarec.training.stages import Stages
from rarec.types import Conversation


class Ranking:
    """Trains a retriever a fold, and the ranker on what they offer."""

    def __init__(
        self, recipe: TrainingRecipe, material: Material, talks: Talks, embedder: Embedder, tell: OnProgress
    ) -> None:
        self._recipe, self._material, self._talks = recipe, material, talks
        self._embedder, self._tell = embedder, tell

    def run(
        self, model: Retriever, pretrained: Mapping[str, torch.Tensor], finetuning: Finetuning, stages: Stages
    ) -> tuple[Ranker, Figures]:
        """The ranker, and its figures on the candidates that `model` offers to the validation conversations.

        Args:
            pretrained: the weights that the retriever of each fold starts from.
        """
        learn: list[Example] = []
        dev: list[Example] = []
        training, folds = self._talks.training, self._recipe.folds
        loop = self._recipe.finetune_loop.model_copy(update={"epochs": self._recipe.fold_epochs, "patience": None})
        for fold in range(folds):
            helper = Retriever(self._recipe.retriever, seed=self._recipe.seed)
            helper.load_state_dict(pretrained)
            rest = [c for i, c in enumerate(training) if i % folds != fold]
            stages.run(f"fold {fold + 1} of {folds}", helper, finetuning.task(helper, rest), loop)
            # Without those of the fold itself, or its conversations would find their own answers.
            helper.associations = finetuning.associations(rest, model.associations.weights)
            held = [c for i, (c, _) in enumerate(training) if i % folds == fold]
            # A tenth of the conversations decides when to stop; the validation split stays untouched for the claim.
            name = f"candidates {fold + 1} of {folds}"
            hidden = self._recipe.finetune.hide_sentiment
            mixed = [as_served(c) if i % 10 < 10 * hidden else c for i, c in enumerate(held)]
            rows = self._material.candidates
            learn += self._examples(helper, [c for i, c in enumerate(mixed) if i // 10 % 10], name, rows)
            dev += self._examples(helper, [as_served(c) for i, c in enumerate(held) if i // 10 % 10 == 0], name, rows)
        ranker = Ranker(RankerConfig(text_dimension=self._embedder.dimension), seed=self._recipe.seed)

        def score() -> float:
            given = [e.given for e in dev]
            return mean(gains_at_10(order_of(ranker, given), [e.targets for e in dev]))

        task = ChooseTarget(ranker, learn, self._recipe.ranker, seed=self._recipe.seed)
        stages.run("ranker", ranker, task, self._recipe.ranker_loop, score)
        figures: Figures = {}
        for name, conversations in self._talks.valid.items():
            rows = self._material.catalogues[name]
            held_out = self._examples(model, conversations, f"candidates of {name} valid", rows)
            figures[f"{name} valid"] = ranker_figures(ranker, held_out)
        return ranker, figures

    def _examples(
        self, model: Retriever, conversations: Sequence[Conversation], stage: str, rows: NDArray[np.int64]
    ) -> list[Example]:
        features = self._material.table.features[torch.from_numpy(rows)]
        tasks = RankingTasks(
            model,
            [self._material.items[r] for r in rows],
            model.project(features).numpy(),
            self._embedder,
            self._material.embeddings,
            n=self._recipe.candidates,
            features=features.numpy(),
        )
        return tasks.examples(conversations, progress=lambda done, total: self._tell(stage, done, total, ""))
