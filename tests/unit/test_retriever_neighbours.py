"""The counts beside the vectors: against a computation by loops, and what they do with what they do not know."""

from __future__ import annotations

import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarec.retriever import neighbours as module
from rarec.retriever.neighbours import Neighbours, NeighboursConfig, NeighbourScores, items_that_count
from rarec.types import Conversation, ItemId, Mention, Sentiment, Turn

A, B, C, Z = (ItemId(id) for id in "abcz")
ALL = [ItemId(id) for id in "abcdefghxy"]
ITEMS = st.sampled_from(ALL[:8])
TALKS = st.lists(st.lists(ITEMS, max_size=6), max_size=12)


def talk(*items: ItemId, sentiment: Sentiment = "mentioned") -> Conversation:
    return Conversation(tuple(Turn("user", i, (Mention(i, sentiment),)) for i in items))


def by_hand(talks: list[list[ItemId]], asked: set[ItemId], config: NeighboursConfig) -> dict[ItemId, float]:
    """The formula of the docstring, by loops."""
    sets = [set(t) for t in talks if len(set(t)) > 1]
    often = Counter(i for s in sets for i in s)
    both = Counter(pair for s in sets for pair in permutations(s, 2))
    sums: Counter[ItemId] = Counter()
    for (i, j), n in both.items():
        if i in asked:
            sums[j] += n / math.sqrt((often[i] + config.shrinkage) * (often[j] + config.shrinkage))  # type: ignore[assignment]
    return {j: config.weight * math.log1p(config.gain * value) for j, value in sums.items()}


@given(TALKS, st.sets(ITEMS), st.floats(0.1, 5), st.floats(0.1, 100), st.floats(0, 3))
def test_bonuses_are_those_of_the_formula(
    talks: list[list[ItemId]], asked: set[ItemId], weight: float, gain: float, shrinkage: float
) -> None:
    config = NeighboursConfig(weight=weight, gain=gain, shrinkage=shrinkage)
    found = Neighbours.count([talk(*t) for t in talks], config).bonuses(asked)
    assert found == pytest.approx(by_hand(talks, asked, config), rel=1e-5)
    assert all(value > 0 for value in found.values())


@given(TALKS, st.integers(1, 20))
def test_pairs_that_are_counted_in_portions_are_the_same(talks: list[list[ItemId]], portion: int) -> None:
    config = NeighboursConfig()
    whole = Neighbours.count([talk(*t) for t in talks], config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PAIRS_AT_ONCE", portion)
        parts = Neighbours.count([talk(*t) for t in talks], config)
    assert parts.ids == whole.ids
    assert np.array_equal(parts.starts, whole.starts)
    assert np.array_equal(parts.columns, whole.columns)
    assert np.array_equal(parts.values, whole.values)


def test_unknown_items_and_the_weight_nought_give_nothing() -> None:
    counted = Neighbours.count([talk(A, B)], NeighboursConfig())
    assert counted.bonuses([Z]) == {}
    assert counted.bonuses([]) == {}
    assert counted.with_weight(0).bonuses([A]) == {}
    assert set(counted.bonuses([A, A])) == {B}
    assert len(Neighbours.count([], NeighboursConfig())) == 0
    assert Neighbours.count([], NeighboursConfig()).bonuses([A]) == {}


def test_the_strongest_neighbours_are_kept() -> None:
    talks = [talk(A, B)] * 3 + [talk(A, C)]
    kept = Neighbours.count(talks, NeighboursConfig(most=1))
    assert set(kept.bonuses([A])) == {B}
    assert set(kept.bonuses([C])) == {A}


def test_a_conversation_counts_once_however_often_it_names_an_item() -> None:
    config = NeighboursConfig()
    once, thrice = Neighbours.count([talk(A, B)], config), Neighbours.count([talk(A, B, A, A)], config)
    assert once.bonuses([A]) == thrice.bonuses([A])


def test_what_is_disliked_by_the_end_calls_for_nobody() -> None:
    turns = (*talk(A, B).turns, *talk(A, sentiment="disliked").turns)
    assert items_that_count(Conversation(turns)) == [B]
    assert items_that_count(Conversation((*turns, *talk(A, sentiment="liked").turns))) == [A, B]


@given(TALKS, st.lists(ITEMS, max_size=4), st.permutations(ALL))
def test_scores_of_columns_get_the_same_bonuses(
    talks: list[list[ItemId]], asked: list[ItemId], columns: list[ItemId]
) -> None:
    columns = columns[:7]
    counted = Neighbours.count([talk(*t) for t in talks], NeighboursConfig())
    scores = np.zeros((1, len(columns)), np.float32)
    NeighbourScores(counted, columns).add_to(scores, [talk(*asked)])
    bonuses = counted.bonuses(asked)
    assert scores[0].tolist() == pytest.approx([bonuses.get(c, 0.0) for c in columns])
    NeighbourScores(None, columns).add_to(scores, [talk(*asked)])
    assert scores[0].tolist() == pytest.approx([bonuses.get(c, 0.0) for c in columns])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": (A,)}, "rows do not fit"),
        ({"ids": (A, A)}, "comes twice"),
        ({"columns": np.array([1, 2], np.int32)}, "of no item"),
        ({"values": np.array([1.0, np.nan], np.float32)}, "not above 0"),
        ({"starts": np.array([0, 3, 2])}, "rows do not fit"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    counted = Neighbours.count([talk(A, B)], NeighboursConfig())
    parts = {name: getattr(counted, name) for name in ("config", "ids", "starts", "columns", "values")}
    with pytest.raises(ValueError, match=message):
        Neighbours(**(parts | change))
