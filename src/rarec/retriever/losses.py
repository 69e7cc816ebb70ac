"""Losses of supervised training, as pure functions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def sampled_softmax_loss(
    positive: Tensor, negative: Tensor, *, positive_log_q: Tensor, negative_log_q: Tensor, collision: Tensor
) -> Tensor:
    """Softmax over the true item and shared sampled negatives, corrected for how they were sampled, unreduced.

    Args:
        positive: score of the true item, shape (rows,).
        negative: scores of the sampled items, shape (rows, samples).
        positive_log_q: log of the expected count of the true item in the sample, shape (rows,).
        negative_log_q: the same for the sampled items, shape (samples,).
        collision: where a sampled item is the true one (or must not count), bool, shape (rows, samples).
    Returns:
        negative log likelihood in nats, shape (rows,).
    Source: Bengio and Senecal 2008; Yi et al. 2019, "Sampling-bias-corrected neural modeling", eq. 3-4.
    """
    corrected = (negative - negative_log_q).masked_fill(collision, -torch.inf)
    true = positive - positive_log_q
    return torch.logsumexp(torch.cat([true[:, None], corrected], dim=1), dim=1) - true


def softmax_loss(scores: Tensor, target: Tensor, excluded: Tensor) -> Tensor:
    """Softmax over a whole catalogue in which some items are out of the question, unreduced.

    Args:
        scores: shape (rows, items).
        target: index of the true item, int64, shape (rows,).
        excluded: items that could not be recommended (already mentioned), bool, shape (rows, items). A target
            is never excluded, even if it is marked.
    Returns:
        negative log likelihood in nats, shape (rows,).
    """
    out = excluded.scatter(1, target[:, None], False)
    return F.cross_entropy(scores.masked_fill(out, -torch.inf), target, reduction="none")
