"""Losses from preferences: between two sets, and between the good and the bad items of an offer."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor
from torch.nn import functional as F

from rarec.align.checks import check_finite, check_rewards, check_same_shape
from rarec.errors import InputError


@dataclass(frozen=True, slots=True)
class BestAndWorst:
    """Which set of each row is preferred, and which is not.

    Attributes:
        best, worst: group of the row, int64, shape (B,); the first one where several are equal.
        mask: False where all rewards of the row are equal, so that there is no preference, bool, shape (B,).
    """

    best: Tensor
    worst: Tensor
    mask: Tensor

    def margins(self, log_probs: Tensor) -> Tensor:
        """log p(best) - log p(worst) of log-probabilities (B, G), shape (B,)."""
        best, worst = (log_probs.gather(1, of[:, None])[:, 0] for of in (self.best, self.worst))
        return best - worst


def best_and_worst(rewards: Tensor) -> BestAndWorst:
    """The sets with the largest and the smallest reward of each row; rows of equal rewards are masked out.

    Args:
        rewards: shape (B, G); with G = 1 every row is masked out.
    Raises:
        InputError: a reward is not finite; the row is named.
    """
    check_rewards(rewards)
    # min and max by first place: torch leaves open which of equal values its argmax gives
    best, worst = (
        (rewards == ends).to(torch.int8).argmax(-1)
        for ends in (rewards.amax(-1, keepdim=True), rewards.amin(-1, keepdim=True))
    )
    return BestAndWorst(best=best, worst=worst, mask=rewards.amax(-1) > rewards.amin(-1))


def dpo_loss(policy_margin: Tensor, reference_margin: Tensor, *, beta: float) -> Tensor:
    """Per-pair DPO loss.

        L = - log sigmoid( beta (policy_margin - reference_margin) )

    Args:
        policy_margin: log p(best) - log p(worst) under the policy, nats, shape (B,). From `ordered_log_prob`,
            `set_log_prob`, or `multinomial_set_log_prob`, whose margin is a difference of sums of scores.
        reference_margin: the same under the frozen reference.
        beta: pull towards the reference, > 0. For beta -> 0 the gradient is -beta/2 times that of the margin.
    Returns:
        nats, above 0, shape (B,).
    Raises:
        InputError: beta is not positive, the shapes differ, or a margin is not finite.
    Source: Rafailov et al. 2023, eq. 7.

    >>> dpo_loss(torch.zeros(1), torch.zeros(1), beta=0.1)
    tensor([0.6931])
    """
    _check_beta(beta)
    check_same_shape(policy_margin=policy_margin, reference_margin=reference_margin)
    for margin in (policy_margin, reference_margin):
        check_finite(margin, "a margin", "leave rows out whose sets the policy or the reference cannot draw")
    return -F.logsigmoid(beta * (policy_margin - reference_margin.detach()))


def multinomial_dpo_loss(
    scores: Tensor, reference_scores: Tensor, *, positive: Tensor, negative: Tensor, beta: float
) -> Tensor:
    """Mult-DPO: every positive item before every negative one, with no order among either, in closed form.

        L = - sum_{i in P} z_i + k log sum_{j in P or N} exp z_j - log k!,   z = beta (log p - log p_ref),  k = |P|

    It is -log of the chance that k draws with replacement in proportion to exp z give each positive once and no
    negative: an upper bound of the same loss under Plackett-Luce, summed over all orders, by at most
    (k - 1) log(1 + weight of P / weight of N). Normalisers of p cancel, so scores may stand in for log p. With one
    positive and one negative it is `dpo_loss` of the two items.

    Args:
        scores: of the policy, over temperature, shape (B, M).
        reference_scores: of the frozen reference, shape (B, M).
        positive, negative: which items are which, bool, shape (B, M); others play no part, and may score -inf.
        beta: > 0.
    Returns:
        nats, at least 0, shape (B,); 0, with zero gradient, where a row has no positive or no negative.
    Raises:
        InputError: beta is not positive, the shapes differ, an item is both, or one that counts has no finite score.
    Source: Zhu et al. 2026, "Mult-DPO" (arXiv 2606.10078), read in its abstract and public summaries. Differs in the
        policy: items of a retriever, not texts of a language model.
    """
    _check_beta(beta)
    check_same_shape(scores=scores, reference_scores=reference_scores, positive=positive, negative=negative)
    if bool((positive & negative).any()):
        row, item = (int(v) for v in (positive & negative).nonzero()[0])
        raise InputError(f"item {item} of row {row} is both positive and negative; `only_in` takes such items out")
    counts = positive | negative
    ratio = torch.where(counts, scores, 0.0) - torch.where(counts, reference_scores, 0.0).detach()
    check_finite(ratio.detach(), "scores", "items that count need finite scores")
    z = beta * ratio
    k = positive.sum(-1).to(z.dtype)
    told = (k > 0) & negative.any(-1)
    whole = torch.where(counts | ~told[:, None], z, float(torch.finfo(z.dtype).min) / 8).logsumexp(-1)
    loss = k * whole - torch.where(positive, z, 0.0).sum(-1) - torch.lgamma(k + 1)
    return torch.where(told, loss, 0.0)


def only_in(best: Tensor, worst: Tensor, *, items: int) -> tuple[Tensor, Tensor]:
    """Which items of a proposal are in the preferred set only, and which in the other only.

    Args:
        best, worst: columns of the proposal, int64, shape (B, n).
        items: M, the size of the proposal.
    Returns:
        two bool tensors of shape (B, M), ready for `multinomial_dpo_loss`.
    """
    first, second = (
        torch.zeros(len(of), items, dtype=torch.bool, device=of.device).scatter(1, of, True) for of in (best, worst)
    )
    return first & ~second, second & ~first


def _check_beta(beta: float) -> None:
    if not (isfinite(beta) and beta > 0):
        raise InputError(f"beta must be > 0, got {beta!r}; 0.1 is a usual start")
