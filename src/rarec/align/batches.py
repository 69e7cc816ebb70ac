"""From turns to what is asked, and from what was answered to tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rarec.align.checks import without
from rarec.align.policy import propose
from rarec.align.rollout import Rollout, RolloutTask
from rarec.align.scorer import seen_mask
from rarec.align.turns import Stock, TokenisedTurn
from rarec.errors import InputError
from rarec.reward import Reward, leave_one_out_credits

ASKED = "train/"
"""Before the ids of turns that are learned from, so that a tuning turn of the same id is another one."""


@dataclass(frozen=True, slots=True, eq=False)
class Proposed:
    """The items among which each turn's sets are drawn.

    Attributes:
        rows: of the catalogue, shape (B, M).
        mass: share of the first draw that falls on them, shape (B,).
    """

    rows: Tensor
    mass: Tensor


def proposed(
    scores: Tensor,
    turns: Sequence[TokenisedTurn],
    *,
    m: int,
    n: int,
    temperature: float,
    wanted: Tensor | None = None,
) -> Proposed:
    """The m best items of each turn that were not mentioned, fewer where a turn of the batch has fewer.

    Args:
        scores: of the whole catalogue, shape (B, items).
        n: how many a set needs.
        wanted: that must be among them, not mentioned, bool, shape (B, items); proposals are wider by the most that a
            turn of the batch wants.
    Raises:
        InputError: a turn has fewer than n.
    """
    mask = seen_mask(turns, scores.shape[1])
    able = (~mask).sum(-1)
    if bool((able < n).any()):
        row = int((able < n).nonzero()[0])
        raise InputError(
            f"turn {turns[row].turn.id!r} leaves {int(able[row])} items of a catalogue of {scores.shape[1]}, but a set "
            f"has n = {n}; lower n"
        )
    width = min(m, int(able.min()))
    if wanted is not None:
        return _with(wanted, without(scores, mask), width, able, temperature)
    found = propose(without(scores, mask), width, temperature=temperature)
    return Proposed(found.items, found.mass)


def _with(wanted: Tensor, allowed: Tensor, width: int, able: Tensor, temperature: float) -> Proposed:
    """The best `width` items of each turn and those that are wanted, made equally many by further ones."""
    most = int(wanted.sum(-1).max())
    # In a tiny catalogue a turn may leave fewer than another one wants: mentioned items then fill its places up.
    width = max(min(width + most, int(able.min())), most)
    rows = allowed.masked_fill(wanted, torch.finfo(allowed.dtype).max).topk(width, dim=-1).indices
    logits = allowed / temperature
    mass = (logits.gather(1, rows).logsumexp(-1) - logits.logsumexp(-1)).exp().clamp(max=1.0)
    return Proposed(rows, mass)


def best_first(rows: Tensor, scores: Tensor) -> Tensor:
    """Rows by the scores that they have now, best first; ties as they stand."""
    return rows.gather(1, scores.detach().sort(dim=-1, descending=True, stable=True).indices)


def rollout_tasks(turns: Sequence[TokenisedTurn], rows: Tensor, scores: Tensor, *, stock: Stock) -> list[RolloutTask]:
    """What `collect` wants, one a turn.

    Args:
        rows: of the proposals, best first, shape (B, M).
        scores: theirs.
    """
    return [
        RolloutTask(
            ASKED + turn.turn.id,
            turn.turn.conversation,
            turn.mentioned,
            turn.turn.truth,
            tuple(stock.items[row] for row in own),
            tuple(values),
        )
        for turn, own, values in zip(turns, rows.tolist(), scores.detach().tolist(), strict=True)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class Rolled:
    """Rollouts as tensors, see `learners.JudgedBatch`.

    Attributes:
        sizes: how many of the places of a turn's sets count, where turns differ in it, shape (B,); None is all.
        weights: by which credits were multiplied already, shape (B, G); None if by nothing.
    """

    sets: Tensor
    rewards: Tensor
    valid: Tensor
    credits: Tensor
    sizes: Tensor | None = None
    weights: Tensor | None = None

    @staticmethod
    def none(rows: int) -> Rolled:
        """Nobody was asked."""
        empty = torch.zeros(rows, 0, dtype=torch.float64)
        return Rolled(
            torch.zeros(rows, 0, 1, dtype=torch.long), empty, torch.zeros(rows, 0, dtype=torch.bool), empty[..., None]
        )

    @staticmethod
    def of(rollouts: Sequence[Rollout], tasks: Sequence[RolloutTask], reward: Reward) -> Rolled:
        """As `collect` gave them: the groups of a turn one after the other.

        Credits are what the reward loses without the item, the order of the others being the same.
        """
        groups = len(rollouts) // len(tasks)
        columns = [{item.id: column for column, item in enumerate(task.proposal)} for task in tasks]
        sets = [[columns[at // groups][item] for item in one.items] for at, one in enumerate(rollouts)]
        shape = (len(tasks), groups)
        return Rolled(
            torch.tensor(sets).view(*shape, -1),
            torch.tensor([one.reward or 0.0 for one in rollouts], dtype=torch.float64).view(shape),
            torch.tensor([one.reward is not None for one in rollouts]).view(shape),
            torch.tensor([_credits(one, reward) for one in rollouts], dtype=torch.float64).view(*shape, -1),
        )


def _credits(rollout: Rollout, reward: Reward) -> list[float]:
    """In the order of the draws."""
    if rollout.reward is None:
        return [0.0] * len(rollout.items)
    credits = leave_one_out_credits(reward, rollout.ranking, rollout.truth)
    by_item = dict(zip(rollout.ranking, credits, strict=True))
    return [by_item[item] for item in rollout.items]
