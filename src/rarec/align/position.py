"""What rollouts say beside their rewards: whether the place of an item moves the model, and whether truth was shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from rarec.align.rollout import Rollout
from rarec.errors import InputError
from rarec.types import ItemId

Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class PositionBias:
    """How the place in which an item is shown changes where a model ranks it.

    Sets are shown in random order, so places say nothing about items: without bias the slope is 0 and both curves are
    flat but for chance.

    Attributes:
        rollouts, turns: that it is estimated from.
        slope: ranks lost for each place that an item is shown later; 1 repeats the shown order, -1 reverses it.
        low, high: 95 % interval over turns (normal approximation); None for fewer than two turns.
        mean_rank: by place shown, from 1 to n.
        truth_shown: by place, how often a true item was shown there.
        truth_hit: by place, the share of those that the answer ranks among its first k; None where there are none.
    """

    rollouts: int
    turns: int
    k: int
    slope: float
    low: float | None
    high: float | None
    mean_rank: tuple[float, ...]
    truth_shown: tuple[int, ...]
    truth_hit: tuple[float | None, ...]


def position_bias(rollouts: Sequence[Rollout], *, k: int = 5) -> PositionBias | None:
    """Estimate position bias; None if no answer can be used.

    The slope of a rollout is the least-squares slope of rank on place, which is Spearman's correlation. Items that an
    answer does not rank share the mean of the ranks that are left. Degraded rollouts are left out.

    Raises:
        InputError: k < 1, or the sets differ in size.
    """
    if k < 1:
        raise InputError(f"k must be at least 1, got {k!r}")
    usable = [rollout for rollout in rollouts if not rollout.degraded]
    if not usable:
        return None
    sizes = {len(rollout.shown) for rollout in usable}
    if len(sizes) > 1:
        raise InputError(f"sets have different sizes, {sorted(sizes)}; estimate the position bias of each size alone")
    ranks = np.array([_ranks(rollout) for rollout in usable])
    turns, mean, half = _over_turns([rollout.turn for rollout in usable], _slopes(ranks))
    true = np.array([[item in rollout.truth for item in rollout.shown] for rollout in usable])
    first = np.array([min(k, rollout.named) for rollout in usable])
    hits = (true & (ranks <= first[:, None])).sum(axis=0)
    counts = true.sum(axis=0)
    return PositionBias(
        rollouts=len(usable),
        turns=turns,
        k=k,
        slope=mean,
        low=None if half is None else mean - half,
        high=None if half is None else mean + half,
        mean_rank=tuple(ranks.mean(axis=0).tolist()),
        truth_shown=tuple(counts.tolist()),
        truth_hit=tuple(float(h) / int(c) if c else None for h, c in zip(hits, counts, strict=True)),
    )


def truth_recall(rollouts: Sequence[Rollout]) -> float | None:
    """R@n of the sampled sets: the mean share of a turn's true items that its sets hold; None without rollouts.

    Degraded rollouts count: their sets were drawn all the same.
    """
    if not rollouts:
        return None
    return sum(_held(rollout) / len(set(rollout.truth)) for rollout in rollouts) / len(rollouts)


def truth_entered(rollouts: Sequence[Rollout]) -> float | None:
    """Share of sampled sets that hold at least one true item; None without rollouts."""
    if not rollouts:
        return None
    return sum(_held(rollout) > 0 for rollout in rollouts) / len(rollouts)


def _held(rollout: Rollout) -> int:
    return len(set(rollout.truth).intersection(rollout.items))


def _ranks(rollout: Rollout) -> list[float]:
    """Rank from 1 of the item at each place shown."""
    n, named = len(rollout.shown), rollout.named
    rank: dict[ItemId, float] = {item: place for place, item in enumerate(rollout.ranking[:named], start=1)}
    shared = (named + 1 + n) / 2
    return [rank.get(item, shared) for item in rollout.shown]


def _slopes(ranks: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[float]:
    n = ranks.shape[1]
    if n < 2:
        return [0.0] * len(ranks)
    place = np.arange(n) - (n - 1) / 2
    return [float(s) for s in ((ranks - ranks.mean(axis=1, keepdims=True)) @ place) / (place @ place)]


def _over_turns(turns: Sequence[str], values: Sequence[float]) -> tuple[int, float, float | None]:
    """Number of turns, mean over turns of their means, and half of the 95 % interval."""
    by_turn: dict[str, list[float]] = {}
    for turn, value in zip(turns, values, strict=True):
        by_turn.setdefault(turn, []).append(value)
    means = np.array([sum(of_turn) / len(of_turn) for of_turn in by_turn.values()])
    half = Z95 * float(means.std(ddof=1)) / sqrt(len(means)) if len(means) > 1 else None
    return len(means), float(means.mean()), half
