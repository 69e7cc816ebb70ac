"""The training loops, each with a checkpoint in the work folder and the recipe that it is of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from rarec.errors import BundleError, InputError
from rarec.files import write_text
from rarec.progress import OnProgress
from rarec.retriever.trainer import Progress, Task, TrainerConfig, train
from rarec.training.recipe import TrainingRecipe

_PRETRAIN = {"seed", "retriever", "pretrain", "pretrain_loop"}
_FINETUNE = _PRETRAIN | {"visits", "user_weight", "held_back", "finetune", "finetune_loop"}
_CHOOSE = {"finetune_average", "neighbours", "words", "shared", "asked", "written", "association_weights"}
_HANGS_ON = {
    "pretrain": _PRETRAIN,
    "finetune": _FINETUNE | _CHOOSE,
    "fold": _FINETUNE | {"folds", "fold_epochs"},
    "ranker": set(TrainingRecipe.model_fields) - {"data"},
}
"""First word of a stage -> the parts of the recipe that decide its weights."""
_READS = {"pretrain": {"items", "interactions"}}
"""First word of a stage -> the parts of own data that decide its weights; all of them if it is not here."""


class Score(Protocol):
    """A figure on the validation conversations by which the best epoch is chosen."""

    def __call__(self) -> float: ...


class Stages:
    """Runs the training loops.

    Args:
        content: part of own data -> hash of it, see `Material.content`; empty for films.
        tell: called after every step.
    """

    def __init__(self, recipe: TrainingRecipe, work: Path, content: Mapping[str, str], tell: OnProgress) -> None:
        self._recipe, self._work, self._content, self._tell = recipe, work, content, tell

    def run(
        self,
        stage: str,
        model: torch.nn.Module,
        task: Task,
        config: TrainerConfig,
        score: Score | None = None,
        *,
        average: float = 0.0,
    ) -> None:
        """Train in place, or go on from the stage's checkpoint. For `average` see `rarec.retriever.trainer.train`.

        Raises:
            BundleError: the checkpoint is damaged, or of another recipe or other data.
            InputError: the loss is no number any more.
        """

        def on_step(at: Progress) -> None:
            valid = f", best valid NDCG@10 {at.best:.4f}" if at.best else ""
            done = at.epoch * at.steps + at.step + 1
            self._tell(stage, done, at.epochs * at.steps, f"epoch {at.epoch + 1}, loss {at.loss:.3f}{valid}")

        checkpoint = self._work / f"{stage.replace(' ', '-')}.safetensors"
        self._check_recipe(stage, checkpoint)
        try:
            run = train(model, task, config, checkpoint=checkpoint, validate=score, average=average, on_step=on_step)
        except FloatingPointError as error:
            raise InputError(f"training got out of hand in the stage {stage!r}: {error}") from error
        if (epochs := run["epochs"]) < config.epochs:
            done, better = epochs * task.steps(), f"none after epoch {run['best_epoch'] + 1} was better"
            self._tell(stage, done, done, f"stopped after epoch {epochs} of {config.epochs}: {better}")

    def _check_recipe(self, stage: str, checkpoint: Path) -> None:
        """The trainer knows its own settings only; a stage hangs on those of the stages before it too."""
        kind = stage.split()[0]
        parts = self._recipe.model_dump(mode="json", include=_HANGS_ON[kind])
        if self._content:
            reads = _READS.get(kind, self._content.keys())
            parts["data"] = {name: value for name, value in self._content.items() if name in reads}
        wanted, kept = json.dumps(parts, sort_keys=True, indent=1), checkpoint.with_suffix(".recipe.json")
        if not (checkpoint.exists() and kept.exists()):
            write_text(kept, wanted)
        elif (before := kept.read_text(encoding="utf-8")) != wanted:
            stages = list(_HANGS_ON)
            later = ", ".join(f"{name}*" for name in stages[stages.index(kind) :])
            raise BundleError(
                f"the checkpoint {str(checkpoint)!r} belongs to another recipe or other data{_changed(before, parts)}; "
                f"choose another work folder, or delete {later} in this one"
            )


def _changed(before: str, parts: Mapping[str, Any]) -> str:
    """What is not as it was, in brackets; nothing if what was cannot be read."""
    try:
        known, now = _flat(json.loads(before)), _flat(parts)
    except (ValueError, AttributeError):
        return ""
    return f" (changed: {', '.join(name for name in {**known, **now} if known.get(name) != now.get(name))})"


def _flat(parts: Mapping[str, Any]) -> dict[str, Any]:
    own = {f"data.{name}": digest for name, digest in parts.get("data", {}).items()}
    return {name: value for name, value in parts.items() if name != "data"} | own
