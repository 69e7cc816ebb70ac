"""Scores as finite logits, and what a set leaves over."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from rarec.align.checks import check_scores, check_sets


def floor_of(scores: Tensor) -> float:
    """What stands for -inf: finite, so that differences of floors are no NaN, and its exp is 0."""
    return float(torch.finfo(scores.dtype).min) / 8


def finite_logits(scores: Tensor, temperature: float) -> Tensor:
    """Scores over temperature, with the floor instead of -inf: exp and gradient of such an item are 0, never NaN."""
    floor = floor_of(scores)
    return torch.where(scores == -torch.inf, floor, (scores / temperature).clamp(min=floor / 2))


def picked_logits(scores: Tensor, sets: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """Finite logits (B, M), those of the sets (B, G, n), and where an item was drawn that cannot be.

    Raises:
        InputError: a score is NaN, or a set is no set of columns.
    """
    check_scores(scores, temperature)
    check_sets(scores, sets)
    logits = finite_logits(scores, temperature)
    flat = sets.flatten(1)
    impossible = (scores == -torch.inf).gather(1, flat).view(sets.shape)
    return logits, logits.gather(1, flat).view(sets.shape), impossible


def log_rest(logits: Tensor, sets: Tensor) -> Tensor:
    """log of the mass outside each set, shape (B, G); near the floor where nothing is left."""
    outside = logits[:, None, :].expand(-1, sets.shape[1], -1).scatter(2, sets, floor_of(logits))
    return outside.logsumexp(-1)


def log_rung(v: Tensor) -> Tensor:
    """log(1 - exp(-exp(v))): the log chance that a clock of rate w has rung by t, v = log(w t); stable at both ends."""
    u = v.clamp(-80.0, 15.0).exp()
    return torch.where(v < -15.0, v - u / 2, torch.where(v > 15.0, 0.0, (-torch.expm1(-u)).log()))


def bisect(left_of: Callable[[Tensor], Tensor], low: Tensor, high: Tensor, *, steps: int = 24) -> Tensor:
    """Where a condition that holds at the left end stops to hold, elementwise."""
    for _ in range(steps):
        middle = (low + high) / 2
        left = left_of(middle)
        low, high = torch.where(left, middle, low), torch.where(left, high, middle)
    return low
