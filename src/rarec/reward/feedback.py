"""Rewards that come from what people did with a shown list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isfinite, log2

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
            raise InputError(f"{sorted(both)[0]!r} is both liked and refused; keep what was said last")

    def grade(self, item: ItemId) -> float:
        """1 liked, 0.5 clicked, 0 shown only, -1 refused; a verdict outweighs a click."""
        if item in self.liked:
            return LIKED
        if item in self.refused:
            return REFUSED
        return CLICKED if item in self.clicked else SHOWN


def grades(feedback: Feedback, *, places: Sequence[int] | None = None, eta: float = 0.0) -> tuple[float, ...]:
    """The grade of each shown item, in the order shown; a click lower down can be made to count for more.

    An item at place k is looked at with a chance of about p(k) = k^-eta, so a click on it stands for 1 / p(k) clicks of
    people who looked, and has the grade 0.5 k^eta, but at most that of a liked item. Likes and refusals are said, not
    clicked, and stay as they are.

    Args:
        places: where each item was shown, from 1; None is 1, 2, 3 ...
        eta: how fast attention falls; 0 takes all clicks alike.
    Raises:
        InputError: eta is negative or no number, or there are not as many places as items, or one is below 1.
    Source: inverse propensity weighting of clicks, Joachims et al. 2017; the cap is ours and makes it biased.

    >>> grades(Feedback(("a", "b", "c", "d"), clicked=frozenset("ad"), refused=frozenset("b")), eta=0.5)
    (0.5, -1.0, 0.0, 1.0)
    """
    if not (isfinite(eta) and eta >= 0):
        raise InputError(f"eta must be a number from 0, got {eta!r}; 0 takes all clicks alike")
    places = range(1, len(feedback.shown) + 1) if places is None else places
    if len(places) != len(feedback.shown) or any(place < 1 for place in places):
        raise InputError(f"{len(feedback.shown)} shown items need as many places from 1, got {tuple(places)!r}")
    return tuple(
        _clicked_at(place, eta) if (grade := feedback.grade(item)) == CLICKED else grade
        for item, place in zip(feedback.shown, places, strict=True)
    )


def _clicked_at(place: int, eta: float) -> float:
    doublings = log2(LIKED / CLICKED)
    return LIKED if eta * log2(place) >= doublings else CLICKED * float(place) ** eta


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
