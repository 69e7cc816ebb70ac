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

ROWS = 256
"""Scores of so many queries at a time: with some 1,500 negatives 1.5 MB."""


def mean_sampled_softmax_loss(
    query: Tensor, positive: Tensor, negative: Tensor, *, positive_log_q: Tensor, negative_log_q: Tensor, hit: Tensor
) -> Tensor:
    """The mean of `losses.sampled_softmax_loss` over rows; a sample without repetition.

    Args:
        query: shape (rows, width), rows > 0.
        positive: the true items, shape (rows, width).
        negative: the sampled items, each once, shape (samples, width); one that was drawn k times has log k taken off
            its `negative_log_q`.
        positive_log_q, negative_log_q: log of the expected count in the sample, shapes (rows,) and (samples,).
        hit: which sampled item is the true one, -1 where none is, int64, shape (rows,); it does not count.
    Returns:
        a scalar, nats. There are no second derivatives, and none for the log counts.
    """
    return _Fused.apply(query, positive, negative, positive_log_q, negative_log_q, hit)  # type: ignore[no-any-return,no-untyped-call]


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        positive: Tensor,
        negative: Tensor,
        positive_log_q: Tensor,
        negative_log_q: Tensor,
        hit: Tensor,
    ) -> Tensor:
        grads = torch.empty_like(query), torch.empty_like(positive), torch.zeros_like(negative)
        true = (query * positive).sum(-1) - positive_log_q
        total = query.new_zeros(())
        items, bias = negative.T, -negative_log_q
        for start in range(0, len(query), ROWS):
            rows = slice(start, start + ROWS)
            scores = torch.addmm(bias, query[rows], items)
            struck = torch.nonzero(hit[rows] >= 0)[:, 0]
            scores[struck, hit[rows][struck]] = -torch.inf
            top = torch.maximum(scores.amax(1), true[rows])
            share = torch.exp(true[rows] - top)
            mass = scores.sub_(top[:, None]).exp_().sum(1) + share
            total += (torch.log(mass) + top - true[rows]).sum()
            scores.div_(mass[:, None])
            miss = (share / mass - 1)[:, None]
            torch.addmm(miss * positive[rows], scores, negative, out=grads[0][rows])
            torch.mul(miss, query[rows], out=grads[1][rows])
            grads[2].addmm_(scores.T, query[rows])
        ctx.save_for_backward(*grads)
        return total / len(query)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        scale = grads[0] / len(ctx.saved_tensors[0])
        return (*(scale * grad for grad in ctx.saved_tensors), None, None, None)
