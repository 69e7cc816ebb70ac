"""Losses of alignment: pure functions of tensors, unreduced, nothing about how sets were drawn or judged.

Shapes: B rows (turns), M items of the proposal, G groups (sets a row), n items a set. `masked_mean` reduces.
"""

from rarec.align.losses.advantages import group_advantages, leave_one_out_advantages, masked_mean
from rarec.align.losses.credit import centred_credits, credit_assigned_loss, top1_loss
from rarec.align.losses.likelihood import nll_loss, reward_weighted_nll
from rarec.align.losses.policy_gradient import grpo_loss, k3_kl, plackett_luce_policy_gradient
from rarec.align.losses.preference import BestAndWorst, best_and_worst, dpo_loss, multinomial_dpo_loss, only_in

__all__ = [
    "BestAndWorst",
    "best_and_worst",
    "centred_credits",
    "credit_assigned_loss",
    "dpo_loss",
    "group_advantages",
    "grpo_loss",
    "k3_kl",
    "leave_one_out_advantages",
    "masked_mean",
    "multinomial_dpo_loss",
    "nll_loss",
    "only_in",
    "plackett_luce_policy_gradient",
    "reward_weighted_nll",
    "top1_loss",
]
