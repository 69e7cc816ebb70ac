"""How probable it is that an item is in a set at all: the marginals of Plackett-Luce sets.

Give each item an exponential clock of rate w = exp(score / temperature). The set holds the n that ring first, so item i
is in it if fewer than n of the others rang before it:

    pi_i = integral of w_i exp(-w_i t) P(N_i(t) <= n - 1) dt,

where N_i(t) counts the others that rang by t, a sum of independent coin flips. The integral is taken over log time.
The marginals of a row add up to n.
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil, exp, log, pi, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rarec.align.checks import check_enough, check_scores
from rarec.align.logits import bisect, finite_logits, log_rung
from rarec.errors import InputError

NODES = 32
EXACT_ITEMS = 128
_TAIL = 24.0  # nats: exp(-24) is taken for no chance at all


def log_inclusion(scores: Tensor, n: int, *, temperature: float = 1.0) -> Tensor:
    """log P(item i is in a set of n), by a normal distribution of the count with its skewness (Edgeworth, one term).

    Exact for n = 1 and where n items are all there are. Else, for 100 items or more and logits of standard deviation 1
    to 2, the relative error of a probability is below 0.5 % (n = 2 to 5), 0.3 % (n = 10) and 0.1 % (n = 50), that of a
    gradient below 0.5 %. Peaked policies have larger errors: 3 % at deviation 4, 10 % at deviation 10, and up to 0.06
    of probability among six items; small proposals can use `exact_log_inclusion`. Cost: 32 x B x M.

    Args:
        scores: shape (B, M).
        n: items a set.
    Returns:
        nats, at most 0, shape (B, M); -inf where an item cannot be drawn.
    Raises:
        InputError: a row has fewer than n items that may be drawn, or a score is NaN.
    Source: the approximation of a Poisson-binomial count by Volkova 1996; its use for Plackett-Luce marginals is ours.
    """
    logits, absent = _checked(scores, n, temperature)
    if n == 1:
        return torch.where(absent, -torch.inf, logits.log_softmax(-1))
    with torch.no_grad():
        low, high = _normal_window(logits, absent, n)
        nodes, weights = (torch.as_tensor(a, dtype=logits.dtype, device=logits.device) for a in _legendre())
        x = low[:, None] + (high - low)[:, None] * nodes
        log_weights = ((high - low)[:, None] * weights).clamp(min=torch.finfo(logits.dtype).tiny).log()
    v = logits[:, None, :] + x[:, :, None]  # (B, nodes, M): log of rate x time
    e = v.clamp(max=60.0).exp()
    fewer = _fewer_rang(e, n).clamp(torch.finfo(logits.dtype).tiny, 1.0)
    inside = (v - e + fewer.log() + log_weights[:, :, None]).logsumexp(1)
    found = torch.logaddexp(log_rung(logits + low[:, None]), inside).clamp(max=0.0)  # before `low`, surely in
    return _finish(found, absent, n)


def exact_log_inclusion(scores: Tensor, n: int, *, temperature: float = 1.0) -> Tensor:
    """log P(item i is in a set of n), exact to 1e-9, by dynamic programming.

    It is the yardstick of `log_inclusion`. Cost in time and memory: B x M x n times some
    (100 + spread of the logits) x 2 sqrt(n) nodes.

    Args, Returns, Raises: as `log_inclusion`; InputError also for more than 128 items.
    """
    logits, absent = _checked(scores, n, temperature)
    if scores.shape[1] > EXACT_ITEMS:
        raise InputError(
            f"exact marginals are for at most {EXACT_ITEMS} items, got {scores.shape[1]}; use log_inclusion"
        )
    if not len(scores):
        return logits
    with torch.no_grad():
        low, high = _window(logits, absent, n)
        low = low - 28.0
        step = min(0.25, 0.5 / sqrt(n))  # of log time: finer than the count's own spread
        count = ceil(float((high - low).max()) / step) + 1
        x = low[:, None] + step * torch.arange(count, dtype=logits.dtype, device=logits.device)
    v = logits[:, None, :] + x[:, :, None]
    e = v.clamp(max=60.0).exp()
    fewer = _fewer_rang_exactly(e, n).clamp(torch.finfo(logits.dtype).tiny, 1.0)
    return _finish(((v - e + fewer.log()).logsumexp(1) + log(step)).clamp(max=0.0), absent, n)


def replacement_log_inclusion(scores: Tensor, n: int, *, temperature: float = 1.0) -> Tensor:
    """log P(item i comes up at least once in n independent draws) = log(1 - (1 - p_i)^n), a cheap stand-in.

    Draws with replacement repeat the likely items, so it is below `log_inclusion` for unlikely items and the marginals
    add up to less than n.

    Args, Returns, Raises: as `log_inclusion`.
    Source: the top-K correction of Chen et al. 2019, "Top-K off-policy correction for a REINFORCE recommender system".
    """
    logits, absent = _checked(scores, n, temperature)
    log_p = logits.log_softmax(-1)
    p = log_p.exp().clamp(max=1.0 - torch.finfo(logits.dtype).eps)
    small = log_p < -15.0  # then the chance is n p up to rounding
    found = (-torch.expm1(n * torch.log1p(-torch.where(small, 0.5, p)))).log()
    return torch.where(absent, -torch.inf, torch.where(small, log_p + log(n), found))


def _checked(scores: Tensor, n: int, temperature: float) -> tuple[Tensor, Tensor]:
    check_scores(scores, temperature)
    check_enough(scores, n, "n")
    return finite_logits(scores, temperature), scores == -torch.inf


def _finish(found: Tensor, absent: Tensor, n: int) -> Tensor:
    sure = ((~absent).sum(-1) == n)[:, None]  # all that may be drawn are
    return torch.where(absent, -torch.inf, torch.where(sure, 0.0, found))


def _fewer_rang(e: Tensor, n: int) -> Tensor:
    """About P(N_i(t) <= n - 1); e = rate x time, shape (B, nodes, M)."""
    q, p = torch.exp(-e), -torch.expm1(-e)
    mean, variance, third = (part.sum(-1, keepdim=True) - part for part in (p, p * q, p * q * (q - p)))
    sd = variance.clamp(min=1e-9).sqrt()
    z = ((n - 0.5 - mean) / sd).clamp(-12.0, 12.0)
    density = torch.exp(-z * z / 2) / sqrt(2 * pi)
    below: Tensor = torch.special.ndtr(z)
    return below - third / sd**3 / 6 * (z * z - 1) * density


def _fewer_rang_exactly(e: Tensor, n: int) -> Tensor:
    """P(N_i(t) <= n - 1) from the counts of the items before and after i: sums of positive terms only."""
    q, p = torch.exp(-e), -torch.expm1(-e)
    start = torch.zeros(*e.shape[:2], n, dtype=e.dtype, device=e.device)
    before, after = [torch.nn.functional.pad(start[..., 1:], (1, 0), value=1.0)], [start + 1.0]
    for i in range(e.shape[2] - 1):
        last, j = before[-1], e.shape[2] - 1 - i
        rang = torch.cat([torch.zeros_like(last[..., :1]), last[..., :-1]], dim=-1)
        before.append(last * q[..., i, None] + rang * p[..., i, None])
        room = after[-1]  # room[k] = P(the later ones add at most n - 1 - k)
        less = torch.cat([room[..., 1:], torch.zeros_like(room[..., :1])], dim=-1)
        after.append(room * q[..., j, None] + less * p[..., j, None])
    return torch.stack([(b * a).sum(-1) for b, a in zip(before, reversed(after), strict=True)], dim=-1)


def _normal_window(logits: Tensor, absent: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Log times between which the count passes n by the normal distribution: from 6 deviations below to 6 above."""

    def deviations(x: Tensor) -> Tensor:
        e = (logits + x[:, None]).clamp(max=60.0).exp()
        q, p = torch.exp(-e), -torch.expm1(-e)
        return (n - 0.5 - p.sum(-1)) / (p * q).sum(-1).clamp(min=1e-12).sqrt()

    start = -20.0 - logits.logsumexp(-1)
    end = torch.maximum(4.0 - torch.where(absent, torch.inf, logits).amin(-1), start + 1.0)
    low = bisect(lambda x: deviations(x) > 6.0, start, end, steps=36)
    return low, bisect(lambda x: deviations(x) > -6.0, low, end, steps=36)


def _window(logits: Tensor, absent: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Log times before which the n-th clock has surely not rung, and after which it surely has, each (B,)."""
    few, many = _chernoff(n)
    total = logits.logsumexp(-1)
    end = 4.0 - torch.where(absent, torch.inf, logits).amin(-1)

    def expected(x: Tensor) -> Tensor:
        chances: Tensor = -torch.expm1(-(logits + x[:, None]).clamp(max=60.0).exp())
        return chances.sum(-1)

    def waiting(x: Tensor) -> Tensor:
        rates = torch.where(absent, torch.inf, logits + x[:, None]).clamp(max=60.0).exp()
        silent: Tensor = torch.exp(-rates)
        return (expected(x) < many) & (silent.sum(-1) > exp(-_TAIL))

    start = log(few) - total  # the expected count is at most total rate x time
    low = bisect(lambda x: expected(x) < few, start, torch.maximum(end, start + 1.0), steps=16)
    return low, bisect(waiting, low, torch.maximum(end, low + 1.0), steps=16) + 0.01


@lru_cache(maxsize=64)
def _chernoff(n: int) -> tuple[float, float]:
    """Expected counts at which n have rung, or fewer than n have, with a chance of at most exp(-24) (Chernoff)."""

    def solve(low: float, high: float, at: int, *, rising: bool) -> float:
        for _ in range(80):
            middle = (low + high) / 2
            nats = middle - at + (at * log(at / middle) if at else 0.0)
            low, high = (middle, high) if (nats < _TAIL) == rising else (low, middle)
        return (low + high) / 2

    return solve(0.0, float(n), n, rising=False), solve(n - 1.0, n + 60.0 + 8.0 * sqrt(n), n - 1, rising=True)


@lru_cache(maxsize=1)
def _legendre() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return (nodes + 1) / 2, weights / 2
