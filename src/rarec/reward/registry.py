"""Rewards by name, as recipes write them: ``ndcg@10``, or several with weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from math import isfinite
from types import MappingProxyType
from typing import Protocol

from rarec.errors import InputError
from rarec.reward.ranking import Reward, mrr, ndcg, recall
from rarec.types import ItemId


class _AtK(Protocol):
    def __call__(self, ranking: Sequence[ItemId], truth: Collection[ItemId], *, k: int) -> float: ...


REWARDS: Mapping[str, _AtK] = MappingProxyType({"ndcg": ndcg, "recall": recall, "mrr": mrr})
"""name -> reward with a cut-off."""


def reward_named(name: str) -> Reward:
    """The reward of a name such as ``ndcg@10``; without a cut-off it is 10.

    Raises:
        InputError: the name or the cut-off is unknown.

    >>> reward_named("recall@1")(["a"], {"a"})
    1.0
    """
    stem, at, cut = name.partition("@")
    if stem not in REWARDS:
        raise InputError(f"unknown reward {name!r}; use one of {', '.join(REWARDS)}, with a cut-off as in 'ndcg@10'")
    if at and not (cut.isascii() and cut.isdigit() and int(cut) >= 1):
        raise InputError(f"the cut-off of the reward {name!r} must be a whole number from 1, as in '{stem}@10'")
    return partial(REWARDS[stem], k=int(cut) if at else 10)


def weighted_sum(weights: Mapping[str, float]) -> Reward:
    """One reward out of several: the sum of weight x reward; weights are taken as they are, not normalised.

    Args:
        weights: name as in `reward_named` -> weight, above 0.
    Raises:
        InputError: no weights, an unknown name, or a weight that is not a number above 0; all faults in one message.

    >>> weighted_sum({"ndcg@10": 1.0, "recall@1": 0.5})(["a"], {"a"})
    1.5
    """
    faults = [] if weights else ["no reward is named; give at least one, as in {'ndcg@10': 1.0}"]
    parts: list[tuple[float, Reward]] = []
    for name, weight in weights.items():
        if not (isfinite(weight) and weight > 0):
            faults.append(f"the weight of {name!r} must be a number above 0, got {weight!r}")
            continue
        try:
            parts.append((float(weight), reward_named(name)))
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError("; ".join(faults))

    def combined(ranking: Sequence[ItemId], truth: Collection[ItemId]) -> float:
        return sum(weight * reward(ranking, truth) for weight, reward in parts)

    return combined
