"""Associations and the index of a catalogue whose items come, change and go, against tables that are made anew."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.index import ExactIndex, exact
from rarec.item_numbers import Bonuses, ItemNumbers, RowOfNumber
from rarec.retriever import postings
from rarec.retriever.associations import (
    Associations,
    Context,
    CountsConfig,
    LiveAssociations,
    WordsConfig,
    name_of,
)
from rarec.retriever.counting import count_neighbours, count_words
from rarec.retriever.features import PopularityScale, item_features
from rarec.retriever.kin import Kin, KinConfig
from rarec.retriever.postings import ValuesConfig
from rarec.types import Conversation, Item, ItemId, Mention, Turn

RNG = np.random.default_rng(0)
WORDS = ("harbour", "lantern", "orchard", "glacier", "saddle")
FACES = {f"i{k}": RNG.standard_normal(3).astype(np.float32) for k in range(16)}


def item(number: int, change: int) -> Item:
    """The same number and change give the same item; items 0 to 9 were there when it was counted."""
    return Item(
        ItemId(f"i{number}"),
        f"Title {number + 20 * (change > 1)}",
        f"{WORDS[(number + change) % 5]} and {WORDS[number % 3]}" + " with a pebble" * (number % 2),
        attributes={"mood": (f"mood {(number + change) % 4}",)},
        popularity=float(number),
    )


def features_of(items: list[Item]) -> np.ndarray:
    faces = np.stack([FACES[i.id] / np.linalg.norm(FACES[i.id]) for i in items]) if items else np.empty((0, 3))
    return item_features(
        faces.astype(np.float32), [i.popularity for i in items], [i.year for i in items], scale=PopularityScale([1, 9])
    )


def all_kinds() -> Associations:
    old = [item(number, 0) for number in range(10)]
    names = {i.id: name_of(i, "title") for i in old}
    talks = [
        Conversation(
            (
                Turn("user", f"some {WORDS[k % 5]} mood {k % 4}", (Mention(old[k].id),)),
                Turn("assistant", "", (Mention(old[(3 * k + 1) % 8].id), Mention(old[(k + 1) % 8].id))),
            )
        )
        for k in range(8)
    ]
    neighbours = count_neighbours(talks, CountsConfig(), names.get)
    words = count_words(talks, WordsConfig(least=1, share=1.0), names.get)
    counted = Associations(neighbours, words, "title")
    kin = Kin.of(KinConfig(nearest=3), counted.names, list(names.values()), features_of(old))
    common = ValuesConfig(share=1.0)
    return Associations(neighbours, words, "title", common, common, common, kin)


ASSOCIATIONS = all_kinds()
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.lists(st.tuples(st.integers(0, 15), st.integers(0, 2)), max_size=6)),
        st.tuples(st.just("remove"), st.lists(st.tuples(st.integers(0, 15), st.just(0)), max_size=4)),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=80)
@given(
    STEPS, st.lists(st.integers(0, 15), max_size=3, unique=True), st.sampled_from((*WORDS, "pebble")), st.integers(0, 3)
)
@pytest.mark.parametrize("often", [False, True])
def test_what_came_and_went_leaves_nothing_behind(often, steps, mentioned, word, mood):
    with pytest.MonkeyPatch.context() as patch:
        if often:  # rows of nobody are dropped as soon as there are some
            patch.setattr(postings, "_FEW_GONE", 0)
            patch.setattr(exact, "MIN_CAPACITY", 4)
        step_by_step(steps, mentioned, word, mood)


def step_by_step(steps, mentioned, word, mood):
    numbers = ItemNumbers()
    live, index = LiveAssociations(ASSOCIATIONS, numbers), ExactIndex(3, numbers=numbers)
    here: dict[ItemId, Item] = {}
    context = Context.said_by([f"a {word} of mood {mood}"], tuple(ItemId(f"i{k}") for k in mentioned))
    for step, which in steps:
        items = [item(*one) for one in which]
        if step == "put":
            live.put(items, features_of(items))
            index.add(items, features_of(items)[:, :3])
            here |= {i.id: i for i in items}
        else:
            ids = [i.id for i in items]
            index.remove(ids)
            live.remove(ids)
            numbers.forget(ids)
            here = {id: i for id, i in here.items() if id not in ids}
        found, fresh = live.bonuses(context), LiveAssociations(ASSOCIATIONS)
        fresh.put(list(here.values()), features_of(list(here.values())))
        assert found == pytest.approx(dict(fresh.bonuses(context)))
        assert all(value > 0 for value in found.values())
        assert set(index.ids()) == set(here)
        assert all((i.id in index) for i in here.values())
        query = np.ones((1, 3), np.float32)
        by_number, by_id = (index.search(query, n=4, bonuses=[own])[0] for own in (found, dict(found)))
        assert by_number.ids == by_id.ids
        np.testing.assert_array_equal(by_number.scores, by_id.scores)


def test_bonuses_can_be_read_whatever_was_forgotten_meanwhile():
    numbers = ItemNumbers()
    live, items = LiveAssociations(ASSOCIATIONS, numbers), [item(number, 0) for number in range(16)]
    live.put(items, features_of(items))
    found = live.bonuses(Context((ItemId("i1"),)))
    gone = next(iter(LiveAssociations.bonuses(live, Context((ItemId("i1"),)))))
    numbers.forget([gone])
    assert gone not in found
    assert dict(found) == dict(found.items())
    assert len(found) == len(found.numbers) - 1
    index = ExactIndex(3)
    index.add(items, features_of(items)[:, :3])
    query = np.ones((1, 3), np.float32)
    assert index.search(query, n=3, bonuses=[found])[0].ids == index.search(query, n=3, bonuses=[dict(found)])[0].ids


def test_all_kinds_are_at_work():
    live, items = LiveAssociations(ASSOCIATIONS), [item(number, 0) for number in range(16)]
    live.put(items, features_of(items))
    context = Context.said_by(["a harbour of mood 1, a pebble"], (ItemId("i1"),))
    assert [kind for kind, own in live.each(context) if own] == [
        "neighbours",
        "words",
        "shared",
        "asked",
        "written",
        "kin",
    ]


def test_a_number_is_of_one_id_for_ever():
    numbers = ItemNumbers()
    assert numbers.give([ItemId("a"), ItemId("b"), ItemId("a")]).tolist() == [0, 1, 0]
    numbers.forget([ItemId("a"), ItemId("unknown")])
    assert numbers.find([ItemId("b"), ItemId("a")]).tolist() == [1, -1]
    assert numbers.give([ItemId("a")]).tolist() == [2]
    assert (len(numbers), numbers.id(1), numbers.id(0)) == (3, "b", "")


def test_rows_of_numbers_that_were_never_put_are_none():
    rows = RowOfNumber()
    assert rows.get(np.array([-1, 0, 10**9])).tolist() == [-1, -1, -1]
    rows.put(np.array([3, 1, 3]), np.array([5, 6, 7]))
    assert rows.get(np.array([0, 1, 3, 4, -1, 10**9])).tolist() == [-1, 6, 7, -1, -1, -1]
    assert [rows[3], rows[-1], rows[10**9]] == [7, -1, -1]
    rows.put(np.array([3]), -1)
    assert np.flatnonzero(rows.all() >= 0).tolist() == [1]


def test_bonuses_are_a_mapping_and_add_up():
    numbers = ItemNumbers()
    numbers.give([ItemId(id) for id in "abcd"])
    one = Bonuses(numbers, np.array([0, 2]), np.array([1.0, 2.0]))
    two = Bonuses(numbers, np.array([2, 3]), np.array([0.5, 0.25]))
    assert Bonuses.total(numbers, [one, two]) == {"a": 1.0, "c": 2.5, "d": 0.25}
    assert Bonuses.total(numbers, []) == {}
    assert (one["c"], one.get(ItemId("d")), one.get(ItemId("unknown")), "b" in one, len(one)) == (
        2.0,
        None,
        None,
        False,
        2,
    )
