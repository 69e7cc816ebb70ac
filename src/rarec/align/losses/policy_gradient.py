"""Policy gradients that give one reward to a whole set; their noise grows with n, see `credit` for many items."""

from __future__ import annotations

from math import isfinite

import torch
from torch import Tensor

from rarec.align.checks import check_finite, check_same_shape
from rarec.errors import InputError


def plackett_luce_policy_gradient(log_probs: Tensor, advantages: Tensor) -> Tensor:
    """REINFORCE: the gradient is that of the expected reward, without bias; the value means nothing.

        L_g = - A_g log p(set_g)

    Args:
        log_probs: of ordered sets drawn from this policy (`ordered_log_prob`), nats, shape (B, G).
        advantages: shape (B, G); `leave_one_out_advantages` keeps the gradient unbiased, `group_advantages` does not.
    Returns:
        shape (B, G).
    Raises:
        InputError: the shapes differ, or a value is not finite.
    Source: Williams 1992. The log-probability of the unordered set (`set_log_prob`) may stand in for that of the order:
        it is the ordered one's gradient averaged over orders, so it has the same mean and less variance.
    """
    _check(log_probs, advantages)
    return -advantages.detach() * log_probs


def grpo_loss(
    log_probs: Tensor,
    old_log_probs: Tensor,
    reference_log_probs: Tensor,
    advantages: Tensor,
    *,
    clip: float = 0.2,
    kl_weight: float = 0.0,
) -> Tensor:
    """Clipped ratio times group advantage, with a pull towards a reference policy.

        L_g = - min(rho A, clamp(rho, 1 - clip, 1 + clip) A) + kl_weight k3,   rho = p(set_g) / p_old(set_g)

    Args:
        log_probs: of the ordered sets under the policy, nats, shape (B, G).
        old_log_probs: under the policy that drew them; equal to `log_probs` (detached) if on-policy.
        reference_log_probs: under the frozen reference.
        advantages: `group_advantages` of the rewards, shape (B, G).
        clip: > 0.
        kl_weight: >= 0; see `k3_kl`.
    Returns:
        shape (B, G).
    Raises:
        InputError: the shapes differ, a value is not finite, or a setting is out of range.
    Source: GRPO, Shao et al. 2024 (arXiv 2402.03300), eq. 3. Differs from the paper in that a set is one action with
        one ratio, not a mean over tokens. The log-ratio is a sum over n draws, so off-policy it leaves the clip range
        sooner for large n; pass log-probabilities divided by n for the geometric mean of GSPO (Zheng et al. 2025).
    """
    _check(log_probs, old_log_probs, reference_log_probs, advantages)
    if not clip > 0:
        raise InputError(f"clip must be > 0, got {clip!r}; 0.2 is a usual start")
    if not (isfinite(kl_weight) and kl_weight >= 0):
        raise InputError(f"kl_weight must be a number from 0, got {kl_weight!r}")
    fixed = advantages.detach()
    ratio = (log_probs - old_log_probs.detach()).clamp(max=60.0).exp()
    loss = -torch.minimum(ratio * fixed, ratio.clamp(1.0 - clip, 1.0 + clip) * fixed)
    return loss + kl_weight * k3_kl(log_probs, reference_log_probs) if kl_weight else loss


def k3_kl(log_probs: Tensor, reference_log_probs: Tensor) -> Tensor:
    """An estimate of KL(policy || reference) from draws of the policy that is never negative.

        k3 = exp(d) - d - 1,   d = log p_ref(set) - log p(set)

    Its mean over draws of the policy is the KL. The mean of its *gradient* is that of KL(reference || policy), not of
    the KL that it estimates; both pull to the same point.

    Args:
        log_probs, reference_log_probs: same shape, nats; d is cut off at 30.
    Returns:
        nats, at least 0, the same shape.
    Source: Schulman 2020, "Approximating KL divergence"; GRPO, eq. 4.
    """
    d = (reference_log_probs.detach() - log_probs).clamp(max=30.0)
    return torch.expm1(d) - d


def _check(log_probs: Tensor, *others: Tensor) -> None:
    check_same_shape(log_probs=log_probs, **{f"argument {i}": t for i, t in enumerate(others, start=2)})
    remedy = "a set that the policy cannot draw, or a failed rollout, must be left out before the loss"
    for values in (log_probs, *others):
        check_finite(values, "an argument of the loss", remedy)
