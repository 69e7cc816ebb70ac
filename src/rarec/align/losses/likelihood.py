"""Supervised losses on the true items of a turn."""

from __future__ import annotations

import torch
from torch import Tensor

from rarec.align.checks import check_rewards, check_same_shape, check_scores
from rarec.align.logits import finite_logits
from rarec.errors import InputError


def nll_loss(scores: Tensor, truth: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Softmax loss of the true items, each against everything but the other true ones.

        L = - 1/|T| sum_{i in T} [ s_i - log( exp s_i + sum_{j not in T} exp s_j ) ]

    Each summand is `retriever.losses.softmax_loss` with the other targets of the turn excluded, as the retriever is
    trained; items to be excluded for other reasons score -inf.

    Args:
        scores: of the proposal or the whole catalogue, shape (B, M).
        truth: which items are true, bool, shape (B, M).
    Returns:
        nats, at least 0, shape (B,); 0, with zero gradient, where no true item of the row can be drawn (the truth is
        outside the proposal). Count such rows: over a proposal they cannot be learned from.
    Raises:
        InputError: the shapes differ or a score is NaN.
    Source: multi-target softmax, e.g. Covington et al. 2016, section 3.2.
    """
    check_scores(scores, temperature)
    check_same_shape(scores=scores, truth=truth)
    logits = finite_logits(scores, temperature)
    floor = float(torch.finfo(scores.dtype).min) / 8
    counted = truth & (scores > -torch.inf)
    others = torch.where(truth, floor, logits).logsumexp(-1, keepdim=True) if scores.shape[1] else logits
    each = torch.nn.functional.softplus(torch.where(counted, others - logits, 0.0))
    return torch.where(counted, each, 0.0).sum(-1) / counted.sum(-1).clamp(min=1)


def reward_weighted_nll(losses: Tensor, rewards: Tensor) -> Tensor:
    """Supervised losses weighted by what the language model made of each turn, relative to the batch.

        L_b = nll_b mean_g R_bg / mean_b mean_g R_bg

    A control: it uses the rewards and draws the same sets, but says nothing about which set earned them.

    Args:
        losses: `nll_loss`, shape (B,).
        rewards: at least 0, shape (B, G).
    Returns:
        shape (B,); 0 where no turn of the batch has a reward.
    Raises:
        InputError: the rows differ, or a reward is negative or not finite.
    Source: reward-weighted regression, Peters and Schaal 2007. Differs from it in what is fitted: the true item, which
        is known here, and not the sampled action.
    """
    check_rewards(rewards)
    if losses.shape != rewards.shape[:1]:
        raise InputError(f"shapes differ: losses {tuple(losses.shape)}, rewards {tuple(rewards.shape)}")
    if bool((rewards < 0).any()):
        raise InputError(f"row {int((rewards < 0).nonzero()[0, 0])} has a negative reward; weights must be at least 0")
    mean = rewards.detach().mean(-1)
    return losses * (mean / mean.mean().clamp(min=torch.finfo(mean.dtype).tiny) if len(mean) else mean)
