"""Rewards that come from what people did with a shown list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from rarec.errors import InputError
from rarec.reward.ranking import check_distinct
from rarec.types import ItemId

LIKED, CLICKED, SHOWN, REFUSED = 1.0, 0.5, 0.0, -1.0


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a user did with one shown set.

    Attributes:
        shown: every item that was offered, distinct.
        clicked: opened, without a verdict; among `shown`, as are the others.
        liked: said to be good.
        refused: said to be bad.
    """

    shown: tuple[ItemId, ...]
    clicked: frozenset[ItemId] = frozenset()
    liked: frozenset[ItemId] = frozenset()
    refused: frozenset[ItemId] = frozenset()

    def __post_init__(self) -> None:
        check_distinct(self.shown)
        foreign = (self.clicked | self.liked | self.refused) - frozenset(self.shown)
        if foreign:
            raise InputError(f"feedback on {sorted(foreign)[0]!r}, which was not shown; add it to `shown` or drop it")
        both = self.liked & self.refused
        if both:
            raise InputError(f"{sorted(both)[0]!r} is both liked and refused; keep the later event")

    def grade(self, item: ItemId) -> float:
        """1 liked, 0.5 clicked, 0 shown only, -1 refused; a verdict outweighs a click."""
        if item in self.liked:
            return LIKED
        if item in self.refused:
            return REFUSED
        return CLICKED if item in self.clicked else SHOWN


def agreement(ranking: Sequence[ItemId], feedback: Feedback) -> float:
    """Share of the user's preferences that a ranking keeps, weighted by how strong they are; 0.5 is chance.

    Over all pairs of shown items with different grades, the sum of the grade differences whose better item is ranked
    higher, divided by the sum of all. A pair of which neither is ranked counts half; an item that is not ranked is
    below all that are. Items that were never shown are passed over.

    Returns:
        from 0 (upside down) to 1 (every preference kept).
    Raises:
        InputError: no two shown items differ in grade, or an item is twice in the ranking.
    Source: gamma of Goodman and Kruskal 1954 (pairs tied in grade are left out) mapped to 0..1, with each pair
        weighted by its grade difference, which is ours.
    """
    check_distinct(ranking)
    place = {item: at for at, item in enumerate(ranking)}
    last = len(ranking)
    kept = total = 0.0
    for one, other in combinations(feedback.shown, 2):
        difference = feedback.grade(one) - feedback.grade(other)
        ahead = place.get(other, last) - place.get(one, last)  # above 0: `one` is ranked higher
        total += abs(difference)
        kept += abs(difference) * (0.5 if ahead == 0 else float((ahead > 0) == (difference > 0)))
    if total == 0:
        raise InputError("the feedback prefers no shown item to another; leave such events out of the rollouts")
    return kept / total
