"""Words of titles and texts that users say: against the formula by loops, and as items come and go."""

from __future__ import annotations

import math
import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarec.retriever import postings as module
from rarec.retriever import written as words_module
from rarec.retriever.associations import (
    Associations,
    AssociationScores,
    AssociationWeights,
    Context,
    CountsConfig,
    LiveAssociations,
    WordsConfig,
    name_of,
    speak_of,
)
from rarec.retriever.counting import count_neighbours, count_words
from rarec.retriever.postings import Postings, ValuesConfig, merged
from rarec.retriever.stems import stem_of
from rarec.retriever.written import WrittenWords
from rarec.types import Conversation, Item, ItemId, Mention, Turn

IDS = [ItemId(f"i{k}") for k in range(14)]
WRITTEN = AssociationWeights._fields.index("written")
WORDS = ("tomato", "Tomatoes", "rose", "hose", "garden", "gardening", "for", "ice", "1999", "für", "鉢")
TEXTS = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
ITEMS = st.builds(Item, st.sampled_from(IDS), TEXTS.map("Zub {}".format), TEXTS)
CATALOGUES = st.lists(ITEMS, max_size=20, unique_by=lambda item: item.id)
CONFIGS = st.builds(
    ValuesConfig, weight=st.floats(0.1, 3), gain=st.floats(0.1, 20), share=st.floats(0.01, 1), most=st.integers(1, 20)
)
SAID = st.lists(TEXTS, max_size=3)
STEPS = st.lists(st.one_of(st.lists(ITEMS, max_size=6), st.sets(st.sampled_from(IDS), max_size=4)), max_size=12)


def stems(*texts: str) -> set[str]:
    return {stem for text in texts for word in text.split() if (stem := stem_of(word))}


def by_hand(items: list[Item], said: list[str], config: ValuesConfig) -> dict[ItemId, float]:
    """The formula of the docstring, by loops."""
    own = {item.id: stems(item.title, item.text) for item in items}
    sums: dict[ItemId, float] = {}
    for stem in stems(*said):
        having = [id for id, words in own.items() if stem in words]
        if having and len(having) < len(own) and len(having) <= min(config.most, max(10, config.share * len(own))):
            for id in having:
                sums[id] = sums.get(id, 0.0) + (math.log(len(own) / len(having)) / math.log(len(own))) ** 2
    return {id: config.weight * math.log1p(config.gain * total) for id, total in sums.items()}


def of(items: list[Item]) -> WrittenWords:
    known = WrittenWords()
    known.put(items)
    return known


@given(CATALOGUES, SAID, CONFIGS)
def test_words_are_written_as_the_formula_says(items: list[Item], said: list[str], config: ValuesConfig) -> None:
    assert of(items).written(said, config) == pytest.approx(by_hand(items, said, config))


@given(STEPS, SAID, CONFIGS, st.integers(0, 3))
def test_items_that_come_and_go_leave_no_trace(
    steps: list[list[Item] | set[ItemId]], said: list[str], config: ValuesConfig, few: int
) -> None:
    live, left = WrittenWords(), dict[ItemId, Item]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_FEW_GONE", few)  # rows of nobody are dropped early
        for step in steps:
            if isinstance(step, set):
                live.remove([*step, ItemId("unknown")])
                left = {id: item for id, item in left.items() if id not in step}
            else:
                live.put(step)
                left |= {item.id: item for item in step}
    assert len(live) == len(left)
    assert live.written(said, config) == pytest.approx(by_hand(list(left.values()), said, config))


@given(CATALOGUES, SAID)
def test_fixed_and_live_catalogues_give_the_same(items: list[Item], said: list[str]) -> None:
    both = Associations(asked=ValuesConfig(weight=0.3), written=ValuesConfig(weight=1.3, share=0.5))
    context = Context.of(Conversation(tuple(Turn("user", text, ()) for text in said)))
    live = LiveAssociations(both)
    live.put(items)
    bonuses = live.bonuses(context)
    assert AssociationScores(both, items).of(context).tolist() == pytest.approx(
        [bonuses.get(item.id, 0.0) for item in items], rel=1e-5
    )
    assert bonuses == pytest.approx(by_hand(items, list(context.said), ValuesConfig(weight=1.3, share=0.5)))


def test_nothing_is_read_where_nothing_is_weighed() -> None:
    items = [Item(IDS[k], "Pot", "for tomatoes" if k < 2 else "") for k in range(4)]
    context = Context(said=("tomatoes",))
    for off in (Associations(), Associations(written=ValuesConfig(weight=0.0))):
        assert not off
        live = LiveAssociations(off)
        live.put(items)
        assert live.bonuses(context) == {}
        assert not AssociationScores(off, items).of(context).any()
    on = Associations(written=ValuesConfig())
    assert on
    assert on.weights.written == 1.0
    assert not on.with_weights(on.weights._replace(written=0.0))


def test_items_that_are_counted_get_nothing_from_their_texts() -> None:
    """After which words they are wanted is known better, and they would be favoured twice."""
    items = [Item(id, f"Pot {id}", "for tomatoes" if k < 6 else "") for k, id in enumerate(IDS)]
    names = {item.id: name_of(item, "title") for item in items}
    talk = Conversation(tuple(Turn("user", "", (Mention(IDS[k]),)) for k in (0, 2, 9)))
    neighbours = count_neighbours([talk], CountsConfig(), names.get)
    both = Associations(neighbours, by="title", written=ValuesConfig())
    live = LiveAssociations(both)
    live.put(items)
    context = Context(said=("a tomato",))
    assert set(live.bonuses(context)) == {IDS[k] for k in (1, 3, 4, 5)}
    assert np.flatnonzero(AssociationScores(both, items).of(context)).tolist() == [1, 3, 4, 5]
    everything = WrittenWords()
    everything.put(items)
    assert live.bonuses(context)[IDS[1]] == everything.written(["tomato"], ValuesConfig())[IDS[1]], "rarity is of all"
    assert live.quoted(context, IDS) == dict.fromkeys(IDS[:6], ("tomato",))


@pytest.mark.parametrize("spoken_of", [True, False])
def test_words_that_training_knows_are_looked_up_where_it_knows_no_item(spoken_of: bool) -> None:
    films = [Item(ItemId(f"f{k}"), f"Film {k}", "with ice and tomatoes" if k < 3 else "") for k in range(6)]
    names = {item.id: name_of(item, "title") for item in films}
    talk = Conversation((Turn("user", "ice", ()), Turn("assistant", "", (Mention(films[5].id),))))
    words = count_words([talk], WordsConfig(least=1, share=1.0), names.get)
    both = Associations(words=words, by="title", written=ValuesConfig())
    items = films if spoken_of else [Item(item.id, f"Other {item.id}", item.text) for item in films]
    live, fixed = LiveAssociations(both), AssociationScores(both, items)
    live.put(items)

    def found(text: str) -> set[ItemId]:
        context = Context.of(Conversation((Turn("user", text, ()),)))
        written = {items[k].id for k in np.flatnonzero(fixed.each(context)[WRITTEN])}
        assert {id for id in live.bonuses(context) if id != films[5].id} == written
        return written

    assert found("tomatoes") == {"f0", "f1", "f2"}
    assert found("ice") == (set() if spoken_of else {"f0", "f1", "f2"})


def test_counts_speak_of_a_catalogue_by_its_share_or_by_theirs() -> None:
    assert not speak_of(0, 0, 0)
    assert not speak_of(0, 100, 5)
    assert [speak_of(counted, 400, 5000) for counted in (19, 20)] == [False, True]
    assert [speak_of(counted, 10**6, 5000) for counted in (499, 500)] == [False, True]


def test_of_many_words_the_rarest_count(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [Item(IDS[k], "Pot", " ".join(("ice", "rose", "hose", "tomato")[k % 2 + k % 3 :])) for k in range(12)]
    known, said = of(items), ["tomato hose rose ice"]
    often = {word: len(known.written([word], ValuesConfig(share=1.0))) for word in said[0].split()}
    assert often == {"tomato": 0, "hose": 10, "rose": 6, "ice": 2}, "all have tomatoes"
    for together, words in ((1, "ice"), (8, "ice rose"), (17, "ice rose"), (18, "ice rose hose")):
        monkeypatch.setattr(words_module, "_TOGETHER", together)
        limited = known.written(said, ValuesConfig(share=1.0))
        monkeypatch.setattr(words_module, "_TOGETHER", 2000)
        assert limited == known.written([words], ValuesConfig(share=1.0))


def test_words_are_quoted_as_they_were_said_the_rarest_first() -> None:
    items = [Item(IDS[k], "Pot", "for tomatoes" + " on roofs" * (k % 2) + " with ice" * (k == 3)) for k in range(6)]
    items.append(Item(IDS[6], "Hose"))
    known = of(items)
    said = ["Roof tomatoes", "tomato, roof", "ice for the hammock"]
    folded = [text.casefold().replace(",", "") for text in said]
    quoted = known.quoted(folded, [IDS[2], IDS[3], IDS[6], ItemId("unknown")], ValuesConfig())
    assert quoted == {IDS[2]: ("tomatoes",), IDS[3]: ("ice", "roof", "tomatoes")}
    said = ["On an icy roof: ice for tomatoes!"]
    assert known.quoted(said, [IDS[3]], ValuesConfig())[IDS[3]] == ("ice", "roof", "tomatoes"), "not folded"
    assert known.quoted([], IDS, ValuesConfig()) == known.quoted(folded, [], ValuesConfig()) == {}


def test_what_is_empty_or_unknown_gives_nothing() -> None:
    assert WrittenWords().written(["tomatoes"], ValuesConfig()) == {}
    known = of([Item(IDS[0], "Pot"), Item(IDS[1], "Rake", "for tomatoes")])
    assert known.written([], ValuesConfig()) == {}
    assert known.written(["", "something for the", "\ud800"], ValuesConfig()) == {}
    assert known.written(["hammock"], ValuesConfig()) == {}
    assert known.written(["a tomato"], ValuesConfig(weight=0.0)) == {}
    assert set(known.written(["a tomato"], ValuesConfig())) == {IDS[1]}
    known.remove(IDS)
    assert (len(known), known.written(["tomato"], ValuesConfig())) == (0, {})
    alone = of([Item(IDS[0], "Pot")])
    assert alone.written(["pot"], ValuesConfig()) == {}, "the only item has nothing to be told from"


def test_of_two_items_with_one_id_the_last_counts() -> None:
    twice = of([Item(IDS[0], "Pot"), Item(IDS[1], "Rake"), Item(IDS[0], "Hose")])
    assert len(twice) == 2
    assert set(twice.written(["pot"], ValuesConfig())) == set()
    assert set(twice.written(["hose"], ValuesConfig())) == {IDS[0]}


def test_a_text_that_did_not_change_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [Item(id, f"Pot {id}", "for tomatoes") for id in IDS]
    known = of(items)

    def fail(*args: object) -> Postings:
        raise AssertionError("read again")

    with monkeypatch.context() as patch:
        patch.setattr(module.Postings, "of", fail)
        known.put([Item(item.id, item.title, item.text, popularity=3.0) for item in items])
    assert len(known) == len(IDS)


def test_many_changes_one_by_one_stay_a_few_parts() -> None:
    known = WrittenWords()
    for number in range(300):
        known.put([Item(ItemId(str(number % 120)), f"Pot number{number}", "for tomatoes " * (number % 3))])
    parts = known._index.now.parts
    assert len(parts) < 12
    assert all(len(a) > 2 * len(b) for a, b in pairwise(parts))
    assert set(known.written(["number299"], ValuesConfig())) == {"59"}
    assert known.written(["number1"], ValuesConfig()) == {}


def test_items_without_words_leave_no_parts() -> None:
    known = of([Item(IDS[0], "Pot")])
    for k in range(20):
        known.put([Item(ItemId(f"bare{k}"), "", "")])
    assert [len(part) for part in known._index.now.parts] == [1, 0]
    assert len(known) == 21


def test_what_does_not_fit_changes_nothing() -> None:
    known = of([Item(id, "Pot", "for tomatoes" if k < 2 else "") for k, id in enumerate(IDS[:7])])
    before = known.written(["tomatoes"], ValuesConfig())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ROW_BITS", 3)
        with pytest.raises(ValueError, match="at most 8 fit"):
            known.put([Item(id, "Pot", "for tomatoes") for id in IDS[5:8]])
    assert len(known) == 7
    assert known.written(["tomatoes"], ValuesConfig()) == before


def test_it_may_be_read_while_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer is that of a whole catalogue: the fixed items are always found, with ids of their own."""
    monkeypatch.setattr(module, "_FEW_GONE", 5)
    fixed = [Item(ItemId(f"f{k}"), "Can", "for tomatoes") for k in range(5)]
    known = of(fixed)
    done, wrong = threading.Event(), list[set[ItemId]]()

    def read() -> None:
        while not done.is_set():
            found = set(known.written(["tomato"], ValuesConfig(share=1.0, most=10**6)))
            if not found >= {item.id for item in fixed} or any(id[0] not in "fm" for id in found):
                wrong.append(found)

    known.put([Item(ItemId("other"), "Hose")])
    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(400):
            known.put([Item(ItemId(f"m{number % 9}"), f"Pot {number}", "tomato")])
            known.remove([ItemId(f"m{(number + 4) % 9}")])
    finally:
        done.set()
        reader.join()
    assert wrong == []


PAIRS = st.sets(st.tuples(st.integers(0, 2**38 - 1) | st.integers(0, 5), st.integers(0, 9)), max_size=30)


def postings(pairs: set[tuple[int, int]]) -> Postings:
    return Postings.of(np.array([c for c, _ in pairs], np.uint64), np.array([r for _, r in pairs], np.uint32))


@given(PAIRS, st.lists(st.integers(0, 6), unique=True))
def test_postings_find_the_rows_of_codes(pairs: set[tuple[int, int]], codes: list[int]) -> None:
    made = postings(pairs)
    assert len(made) == len(pairs)
    asked = [*codes, *(code for code, _ in pairs)]
    starts, sizes = made.find(np.array(asked, np.uint64))
    found = [made.rows[start : start + size].tolist() for start, size in zip(starts, sizes, strict=True)]
    assert found == [sorted(r for c, r in pairs if c == code) for code in asked]


@given(PAIRS, PAIRS, st.lists(st.booleans(), min_size=20, max_size=20))
def test_merged_postings_hold_what_is_kept(
    one: set[tuple[int, int]], other: set[tuple[int, int]], kept: list[bool]
) -> None:
    other = {(code, row + 10) for code, row in other}
    both = merged([postings(one), postings(other)], np.array(kept))
    whole = postings({(code, row) for code, row in one | other if kept[row]})
    for name in ("codes", "starts", "rows"):
        assert getattr(both, name).tolist() == getattr(whole, name).tolist()
