"""The sampled softmax in one pass over blocks of rows, without the matrix of all scores.

Losses and gradients are worked out together while a block of scores is in the processor's cache; what is kept for the
backward pass is no larger than queries and items. Same mathematics as `losses.sampled_softmax_loss`, which says what it
must equal.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

ROWS = 1024
"""Scores of so many queries at a time: with some 1,500 negatives 6 MB."""
ROUND_TO = 64
"""Samples are filled up to a multiple of this, so that products of few sizes are met."""
SAFE_EXPONENT = 60.0
"""Sums of exp of less than this are finite in float32, with 10^12 terms."""


def mean_sampled_softmax_loss(
    query: Tensor, positive: Tensor, negative: Tensor, *, positive_log_q: Tensor, negative_log_q: Tensor, hit: Tensor
) -> Tensor:
    """The mean of `losses.sampled_softmax_loss` over rows; a sample without repetition.

    Args:
        query: shape (rows, width), rows > 0.
        positive: the true items, shape (rows, width).
        negative: the sampled items, each once, shape (samples, width); one that was drawn k times has log k taken off
            its `negative_log_q`.
        positive_log_q, negative_log_q: log of the expected count in the sample, shapes (rows,) and (samples,); of an
            item that is in both they differ by log k.
        hit: which sampled item is the true one, -1 where none is, int64, shape (rows,); it does not count.
    Returns:
        a scalar, nats. There are no second derivatives, and none for the log counts.
    Under autocast to bfloat16 scores and losses stay in float32; the softmax is rounded for products of the gradient.
    """
    return _Fused.apply(query, positive, negative, positive_log_q, negative_log_q, hit)  # type: ignore[no-any-return,no-untyped-call]


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Tensor) -> Tensor:
        narrow = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else given[0].dtype
        with torch.autocast("cpu", enabled=False):
            losses, grads = _losses(*given, narrow=narrow)
        ctx.save_for_backward(*grads)
        return losses.mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        scale = grads[0] / len(ctx.saved_tensors[0])
        return (*(scale * grad for grad in ctx.saved_tensors), None, None, None)


def _losses(
    query: Tensor,
    positive: Tensor,
    negative: Tensor,
    positive_log_q: Tensor,
    negative_log_q: Tensor,
    hit: Tensor,
    *,
    narrow: torch.dtype,
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """The loss of each row, and the gradients of their sum for queries, positives and negatives."""
    true = (query * positive).sum(-1) - positive_log_q
    top = _exponent_base(query, negative, negative_log_q, true)
    share = torch.exp(true - top)
    # Two more columns make the product score - log q - top; what the sample is filled up with has no odds.
    spare = -len(negative) % ROUND_TO
    items = F.pad(negative, (0, 0, 0, spare))
    bias = F.pad(-negative_log_q, (0, spare), value=-torch.inf)
    one = torch.ones_like(true)
    queries = torch.column_stack([query, -top, one])
    columns = torch.cat([items.T, torch.ones_like(bias)[None], bias[None]])
    mass, narrow_items = torch.empty_like(true), items.to(narrow)
    grads = torch.empty_like(query), torch.empty_like(positive), torch.zeros_like(items)
    # Taken once: fresh memory costs a page fault every four kilobytes.
    room = query.new_empty(min(ROWS, len(query)), len(items))
    narrow_room = room if narrow == room.dtype else room.to(narrow)
    for start in range(0, len(query), ROWS):
        rows = slice(start, start + ROWS)
        odds = torch.mm(queries[rows], columns, out=room[: len(query) - start]).exp_()
        struck = torch.nonzero(hit[rows] >= 0)[:, 0]
        odds[struck, hit[rows][struck]] = 0
        torch.add(odds.sum(1), share[rows], out=mass[rows])
        scale = (1 / mass[rows])[:, None]
        miss = share[rows, None] * scale - 1
        # Scaled where it is narrow, not at each of the samples.
        scaled = query[rows] * scale
        if len(odds) == ROWS:  # a product of a size that was not met before takes longer to set up than it saves
            odds, scaled, factor = narrow_room.copy_(odds), scaled.to(narrow), narrow_items
        else:
            factor = items
        torch.addcmul(miss * positive[rows], torch.mm(odds, factor).to(query.dtype), scale, out=grads[0][rows])
        torch.mul(miss, query[rows], out=grads[1][rows])
        grads[2].add_(torch.mm(scaled.T, odds).T)
    return torch.log(mass) + top - true, (grads[0], grads[1], grads[2][: len(negative)])


def _exponent_base(query: Tensor, negative: Tensor, negative_log_q: Tensor, true: Tensor) -> Tensor:
    """What to take off each row's scores so that no exponential overflows and not all vanish, shape (rows,)."""
    most = query.norm(dim=1) * negative.norm(dim=1).max() - negative_log_q.min()
    if bool((most - true < SAFE_EXPONENT).all()):
        return true
    tops = [
        torch.addmm(-negative_log_q, query[start : start + ROWS], negative.T).amax(1)
        for start in range(0, len(query), ROWS)
    ]
    return torch.maximum(torch.cat(tops), true)
