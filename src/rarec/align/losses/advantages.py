"""From rewards of a group to advantages, and from losses to one number."""

from __future__ import annotations

import torch
from torch import Tensor

from rarec.align.checks import check_rewards, check_same_shape
from rarec.errors import InputError


def group_advantages(rewards: Tensor, *, scale: bool = True, eps: float = 1e-4) -> Tensor:
    """Rewards against the mean of their group, over its standard deviation.

        A_g = (r_g - mean_g r) / (std_g r + eps)

    Args:
        rewards: shape (B, G).
        scale: divide by the deviation; without it every turn counts by how much its rewards differ.
        eps: added to the deviation, in units of the reward, > 0: it damps groups whose rewards barely differ.
    Returns:
        no gradient, shape (B, G), the mean of each row 0; exactly 0 where all rewards of a row are equal or G = 1.
    Raises:
        InputError: a reward is not finite; the row is named.
    Source: GRPO, Shao et al. 2024 (arXiv 2402.03300), section 4.1; without scale as Liu et al. 2025 (Dr. GRPO). Differs
        from trl in the deviation, here of the population (divided by G), so that one group is 0 and not NaN.
    """
    check_rewards(rewards)
    if not eps > 0:
        raise InputError(f"eps must be > 0, got {eps!r}; 1e-4 is a usual start")
    fixed = rewards.detach()
    centred = fixed - fixed.mean(-1, keepdim=True)
    centred = torch.where(_all_equal(fixed), 0.0, centred)  # rounding of the mean is no signal
    if not scale:
        return centred
    return centred / (centred.square().mean(-1, keepdim=True).sqrt() + eps)


def leave_one_out_advantages(rewards: Tensor) -> Tensor:
    """Each reward minus the mean of the others of its group, which the set itself had no part in: it adds no bias.

    Args:
        rewards: shape (B, G). With G = 1 there are no others: the reward itself comes back (no baseline).
    Returns:
        no gradient, shape (B, G); exactly 0 where all rewards of a row are equal and G > 1.
    Raises:
        InputError: a reward is not finite; the row is named.
    Source: Kool et al. 2019, "Buy 4 REINFORCE samples, get a baseline for free!".
    """
    check_rewards(rewards)
    fixed, groups = rewards.detach(), rewards.shape[1]
    if groups == 1:
        return fixed
    others = (fixed.sum(-1, keepdim=True) - fixed) / (groups - 1)
    return torch.where(_all_equal(fixed), 0.0, fixed - others)


def masked_mean(losses: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean of the losses where the mask is True; 0, with zero gradient, where nothing counts.

    Args:
        losses: any shape.
        mask: True where a loss counts, bool, same shape; None counts all. What it leaves out may be NaN or infinite.
    Returns:
        shape ().
    Raises:
        InputError: the shapes differ.
    """
    if mask is None:
        return losses.sum() / max(losses.numel(), 1)
    check_same_shape(losses=losses, mask=mask)
    return torch.where(mask, losses, 0.0).sum() / mask.sum().clamp(min=1)


def _all_equal(rewards: Tensor) -> Tensor:
    return rewards.amax(-1, keepdim=True) == rewards.amin(-1, keepdim=True)
