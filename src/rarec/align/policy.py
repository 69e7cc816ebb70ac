"""The retriever as a policy: scores define a Plackett-Luce distribution over sets of n items out of a proposal.

A set is drawn item by item without replacement, each in proportion to exp(score / temperature) among what is left.
The proposal holds the best M items of a row, M >> n. What lies outside can never be drawn, so the policy is that of
the truncated catalogue; `Proposal.mass` says how much was cut off.

Shapes: B rows (turns), M items of the proposal, G groups (sets a row), n items a set. Log-probabilities are in nats.
A score of -inf marks an item that cannot be drawn (already mentioned, or padding); its gradient is 0. All functions
are differentiable in the scores, keep their dtype, and give an empty result for no rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rarec.align.checks import check_enough, check_scores, without
from rarec.align.logits import finite_logits, log_rest, picked_logits
from rarec.errors import InputError


@dataclass(frozen=True, slots=True)
class Proposal:
    """The items among which sets are drawn.

    Attributes:
        items: columns of the catalogue, best first, int64, shape (B, M).
        scores: theirs, shape (B, M).
        mass: share of the first draw from the whole catalogue that falls on them, 0 to 1, shape (B,), no gradient.
    """

    items: Tensor
    scores: Tensor
    mass: Tensor


def propose(scores: Tensor, m: int, *, temperature: float = 1.0, mask: Tensor | None = None) -> Proposal:
    """The best m items of each row, and how much probability the truncation leaves out.

    Args:
        scores: of the whole catalogue, shape (B, items).
        mask: True where an item may not be drawn, bool, shape (B, items).
    Raises:
        InputError: a row has fewer than m items that may be drawn, or a score is NaN.
    """
    check_scores(scores, temperature)
    allowed = without(scores, mask)
    check_enough(allowed, m, "m")
    best = allowed.topk(m, dim=-1)
    with torch.no_grad():
        logits = allowed / temperature
        mass = (logits.gather(1, best.indices).logsumexp(-1) - logits.logsumexp(-1)).exp().clamp(max=1.0)
    return Proposal(items=best.indices, scores=best.values, mass=mass)


def sample_sets(
    scores: Tensor,
    n: int,
    *,
    groups: int,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """Draw sets without replacement; the items of a set stand in the order in which they were drawn.

    Args:
        scores: of the proposal, shape (B, M).
        n: items a set.
        groups: independent sets a row.
        mask: True where an item may not be drawn, bool, shape (B, M).
    Returns:
        columns of `scores`, int64, shape (B, groups, n), no gradient.
    Raises:
        InputError: a row has fewer than n items that may be drawn, or a score is NaN.
    Source: Gumbel top-k, Kool et al. 2019, "Stochastic beams and where to find them", section 2.3: the largest n of
        score + Gumbel noise, in order, are a draw from Plackett-Luce (Yellott 1977).
    """
    check_scores(scores, temperature)
    if groups < 1:
        raise InputError(f"groups must be at least 1, got {groups!r}")
    allowed = without(scores.detach(), mask)
    check_enough(allowed, n, "n")
    logits = (allowed / temperature)[:, None, :]
    clocks = torch.empty(logits.shape[0], groups, logits.shape[2], dtype=logits.dtype, device=logits.device)
    clocks.exponential_(generator=generator).clamp_(min=torch.finfo(logits.dtype).tiny)  # -log(clock) is Gumbel
    return (logits - clocks.log()).topk(n, dim=-1).indices


def step_log_probs(scores: Tensor, sets: Tensor, *, temperature: float = 1.0) -> Tensor:
    """log p of each draw of an ordered set given the draws before it.

    What is left at a draw is summed up from its end (the items never drawn, then the last draw, then the one before),
    so nothing is subtracted and a few items that hold all the mass do no harm.

    Args:
        scores: shape (B, M).
        sets: distinct columns in the order of the draws, int64, shape (B, G, n).
    Returns:
        nats, at most 0, shape (B, G, n); -inf where an item that cannot be drawn was.
    Raises:
        InputError: a score is NaN, or a set is no set of columns.
    """
    logits, picked, impossible = picked_logits(scores, sets, temperature)
    rest = log_rest(logits, sets)
    left = torch.cat([rest[..., None], picked.flip(-1)], dim=-1).logcumsumexp(dim=-1)[..., 1:].flip(-1)
    return torch.where(impossible, -torch.inf, (picked - left).clamp(max=0.0))


def ordered_log_prob(scores: Tensor, sets: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Exact log p of drawing these items in this order.

    log p(i_1 .. i_n) = sum_t [ s_t - log sum_{j not in i_1 .. i_(t-1)} exp s_j ], s = score / temperature.

    Args, Raises: as `step_log_probs`.
    Returns:
        nats, at most 0, shape (B, G).
    Source: Plackett 1975; Luce 1959.
    """
    return step_log_probs(scores, sets, temperature=temperature).sum(-1)


def multinomial_set_log_prob(scores: Tensor, sets: Tensor, *, temperature: float = 1.0) -> Tensor:
    """log p of n independent draws (with replacement) that give these items in this order: a sum of log-softmax.

    It is not the probability of a set that was drawn without replacement, but has no normaliser that depends on the
    order, so the margin of two sets of a row is the difference of their sums of scores. Add log n! for the event that
    each item comes up once in any order; that is at most `set_log_prob`.

    Args, Raises: as `step_log_probs`.
    Returns:
        nats, at most 0, shape (B, G).
    Source: the multinomial surrogate of Mult-DPO, Zhu et al. 2026 (arXiv 2606.10078).
    """
    logits, picked, impossible = picked_logits(scores, sets, temperature)
    return torch.where(impossible, -torch.inf, picked - logits.logsumexp(-1)[:, None, None]).sum(-1)


def first_draw_kl(scores: Tensor, reference_scores: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Exact KL(policy || reference) of the first draw, over the same proposal.

    It is the KL of two softmaxes and a lower bound of the KL of whole ordered sets (chain rule). `grpo_loss` estimates
    the latter from the sampled sets instead.

    Args:
        scores, reference_scores: shape (B, M), columns are the same items.
    Returns:
        nats, at least 0, shape (B,); inf where the reference cannot draw what the policy can.
    Raises:
        InputError: the shapes differ or a score is NaN.
    """
    check_scores(scores, temperature)
    check_scores(reference_scores, temperature)
    if scores.shape != reference_scores.shape:
        raise InputError(f"shapes differ: scores {tuple(scores.shape)}, reference {tuple(reference_scores.shape)}")
    if not scores.shape[1]:
        raise InputError("a policy over no items has no KL; propose at least one item")
    absent, foreign = scores == -torch.inf, reference_scores == -torch.inf
    own, other = (finite_logits(s, temperature).log_softmax(-1) for s in (scores, reference_scores))
    parts = torch.where(absent | foreign, 0.0, own.exp() * (own - other)).sum(-1)
    return torch.where((foreign & ~absent).any(-1), torch.inf, parts.clamp(min=0.0))
