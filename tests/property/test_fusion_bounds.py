"""Bounds against every list that the facts allow, and what fusing must never do."""

from collections.abc import Iterable, Iterator, Sequence

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rarec.evaluate.fusion import (
    Glimpse,
    fuse,
    interleave,
    reciprocal_rank_fusion,
    worst_interleave,
    worst_reciprocal_rank,
)
from rarec.evaluate.gold import Gold, GoldExample, GoldItem
from rarec.evaluate.predictions import Predictions
from rarec.types import ItemId

ITEMS = [ItemId(name) for name in "abcdef"]
OUTSIDE = [ItemId(f"outside {number}") for number in range(4)]
few = settings(deadline=None, max_examples=60)
LISTS = st.lists(st.sampled_from(ITEMS), unique=True, max_size=6)
WEIGHT = st.one_of(st.just(1.0), st.floats(0.05, 1.0))
CONSTANT = st.one_of(st.sampled_from([0.0, 1.0, 60.0]), st.floats(0, 100))


@st.composite
def glimpses(draw: st.DrawFn, *, length: int = 4) -> Glimpse:
    """The places of one or two items in a list of at most `length`; no place is given twice."""
    most = draw(st.integers(1, length))
    targets = draw(st.lists(st.sampled_from(ITEMS), unique=True, min_size=1, max_size=2))
    ranks = [draw(st.integers(0, most)) for _ in targets]
    assume(len(set(filter(None, ranks))) == len([*filter(None, ranks)]))
    return Glimpse(most, dict(zip(targets, ranks, strict=True)))


def contents(glimpse: Glimpse, known: Sequence[ItemId]) -> Iterator[tuple[ItemId, ...]]:
    """Every list that agrees with a glimpse; items that no list has are alike, so they come in one order."""
    fixed = {place: item for item, place in glimpse.ranks.items() if place}
    pool = [item for item in dict.fromkeys(known) if item not in glimpse.ranks]

    def grow(start: tuple[ItemId, ...]) -> Iterator[tuple[ItemId, ...]]:
        if len(start) >= max(fixed, default=0):
            yield start
        if len(start) == glimpse.length:
            return
        if len(start) + 1 in fixed:
            yield from grow((*start, fixed[len(start) + 1]))
            return
        fresh = next(item for item in OUTSIDE if item not in start)
        for item in (*(item for item in pool if item not in start), fresh):
            yield from grow((*start, item))

    return grow(())


def worst_of_all(glimpse: Glimpse, fused: Iterable[Sequence[ItemId]]) -> dict[ItemId, int]:
    """The last place of each target over all fused lists; 0 if it is in none."""
    worst = dict.fromkeys(glimpse.ranks, 0)
    for order in fused:
        for target in worst:
            if target in order:
                worst[target] = max(worst[target], order.index(target) + 1)
    return worst


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[list[ItemId]], int, Glimpse]:
    """One or two known lists, where among them the unknown one stands, and what is known of it."""
    known = draw(st.lists(LISTS, min_size=1, max_size=2))
    return known, draw(st.integers(0, len(known))), draw(glimpses(length=4 if len(known) == 1 else 3))


def with_unknown(known: Sequence[Sequence[ItemId]], at: int, unknown: object) -> list[object]:
    return [*known[:at], unknown, *known[at:]]


@few
@given(situations())
def test_the_interleaving_bound_is_the_worst_of_all_lists(situation: tuple[list[list[ItemId]], int, Glimpse]) -> None:
    known, at, glimpse = situation
    everything = contents(glimpse, [item for one in known for item in one])
    fused = [interleave(with_unknown(known, at, unknown)) for unknown in everything]
    assert worst_interleave(with_unknown(known, at, glimpse)) == worst_of_all(glimpse, fused)


@settings(deadline=None, max_examples=150)
@given(situations(), st.lists(WEIGHT, min_size=3, max_size=3), CONSTANT)
def test_the_reciprocal_rank_bound_is_the_worst_of_all_lists(
    situation: tuple[list[list[ItemId]], int, Glimpse], weights: list[float], c: float
) -> None:
    """Equal weights, where ties abound, included."""
    known, at, glimpse = situation
    weights = weights[: len(known) + 1]
    everything = contents(glimpse, [item for one in known for item in one])
    fused = [reciprocal_rank_fusion(with_unknown(known, at, unknown), weights=weights, c=c) for unknown in everything]
    bound = worst_reciprocal_rank(with_unknown(known, at, glimpse), weights=weights, c=c)
    assert bound == worst_of_all(glimpse, fused)


@few
@given(st.lists(LISTS, min_size=1, max_size=3), st.data(), CONSTANT)
def test_every_item_is_fused_once(lists: list[list[ItemId]], data: st.DataObject, c: float) -> None:
    weights = data.draw(st.lists(WEIGHT, min_size=len(lists), max_size=len(lists)))
    for fused in (interleave(lists), reciprocal_rank_fusion(lists, weights=weights, c=c)):
        assert sorted(fused) == sorted({item for one in lists for item in one})


@few
@given(LISTS, LISTS, WEIGHT, CONSTANT)
def test_a_list_fused_with_itself_or_with_weight_zero_keeps_its_order(
    one: list[ItemId], other: list[ItemId], weight: float, c: float
) -> None:
    assert interleave([one, one]) == tuple(one)
    assert reciprocal_rank_fusion([one, one], weights=(weight, 1), c=c) == tuple(one)
    assert reciprocal_rank_fusion([one, other], weights=(weight, 0), c=c) == tuple(one)
    assert reciprocal_rank_fusion([other, one], weights=(0, weight), c=c) == tuple(one)


@few
@given(st.permutations(range(3)), st.lists(LISTS, min_size=3, max_size=3), st.lists(WEIGHT, min_size=3, max_size=3))
def test_the_order_of_the_members_decides_only_ties(
    order: list[int], lists: list[list[ItemId]], weights: list[float]
) -> None:
    one = reciprocal_rank_fusion(lists, weights=weights)
    other = reciprocal_rank_fusion([lists[i] for i in order], weights=[weights[i] for i in order])
    sums = {
        item: sum(w / (60 + part.index(item) + 1) for part, w in zip(lists, weights, strict=True) if item in part)
        for item in one
    }
    for first, second in zip(one, other, strict=True):
        assert abs(sums[first] - sums[second]) < 1e-12


@few
@given(st.lists(LISTS, min_size=2, max_size=3), st.lists(WEIGHT, min_size=3, max_size=3), CONSTANT, st.data())
def test_a_better_place_in_one_list_never_makes_the_fused_place_worse(
    lists: list[list[ItemId]], weights: list[float], c: float, data: st.DataObject
) -> None:
    which = data.draw(st.integers(0, len(lists) - 1))
    target = data.draw(st.sampled_from(ITEMS))
    rest = [item for item in lists[which] if item != target]
    old = lists[which].index(target) if target in lists[which] else len(rest)
    new = data.draw(st.integers(0, old))
    better = [*lists[:which], [*rest[:new], target, *rest[new:]], *lists[which + 1 :]]
    weights = weights[: len(lists)]
    for before, after in (
        (interleave(lists), interleave(better)),
        (reciprocal_rank_fusion(lists, weights=weights, c=c), reciprocal_rank_fusion(better, weights=weights, c=c)),
    ):
        assert target not in before or after.index(target) <= before.index(target)


@few
@given(LISTS, LISTS, LISTS, LISTS, st.integers(0, 6))
def test_the_first_places_of_interleaved_lists_do_not_depend_on_what_is_cut(
    one: list[ItemId], other: list[ItemId], more: list[ItemId], rest: list[ItemId], depth: int
) -> None:
    long_one = list(dict.fromkeys([*one[:depth], *more]))
    long_other = list(dict.fromkeys([*other[:depth], *rest]))
    assume(len(one) >= depth and len(other) >= depth)
    assert interleave([long_one, long_other])[:depth] == interleave([one[:depth], other[:depth]])[:depth]


@st.composite
def recordings(draw: st.DrawFn) -> tuple[Gold, Predictions, Predictions]:
    """A gold with mentioned items, and two systems with lists in which those occur."""
    examples = [
        GoldExample(f"x{number}", "d", "t", tuple(draw(st.lists(st.sampled_from(ITEMS), unique=True, max_size=3))),
                    frozenset(), tuple(draw(st.lists(st.sampled_from(ITEMS), unique=True, max_size=2))), 1)
        for number in range(3)
    ]  # fmt: skip
    gold = Gold("invented", "test", tuple(examples), {item: GoldItem(item, None, 1, True) for item in ITEMS})
    systems = [
        Predictions(name, draw(st.integers(1, 6)), lists={e.id: tuple(draw(LISTS)) for e in examples})
        for name in ("known", "other")
    ]
    return gold, systems[0], systems[1]


def only_ranks(system: Predictions, gold: Gold) -> Predictions:
    ranks = {}
    for example in gold.examples:
        for seen, removed in (("kept", ()), ("excluded", example.seen)):
            kept = [item for item in system.lists[example.id] if item not in removed][: system.depth]
            ranks |= {(example.id, t, seen): kept.index(t) + 1 if t in kept else 0 for t in example.targets}
    return Predictions(system.system, system.depth, ranks=ranks)


@few
@given(recordings(), st.sampled_from(["rrf", "interleave"]), st.booleans())
def test_forgetting_a_members_lists_never_flatters(
    situation: tuple[Gold, Predictions, Predictions], method: str, forgotten_first: bool
) -> None:
    gold, known, other = situation
    assume(any(example.targets for example in gold.examples))
    forgotten = only_ranks(other, gold)
    members = [other, known] if forgotten_first else [known, other]
    exact = fuse(members, gold, method=method)
    bound = fuse([forgotten if member is other else member for member in members], gold, method=method)
    assert bound.lower_bound
    assert not exact.lower_bound
    assert exact.depth == bound.depth
    assert set(exact.ranks) == set(bound.ranks)
    for row, worst in bound.ranks.items():
        assert worst == 0 or 1 <= exact.ranks[row] <= worst
