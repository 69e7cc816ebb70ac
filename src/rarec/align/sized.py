"""The loss of a batch whose turns have sets of different sizes."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from rarec.align.learners import BaseLearner, JudgedBatch, LearnerLoss


def loss_by_size(learner: BaseLearner, batch: JudgedBatch, sizes: Tensor | None) -> LearnerLoss:
    """What a learner makes of a batch, turns with sets of one size at a time.

    Log-probabilities and inclusion are of sets of a size, so others cannot be filled up to it. The losses are averaged
    with the numbers of valid sets as weights: what a learner scales by its batch, it scales within a size.

    Args:
        sizes: how many of the places of each turn's sets count, shape (B,); None takes all.
    """
    if sizes is None or bool((sizes == batch.sets.shape[2]).all()):
        return learner.loss(batch)
    values, told = list[Tensor](), torch.zeros(len(sizes), dtype=torch.bool)
    log_probs = None
    total = batch.valid.sum().clamp(min=1)
    for size in torch.unique(sizes).tolist():
        rows = (sizes == size).nonzero()[:, 0]
        found = learner.loss(_part(batch, rows, size))
        values.append(found.value * (batch.valid[rows].sum() / total))
        told[rows] = found.told
        if found.log_probs is not None:
            log_probs = torch.zeros(batch.valid.shape, dtype=found.log_probs.dtype) if log_probs is None else log_probs
            log_probs[rows] = found.log_probs
    return LearnerLoss(torch.stack(values).sum(), told, log_probs)


def _part(batch: JudgedBatch, rows: Tensor, size: int) -> JudgedBatch:
    return replace(
        batch,
        scores=batch.scores[rows],
        reference=batch.reference[rows],
        sets=batch.sets[rows, :, :size],
        rewards=batch.rewards[rows],
        valid=batch.valid[rows],
        credits=batch.credits[rows, :, :size],
        nll=None if batch.nll is None else batch.nll[rows],
        old=None if batch.old is None else batch.old[rows],
    )
