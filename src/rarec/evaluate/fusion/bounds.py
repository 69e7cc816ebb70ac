"""How bad a fused place can be when one of the lists is known only by the ranks of a few items.

The unknown list is filled by an adversary. All that binds it is the `Glimpse`, and that the catalogue has at least as
many items outside the known lists as the unknown list has places (a smaller catalogue can only do better).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rarec.errors import InputError
from rarec.evaluate.fusion.lists import C, Key, checked_weights, fusion_key, interleave, places_of
from rarec.types import ItemId


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What is known of a list that was not kept.

    Attributes:
        length: it has at most so many items; it may have fewer.
        ranks: the places of some items, 1..length, or 0 for an item that is not in it. Recordings that match by
            title can give one place to two namesakes: each is then bounded as if the place were its own, and
            as if nothing were known of the other.
    """

    length: int
    ranks: Mapping[ItemId, int]

    def __post_init__(self) -> None:
        if self.length < 1:
            raise InputError(f"a list of at most {self.length!r} items cannot be fused; give a length of at least 1")
        for item, rank in self.ranks.items():
            if not 0 <= rank <= self.length:
                raise InputError(f"{item!r} has rank {rank!r}; use 1..{self.length}, or 0 for a miss")

    def certain(self, target: ItemId) -> dict[ItemId, int]:
        """The items of which the place is certain when the target has its own: item -> place, 0 for none."""
        ranks = list(self.ranks.values())
        sure = {item: rank for item, rank in self.ranks.items() if not rank or ranks.count(rank) == 1}
        return {**sure, target: self.ranks[target]}


Known = Sequence[ItemId]


def worst_interleave(lists: Sequence[Known | Glimpse]) -> dict[ItemId, int]:
    """The worst place that `interleave` can give each item of the glimpse; 0 if it is certainly nowhere.

    The worst list is full, has the certain items in their places, and everywhere else items that no other list
    has. With one other list, the target at place a of it and b of the glimpse, that is ``min(2a - 1, 2b)`` if the
    other list begins and ``min(2a, 2b - 1)`` if the glimpse does, as long as no list runs out and no certain item is
    in both.

    Why: let y replace such a fresh item x in its place, y being in other lists or in none. Write p for the place up
    to which a list is used up. By induction over the turns no p falls behind its value with x: a turn moves p to
    the list's first item that is not placed, and what is placed is the union of the used parts, which with y covers
    all the items of the other lists that it did with x. So the target is placed in the same turn or an earlier one.
    Lists also run out no later, and a turn that is passed over places nothing, so as many items or fewer are before
    it. Leaving places at the end empty is covered alike: it only makes turns pass. The worst list is one that the
    facts allow, so the bound is attained.

    Raises:
        InputError: not exactly one glimpse, or an item twice in a list.
    """
    at = _place_of_glimpse(lists)
    glimpse = _glimpse(lists)
    worst: dict[ItemId, int] = {}
    for target in glimpse.ranks:
        by_place = {place: item for item, place in glimpse.certain(target).items() if place}
        # Whole numbers stand for items that are in no other list.
        full = [by_place.get(place, place) for place in range(1, glimpse.length + 1)]
        fused = interleave([full if number == at else _known(one) for number, one in enumerate(lists)])
        worst[target] = fused.index(target) + 1 if target in fused else 0
    return worst


def worst_reciprocal_rank(
    lists: Sequence[Known | Glimpse], *, weights: Sequence[float] | None = None, c: float = C
) -> dict[ItemId, int]:
    """The worst place that `reciprocal_rank_fusion` can give each item of the glimpse; 0 if it is certainly nowhere.

    One more than: the items that are before the target without a place in the unknown list, the certain items that
    are before it with the place they have, and the most others that can be lifted before it, each by a free place.

    Why this is the worst, and is attained: the target's own sum is fixed, and whether another item is before it
    depends on that item's place alone. An item that is lifted by place j is lifted by every place before j, so the
    places that serve an item are the first f of the free ones. In order of f, each item that still finds one of its
    places takes one: whenever an item finds none, its f places are all taken by items with no larger f, so no choice
    serves more of those (Hall's condition for nested sets). Free places that are left over are filled with items from
    outside or that are before the target anyway, which changes nothing. Ties are decided as the fusion decides
    them, the certain places of other items are used, and items outside the known lists count like those in it.

    Raises:
        InputError: not exactly one glimpse, its weight is 0, an item twice in a list, or weights or c out of range.
    """
    weights = checked_weights(weights, len(lists), c=c)
    if weights[_place_of_glimpse(lists)] == 0:
        raise InputError("the list that is not known has weight 0; leave it out, then the fusion is exact")
    used = [one for one, weight in zip(lists, weights, strict=True) if weight > 0]
    bound = _Adversary(used, [weight for weight in weights if weight > 0], c)
    return {target: bound.place(target) for target in _glimpse(lists).ranks}


class _Adversary:
    """Fills the places of the glimpse against one target after the other; every weight is positive."""

    def __init__(self, lists: Sequence[Known | Glimpse], weights: Sequence[float], c: float) -> None:
        self._at, self._glimpse = _place_of_glimpse(lists), _glimpse(lists)
        self._weights, self._c = weights, c
        known = [places_of(_known(one)) for one in lists]
        names = dict.fromkeys(item for one in known for item in one)
        self._places = {item: [one.get(item, 0) for one in known] for item in names}
        self._nowhere = [0] * len(lists)

    def place(self, target: ItemId) -> int:
        certain = self._glimpse.certain(target)
        if target not in self._places and not certain[target]:
            return 0
        aim = self._key(self._places.get(target, self._nowhere), certain[target])
        free = sorted(set(range(1, self._glimpse.length + 1)) - set(certain.values()))
        ahead = 0
        serving = [self._serving(self._nowhere, free, aim)] * len(free)
        for item in dict.fromkeys([*self._places, *certain]):
            places = self._places.get(item, self._nowhere)
            if self._key(places, certain.get(item, 0)) < aim:
                ahead += 1
            elif item not in certain:
                serving.append(self._serving(places, free, aim))
        return ahead + _most_served(serving) + 1

    def _key(self, places: Sequence[int], unknown: int) -> Key:
        return fusion_key([*places[: self._at], unknown, *places[self._at + 1 :]], self._weights, c=self._c)

    def _serving(self, places: Sequence[int], free: Sequence[int], aim: Key) -> int:
        """How many of the free places, the first ones, would bring an item before the target."""
        return bisect_left(free, True, key=lambda place: self._key(places, place) >= aim)


def _most_served(serving: Sequence[int]) -> int:
    """How many can have a place of their own, if the i-th accepts the first ``serving[i]`` places."""
    served = 0
    for places in sorted(serving):
        served += served < places
    return served


def _place_of_glimpse(lists: Sequence[Known | Glimpse]) -> int:
    places = [number for number, one in enumerate(lists) if isinstance(one, Glimpse)]
    if len(places) != 1:
        raise InputError(f"{len(places)} of {len(lists)} lists are known by ranks only; a bound needs exactly one")
    return places[0]


def _glimpse(lists: Sequence[Known | Glimpse]) -> Glimpse:
    return next(one for one in lists if isinstance(one, Glimpse))


def _known(one: Known | Glimpse) -> Known:
    return () if isinstance(one, Glimpse) else one
