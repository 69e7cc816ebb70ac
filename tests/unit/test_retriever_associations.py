"""The counts beside the vectors: against a computation by loops, and what they do with what they do not know."""

from __future__ import annotations

import math
import threading
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counted import counted_bonuses
from rarec.retriever import counting as module
from rarec.retriever.associations import (
    Associations,
    AssociationScores,
    Context,
    Counts,
    CountsConfig,
    Identity,
    LiveAssociations,
    WordsConfig,
    name_of,
    words_of,
)
from rarec.retriever.counting import count_neighbours, count_words
from rarec.types import Conversation, Item, ItemId, Mention, Sentiment, Turn

A, B, C, Z = (ItemId(id) for id in "abcz")
ALL = [ItemId(id) for id in "abcdefghxy"]
ITEMS = st.sampled_from(ALL[:8])
TALKS = st.lists(st.lists(ITEMS, max_size=6), max_size=12)
SAID = st.lists(st.tuples(st.lists(st.sampled_from(["sea", "calm", "war", "dog"]), max_size=4), ITEMS), max_size=8)
ASKED = st.lists(SAID, max_size=8)


def plain(item: ItemId) -> str:
    return item


def talk(*items: ItemId, sentiment: Sentiment = "mentioned") -> Conversation:
    return Conversation(tuple(Turn("user", i, (Mention(i, sentiment, (0, len(i))),)) for i in items))


def asking(said: list[tuple[list[str], ItemId]]) -> Conversation:
    """Users say words, assistants recommend."""
    turns: list[Turn] = []
    for words, item in said:
        turns += [Turn("user", " ".join(words), ()), Turn("assistant", "this", (Mention(item),))]
    return Conversation(tuple(turns))


def value(config: CountsConfig, both: int, left: int, right: int) -> float:
    return both / math.sqrt((left + config.shrinkage) * (right + config.shrinkage))


def by_hand(talks: list[list[ItemId]], asked: set[ItemId], config: CountsConfig) -> dict[ItemId, float]:
    """The formula of the docstring, by loops."""
    sets = [set(t) for t in talks if len(set(t)) > 1]
    often = Counter(i for s in sets for i in s)
    both = Counter(pair for s in sets for pair in permutations(s, 2))
    sums: dict[ItemId, float] = {}
    for (i, j), n in both.items():
        if i in asked:
            sums[j] = sums.get(j, 0.0) + value(config, n, often[i], often[j])
    return {j: config.weight * math.log1p(config.gain * total) for j, total in sums.items()}


@given(TALKS, st.sets(ITEMS), st.floats(0.1, 5), st.floats(0.1, 100), st.floats(0, 3))
def test_neighbours_are_those_of_the_formula(
    talks: list[list[ItemId]], asked: set[ItemId], weight: float, gain: float, shrinkage: float
) -> None:
    config = CountsConfig(weight=weight, gain=gain, shrinkage=shrinkage)
    counted = count_neighbours([talk(*t) for t in talks], config, plain)
    found = counted_bonuses(Associations(neighbours=counted), asked)
    assert found == pytest.approx(by_hand(talks, asked, config), rel=1e-5)
    assert all(bonus > 0 for bonus in found.values())


@given(ASKED, st.lists(st.sampled_from(["sea", "calm", "war", "dog", "cat"]), max_size=4), st.integers(1, 3))
def test_words_are_those_of_the_formula(
    talks: list[list[tuple[list[str], ItemId]]], asked: list[str], least: int
) -> None:
    config = WordsConfig(weight=2.0, least=least, share=0.9)
    before: list[tuple[set[str], ItemId]] = []
    for said in talks:
        words: list[str] = []
        seen: set[ItemId] = set()
        for own, item in said:
            words.append(" ".join(own))
            if item not in seen:
                before.append((set(words_of(words)), item))
            seen.add(item)
    often = Counter(w for words, _ in before for w in words)
    items = Counter(item for _, item in before)
    kept = {w for w, n in often.items() if least <= n <= 0.9 * len(before)}
    sums: dict[ItemId, float] = {}
    for word in set(words_of([" ".join(asked)])) & kept:
        for item in items:
            if both := sum(word in words and own == item for words, own in before):
                sums[item] = sums.get(item, 0.0) + value(config, both, often[word], items[item])
    counted = count_words([asking(said) for said in talks], config, plain)
    context = Context.of(Conversation((Turn("user", " ".join(asked), ()),)))
    found = counted_bonuses(Associations(words=counted), words=context.words)
    assert found == pytest.approx({i: 2.0 * math.log1p(config.gain * v) for i, v in sums.items()}, rel=1e-5)


@given(TALKS, ASKED, st.integers(1, 20))
def test_pairs_that_are_counted_in_portions_are_the_same(
    talks: list[list[ItemId]], asked: list[list[tuple[list[str], ItemId]]], portion: int
) -> None:
    def both() -> list[Counts]:
        words = count_words([asking(said) for said in asked], WordsConfig(least=1, share=1.0), plain)
        return [count_neighbours([talk(*t) for t in talks], CountsConfig(), plain), words]

    whole = both()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PAIRS_AT_ONCE", portion)
        parts = both()
    for one, other in zip(whole, parts, strict=True):
        assert (one.keys, one.items) == (other.keys, other.items)
        for name in ("starts", "columns", "values"):
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes()


def test_unknown_items_and_the_weight_nought_give_nothing() -> None:
    counted = count_neighbours([talk(A, B)], CountsConfig(), plain)

    def bonuses(counts: Counts, *items: ItemId) -> dict[str, float]:
        return counted_bonuses(Associations(neighbours=counts), items)

    assert bonuses(counted, Z) == {}
    assert bonuses(counted) == {}
    assert bonuses(counted.with_weight(0), A) == {}
    assert set(bonuses(counted, A, A)) == {B}
    assert len(count_neighbours([], CountsConfig(), plain)) == 0
    assert len(count_words([], WordsConfig(), plain)) == 0
    assert counted_bonuses(Associations(), (A,), ("x",)) == {}
    assert not Associations()
    assert not Associations(neighbours=count_neighbours([], CountsConfig(), plain))
    assert Associations(neighbours=counted)


def test_the_strongest_are_kept() -> None:
    counted = count_neighbours([talk(A, B)] * 3 + [talk(A, C)], CountsConfig(most=1), plain)
    assert set(counted_bonuses(Associations(neighbours=counted), (A,))) == {B}
    assert set(counted_bonuses(Associations(neighbours=counted), (C,))) == {A}


def test_a_conversation_counts_once_however_often_it_names_an_item() -> None:
    once, thrice = (count_neighbours([talk(*t)], CountsConfig(), plain) for t in ((A, B), (A, B, A, A)))
    assert once.values.tobytes() == thrice.values.tobytes()


def test_what_is_disliked_by_the_end_calls_for_nobody() -> None:
    turns = (*talk(A, B).turns, *talk(A, sentiment="disliked").turns)
    assert Context.of(Conversation(turns)).items == (B,)
    assert Context.of(Conversation((*turns, *talk(A).turns))).items == (B,)
    assert Context.of(Conversation((*turns, *talk(A, sentiment="liked").turns))).items == (A, B)


@given(st.text(st.characters(codec=None)))
def test_any_text_has_words_and_any_title_a_name(text: str) -> None:
    assert all(len(word) == 12 for word in words_of([text]))
    for by in ("id", "title"):
        assert len(name_of(Item(ItemId(text), text), by)) == 12


def test_words_are_the_users_without_titles_and_case_and_cannot_be_read() -> None:
    said = Turn("user", "I liked Blue Harbour, it's CALM", (Mention(A, "liked", (8, 20)),))
    context = Context.of(Conversation((said, Turn("assistant", "loud words", ()))))
    assert set(context.words) == set(words_of(["i liked it, it's calm"]))
    assert set(words_of(["calm"])) < set(context.words)
    assert set(words_of(["liked it"])) < set(context.words), "pairs that follow each other count too"
    assert not set(words_of(["loud harbour"])) & set(context.words)
    assert all(set(word) <= set("0123456789abcdef") for word in context.words)


def named(items: list[ItemId]) -> list[Item]:
    """Items whose titles are not their ids."""
    return [Item(item, f"The {item.upper()}", year=1990) for item in items]


@pytest.mark.parametrize("by", ["id", "title"])
@given(TALKS, ASKED, st.lists(ITEMS, max_size=4), st.permutations(ALL), st.lists(ITEMS, max_size=3))
def test_fixed_and_live_catalogues_give_the_same_bonuses(
    by: Identity,
    talks: list[list[ItemId]],
    said: list[list[tuple[list[str], ItemId]]],
    asked: list[ItemId],
    columns: list[ItemId],
    gone: list[ItemId],
) -> None:
    catalogue = named(columns[:7])
    names = {item.id: name_of(item, by) for item in named(ALL)}
    counted = Associations(
        count_neighbours([talk(*t) for t in talks], CountsConfig(), names.get),
        count_words([asking(own) for own in said], WordsConfig(least=1, share=1.0), names.get),
        by,
    )
    conversation = Conversation((*talk(*asked).turns, Turn("user", "a calm sea", ())))
    context = Context.of(conversation)
    here = [names[item] for item in context.items if item in columns[:7]]
    bonuses = counted_bonuses(counted, here, context.words)
    scores = np.zeros((1, len(catalogue)), np.float32)
    AssociationScores(counted, catalogue).add_to(scores, [conversation])
    assert scores[0].tolist() == pytest.approx([bonuses.get(names[item.id], 0.0) for item in catalogue])
    known = AssociationScores(counted, catalogue, mentioned=named(ALL)).of(context)
    every = counted_bonuses(counted, [names[item] for item in context.items], context.words)
    assert known.tolist() == pytest.approx([every.get(names[item.id], 0.0) for item in catalogue])
    assert not AssociationScores(Associations(), catalogue).of(context).any()

    live = LiveAssociations(counted)
    live.put(catalogue)
    live.put(catalogue[:2])  # again
    assert live.bonuses(context) == pytest.approx(
        {item.id: bonuses[names[item.id]] for item in catalogue if names[item.id] in bonuses}
    )
    live.remove([*gone, Z])
    assert not set(live.bonuses(context)) & set(gone)


def test_items_of_one_title_and_year_share_what_is_counted_whatever_their_ids() -> None:
    old = [Item(ItemId(f"tt{k}"), title, year=1999) for k, title in enumerate(("The Sea: Part 2", "Calm"))]
    names = {item.id: name_of(item, "title") for item in old}
    counted = Associations(count_neighbours([talk(*names)], CountsConfig(), names.get), by="title")
    again = [
        Item(ItemId("1"), "the sea part 2", year=1999),
        Item(ItemId("2"), "The Sea, Part 2!", year=1999),
        Item(ItemId("3"), "The Sea: Part 2", year=2000),
        Item(ItemId("tt0"), "Quite another", year=1999),
        Item(ItemId("calm"), "CALM", year=1999),
    ]
    live = LiveAssociations(counted)
    live.put(again)
    assert set(live.bonuses(Context((ItemId("calm"),)))) == {"1", "2"}
    assert (
        AssociationScores(counted, again).of(Context((ItemId("calm"),))).astype(bool).tolist()
        == [True] * 2 + [False] * 3
    )
    assert live.bonuses(Context((ItemId("tt0"),))) == {}, "an id of another catalogue means nothing"
    live.put([Item(ItemId("1"), "renamed", year=1999)])
    assert set(live.bonuses(Context((ItemId("calm"),)))) == {"2"}
    live.put([again[1], Item(ItemId("2"), "of two with one id the last counts")])
    assert live.bonuses(Context((ItemId("calm"),))) == {}


def test_items_that_are_put_again_are_there_meanwhile() -> None:
    catalogue = named(ALL)
    names = {item.id: name_of(item, "id") for item in catalogue}
    live = LiveAssociations(Associations(count_neighbours([talk(*names)], CountsConfig(), names.get)))
    live.put(catalogue)
    context, end = Context((A,)), threading.Event()
    wanted = live.bonuses(context)

    def again() -> None:
        while not end.is_set():
            live.put(catalogue)

    writer = threading.Thread(target=again)
    writer.start()
    try:
        assert all(live.bonuses(context) == wanted for _ in range(2000))
    finally:
        end.set()
        writer.join()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keys": (A,)}, "rows do not fit"),
        ({"keys": (A, A)}, "comes twice"),
        ({"items": (A, A)}, "comes twice"),
        ({"columns": np.array([1, 2], np.int32)}, "of no item"),
        ({"values": np.array([1.0, np.nan], np.float32)}, "not above 0"),
        ({"starts": np.array([0, 3, 2])}, "rows do not fit"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    counted = count_neighbours([talk(A, B)], CountsConfig(), plain)
    parts = {name: getattr(counted, name) for name in ("config", "keys", "items", "starts", "columns", "values")}
    with pytest.raises(ValueError, match=message):
        Counts(**(parts | change))
