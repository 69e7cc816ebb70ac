"""Training of the local ranker: to put the item that was recommended first, among what the retriever offers.

The candidates of a training turn must come from a retriever that was not trained on it, or its scores look better
than they will be when serving; `rarec train` trains one retriever a fold for this.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional as F

from rarec.errors import InputError
from rarec.ranker.features import RankerInput
from rarec.ranker.model import Ranker


class RankerTrainingConfig(BaseModel):
    """Settings of `ChooseTarget`; `batch` is ranking tasks a step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch: int = Field(default=64, gt=0)


@dataclass(frozen=True, slots=True)
class Example:
    """One ranking task with its answer.

    Attributes:
        given: the task as arrays.
        targets: positions of the right candidates; may be empty when none was found.
        missed: how many right items are not among the candidates.
        dialogue: the conversation that it comes from; resampling is by dialogue.
    """

    given: RankerInput
    targets: tuple[int, ...]
    missed: int = 0
    dialogue: str = ""


class ChooseTarget:
    """Listwise softmax over the candidates; a task with several targets spreads its weight over them.

    Examples without a target among the candidates teach nothing and are left out.

    Raises:
        InputError: no example is left.
    """

    def __init__(
        self, model: Ranker, examples: Sequence[Example], config: RankerTrainingConfig, *, seed: int = 0
    ) -> None:
        self._model, self._config, self._seed = model, config, seed
        self._examples = [e for e in examples if e.targets]
        if not self._examples:
            raise InputError(
                f"none of {len(examples)} examples has its target among the candidates; offer more candidates"
            )

    def steps(self) -> int:
        return math.ceil(len(self._examples) / self._config.batch)

    def loss(self, epoch: int, step: int, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        order = torch.randperm(
            len(self._examples), generator=torch.Generator().manual_seed(self._seed * 9_176_263 + epoch)
        )
        size = self._config.batch
        chunk = [self._examples[int(i)] for i in order[step * size : (step + 1) * size]]
        with torch.autocast("cpu", enabled=False):  # it is small, and its scores would be rounded
            scores = padded_scores(self._model, [e.given for e in chunk])
        wanted = torch.zeros_like(scores)
        for row, example in enumerate(chunk):
            wanted[row, list(example.targets)] = 1 / len(example.targets)
        return -(wanted * F.log_softmax(scores, dim=1).clamp(min=-1e4)).sum(dim=1).mean()


def padded_scores(model: Ranker, given: Sequence[RankerInput]) -> Tensor:
    """Scores of several tasks, shape (tasks, most candidates); minus infinity where a task has fewer."""
    most = max(len(g.dense) for g in given)

    def stack(arrays: Sequence[NDArray[np.float32]]) -> Tensor:
        out = np.zeros((len(arrays), most, arrays[0].shape[1]), dtype=np.float32)
        for row, array in enumerate(arrays):
            out[row, : len(array)] = array
        return torch.from_numpy(out)

    context = torch.from_numpy(np.stack([g.context for g in given]))
    scores: Tensor = model(stack([g.dense for g in given]), stack([g.items for g in given]), context)
    real = torch.arange(most)[None, :] < torch.tensor([len(g.dense) for g in given])[:, None]
    return scores.masked_fill(~real, -torch.inf)


def order_of(model: Ranker, given: Sequence[RankerInput], *, batch: int = 128) -> list[NDArray[np.int64]]:
    """Positions of every task's candidates, best first; ties in the offered order."""
    model.eval()
    result: list[NDArray[np.int64]] = []
    with torch.inference_mode():
        for start in range(0, len(given), batch):
            chunk = given[start : start + batch]
            scores = padded_scores(model, chunk).numpy()
            result += [np.argsort(-row[: len(g.dense)], kind="stable") for row, g in zip(scores, chunk, strict=True)]
    return result


def gains_at_10(orders: Sequence[NDArray[np.int64]], targets: Sequence[tuple[int, ...]]) -> list[NDArray[np.float64]]:
    """For each task the NDCG@10 of each target on its own: 1 / log2(1 + rank), 0 past rank ten."""
    gains: list[NDArray[np.float64]] = []
    for order, wanted in zip(orders, targets, strict=True):
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(1, len(order) + 1)
        own = rank[list(wanted)]
        gains.append(np.where(own <= 10, 1 / np.log2(1 + own), 0.0))
    return gains
