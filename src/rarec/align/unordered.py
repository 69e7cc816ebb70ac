"""log p of a set whatever the order of its draws."""

from __future__ import annotations

from math import log1p

import torch
from torch import Tensor

from rarec.align.logits import bisect, floor_of, log_rest, log_rung, picked_logits

NODES = 128
_DROP = 32.0  # nats below the mode at which the integrand is cut off


def set_log_prob(scores: Tensor, sets: Tensor, *, temperature: float = 1.0) -> Tensor:
    """log p of drawing these items in any order, for any n.

    Give each item an exponential clock of rate w = exp(s). The set is drawn if all its clocks ring before the first
    one outside, whose rate is R, the sum of the others:

        P(S) = integral of R exp(-R t) prod_{i in S} (1 - exp(-w_i t)) dt.

    In log time the integrand is log-concave and entire, so the trapezoidal rule around its mode converges
    exponentially: 128 nodes agree with the sum over all orders to 1e-10 in float64 (1e-4 in float32).
    Cost: B x G x (M + 128 n); a sum over the n! orders or the 2^n subsets is never made.

    Args, Raises: as `policy.step_log_probs`.
    Returns:
        nats, at most 0, shape (B, G); 0 where nothing is left outside.
    Source: Kool et al. 2020, "Estimating gradients for discrete random variables by sampling without replacement",
        appendix B. Differs from it in the variable (log time) and in nodes that adapt to the set.
    """
    logits, picked, impossible = picked_logits(scores, sets, temperature)
    rest = log_rest(logits, sets)
    alone = rest <= floor_of(logits) / 2  # nothing outside the set can be drawn
    odds = torch.where(alone[..., None] | impossible, 0.0, picked - rest[..., None])
    with torch.no_grad():
        nodes, step = _nodes(odds)
    found = (_log_integrand(odds, nodes).logsumexp(-1) + step.log()).clamp(max=0.0)
    return torch.where(impossible.any(-1), -torch.inf, torch.where(alone, 0.0, found))


def _nodes(odds: Tensor) -> tuple[Tensor, Tensor]:
    """Log times of the trapezoidal rule, (B, G, NODES), and their distance, (B, G)."""
    n = odds.shape[-1]
    zero = torch.zeros(odds.shape[:-1], dtype=odds.dtype, device=odds.device)
    ceiling = log1p(n)
    mode = bisect(lambda y: _slope(odds, y) > 0, zero, zero + ceiling)
    level = _log_integrand(odds, mode[..., None])[..., 0] - _DROP
    low = bisect(lambda y: _log_integrand(odds, y[..., None])[..., 0] < level, mode - _DROP - 2.0, mode)
    high = bisect(lambda y: _log_integrand(odds, y[..., None])[..., 0] > level, mode, zero + ceiling + 5.0)
    step = (high - low) / (NODES - 1)
    return low[..., None] + step[..., None] * torch.arange(NODES, dtype=odds.dtype, device=odds.device), step


def _log_integrand(odds: Tensor, y: Tensor) -> Tensor:
    """log of the density of the first clock outside times the chance that all inside have rung; y (B, G, nodes)."""
    inside = log_rung(odds[..., None, :] + y[..., None]).sum(-1)
    return y - y.exp() + inside


def _slope(odds: Tensor, y: Tensor) -> Tensor:
    u = (odds + y[..., None]).clamp(-30.0, 30.0).exp()
    return 1.0 - y.exp() + (u / torch.expm1(u)).sum(-1)
