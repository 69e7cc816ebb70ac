"""Policy gradients that give each item of a set its own credit, so that their noise does not grow with the set.

The reward of a set is split into credits, R = sum_{i in S} c_i (for NDCG, `reward.ndcg_credits`; or what the item
changed, `reward.leave_one_out_credits`). The exact gradient of the expected reward is then

    sum_i [ E(c_i | i in S) grad pi_i  +  pi_i grad E(c_i | i in S) ],   pi_i = P(i in S).

The estimators here keep the first term and drop the second, the change of an item's credit with its company. They are
unbiased where a credit does not depend on the rest of the set (additive rewards); else the second term is their bias.
For NDCG that term is the truth pushed down by strong distractors: it counts where n is well above the cut-off, and
leave-one-out credits charge most of it to the distractors.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rarec.align.checks import check_finite, check_same_shape, check_scores, check_sets
from rarec.align.logits import finite_logits
from rarec.errors import InputError


def credit_assigned_loss(log_marginals: Tensor, sets: Tensor, credits: Tensor) -> Tensor:
    """CA-PG: each offered item's credit moves the log-probability that it is offered at all, whatever its company.

        L_g = - sum_{i in set_g} c_i log pi_i

    Args:
        log_marginals: log P(i in S) of every item of the proposal, nats, shape (B, M); from `log_inclusion` (unbiased
            for additive rewards), or cheaper `replacement_log_inclusion` (with replacement).
        sets: drawn from this policy, columns of the proposal, int64, shape (B, G, n).
        credits: of the items of each set, in its order, shape (B, G, n).
    Returns:
        shape (B, G); an item without credit plays no part, even at log-probability -inf.
    Raises:
        InputError: the shapes differ, a credit is not finite, or an item with credit has probability 0.
    Source: Kiyohara et al. 2026, "Credit-assigned policy gradient for early stage retrieval in two-stage ranking"
        (arXiv 2605.26385), read in its abstract and its public code. Differs from them in the marginal, there taken
        along one ordering of the other items and here integrated over all; in that every offered item may have credit,
        there only those in the final ranking; and in the conditions above, which are derived here.
    """
    if log_marginals.ndim != 2:
        raise InputError(f"log_marginals must have the shape (rows, items), got {tuple(log_marginals.shape)}")
    check_sets(log_marginals, sets)
    check_same_shape(sets=sets, credits=credits)
    check_finite(credits, "credits", "leave failed rollouts out before the loss")
    fixed = credits.detach()
    picked = log_marginals.gather(1, sets.flatten(1)).view(sets.shape)
    picked = torch.where(fixed == 0, 0.0, picked)
    check_finite(picked.detach(), "log_marginals", "an item that cannot be offered must have no credit")
    return -(fixed * picked).sum(-1)


def top1_loss(scores: Tensor, sets: Tensor, credits: Tensor, *, temperature: float = 1.0) -> Tensor:
    """TOP1-PG: as `credit_assigned_loss` with the probability of being the first draw.

        L_g = - sum_{i in set_g} c_i log softmax(s)_i

    For n = 1, or for sets drawn with replacement, it is unbiased (additive rewards). For sets without replacement its
    mean is sum_i pi_i c_i grad log p_i: items that are in nearly every set go on being pushed up, where their marginal
    has nothing more to gain. It costs one log-softmax.

    Args, Returns, Raises: as `credit_assigned_loss`, with the scores of the proposal, shape (B, M).
    Source: as `credit_assigned_loss`.
    """
    check_scores(scores, temperature)
    log_p = torch.where(scores == -torch.inf, -torch.inf, finite_logits(scores, temperature).log_softmax(-1))
    return credit_assigned_loss(log_p, sets, credits)


def centred_credits(credits: Tensor) -> Tensor:
    """Credits minus the mean credit of the other sets of the row: less noise where all offers earn alike.

    With exact marginals it adds no bias, since they add up to n whatever the scores: the mean of sum_{i in S} grad log
    pi_i is 0. Where few items have credit it changes little.

    Args:
        credits: shape (B, G, n); G = 1 comes back as it is.
    Raises:
        InputError: a credit is not finite.
    """
    check_finite(credits, "credits", "leave failed rollouts out before the loss")
    groups = credits.shape[1]
    if groups == 1:
        return credits.detach()
    means = credits.detach().mean(-1, keepdim=True)
    others = (means.sum(1, keepdim=True) - means) / (groups - 1)
    return torch.where(
        credits.detach().amax((1, 2), keepdim=True) == credits.detach().amin((1, 2), keepdim=True),
        0.0,
        credits.detach() - others,
    )
