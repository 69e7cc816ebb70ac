"""Shares of a reward: what each item of one ranking contributed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rarec.reward.ranking import Reward, gain, ideal_gain, ranks_of
from rarec.types import ItemId


def ndcg_credits(ranking: Sequence[ItemId], truth: Collection[ItemId], *, k: int = 10) -> tuple[float, ...]:
    """The summands of NDCG@k, one a place of the ranking; they add up to `reward.ndcg`.

    Only true items have credit. What the others did to the ranks of the true ones is not charged to them; use
    `leave_one_out_credits` for that.

    Returns:
        shape (len(ranking),), each from 0 to 1; an empty ranking gives ().
    Raises:
        InputError: as `reward.ndcg`.

    >>> ndcg_credits(["a", "b", "c"], {"c"})
    (0.0, 0.0, 0.5)
    """
    ideal = ideal_gain(len(set(truth)), k) if truth else 1.0
    hits = frozenset(ranks_of(ranking, truth, k=k))
    return tuple(gain(rank) / ideal if rank in hits else 0.0 for rank in range(1, len(ranking) + 1))


def leave_one_out_credits(reward: Reward, ranking: Sequence[ItemId], truth: Collection[ItemId]) -> tuple[float, ...]:
    """Reward of a ranking minus its reward without the item, one a place: a distractor above the truth has less than 0.

    It takes the order of the others as it is: had the item not been offered, the judge is supposed to rank the rest
    alike (independence of irrelevant alternatives). A language model only roughly does, and asking it again would cost
    a call an item. The credits need not add up to the reward.

    Returns:
        shape (len(ranking),); an empty ranking gives ().
    Raises:
        InputError: as `reward` does.
    Source: difference rewards, Wolpert and Tumer 2001, with the removed item as the null action.
    """
    whole = reward(ranking, truth)
    return tuple(whole - reward([*ranking[:place], *ranking[place + 1 :]], truth) for place in range(len(ranking)))
