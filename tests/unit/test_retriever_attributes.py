"""Values that items have in common, and that users name: against the formulas by loops."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarec.retriever.associations import Associations, AssociationScores, Context, LiveAssociations
from rarec.retriever.attributes import AttributeValues, folded
from rarec.retriever.postings import ValuesConfig
from rarec.types import Conversation, Item, ItemId, Mention, Turn

VALUES = (
    "Ada Vale",
    "ada vale",
    "Bo",
    "Cy Dean Eames",
    "red",
    "blue",
    "one two three four five",
    "!",
    "60",
    "-1,500.5",
)
IDS = [ItemId(f"i{k}") for k in range(12)]
OWN = st.lists(st.sampled_from(VALUES), max_size=4)
CATALOGUES = st.lists(st.tuples(st.sampled_from(IDS), OWN, OWN), max_size=20, unique_by=lambda row: row[0])
CONFIGS = st.builds(
    ValuesConfig, weight=st.floats(0.1, 3), gain=st.floats(0.1, 20), share=st.floats(0.01, 1), most=st.integers(1, 20)
)
SAID = st.lists(
    st.lists(st.sampled_from(["ada", "vale", "bo", "red", "five", "so", "60"]), max_size=5).map(" ".join), max_size=3
)


def catalogue_of(rows: list[tuple[ItemId, list[str], list[str]]]) -> list[Item]:
    return [Item(id, f"title {id}", attributes={"makers": tuple(a), "colours": tuple(b)}) for id, a, b in rows]


def values_of(item: Item) -> set[str]:
    """Without those that are no words, or numbers: these nobody has in common."""
    values = (value for values in item.attributes.values() for value in values)
    return {folded(value) for value in values if value not in ("!", "60", "-1,500.5", "$20", "2-4")}


def rarity(value: str, items: list[Item], config: ValuesConfig) -> float:
    """Of a value, 0 if it does not count: the formula of the docstrings."""
    having = sum(value in values_of(item) for item in items)
    if not having or having == len(items) or having > min(config.most, max(10, config.share * len(items))):
        return 0.0
    return math.log(len(items) / having) / math.log(len(items))


def bent(sums: dict[ItemId, float], config: ValuesConfig) -> dict[ItemId, float]:
    return {id: config.weight * math.log1p(config.gain * total) for id, total in sums.items() if total}


@given(CATALOGUES, st.lists(st.sampled_from(IDS), unique=True, max_size=4), CONFIGS)
def test_items_share_what_the_formula_says(
    rows: list[tuple[ItemId, list[str], list[str]]], mentioned: list[ItemId], config: ValuesConfig
) -> None:
    items = catalogue_of(rows)
    sums = {
        item.id: sum(
            rarity(value, items, config) ** 2
            for other in items
            if other.id in mentioned and other.id != item.id
            for value in values_of(other)
            if value in values_of(item)
        )
        for item in items
    }
    known = AttributeValues()
    known.put(items)
    assert known.shared(mentioned, config) == pytest.approx(bent(sums, config))


@given(CATALOGUES, SAID, CONFIGS)
def test_items_are_asked_for_as_the_formula_says(
    rows: list[tuple[ItemId, list[str], list[str]]], said: list[str], config: ValuesConfig
) -> None:
    items = catalogue_of(rows)
    sums = {
        item.id: sum(
            rarity(value, items, config)
            for value in values_of(item)
            if len(value.split()) <= 4 and any(f" {value} " in f" {text} " for text in said)
        )
        for item in items
    }
    known = AttributeValues()
    known.put(items)
    assert known.asked(said, config) == pytest.approx(bent(sums, config))


@given(CATALOGUES, CATALOGUES, st.lists(st.sampled_from(IDS), max_size=5), st.integers(0, 3))
def test_items_that_come_and_go_leave_no_trace(
    before: list[tuple[ItemId, list[str], list[str]]],
    after: list[tuple[ItemId, list[str], list[str]]],
    gone: list[ItemId],
    few: int,
) -> None:
    config = ValuesConfig(share=1.0)
    live, fresh = AttributeValues(), AttributeValues()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rarec.retriever.postings._FEW_GONE", few)  # rows of nobody are dropped early
        live.put(catalogue_of(before))
        live.put(catalogue_of(after))
        live.remove([*gone, ItemId("unknown")])
    left = {item.id: item for item in (*catalogue_of(before), *catalogue_of(after)) if item.id not in gone}
    fresh.put(left.values())
    assert len(live) == len(left)
    assert live.shared(IDS, config) == pytest.approx(fresh.shared(IDS, config))
    assert live.asked(["ada vale", "bo red blue"], config) == pytest.approx(
        fresh.asked(["ada vale", "bo red blue"], config)
    )


@given(CATALOGUES, CATALOGUES, st.lists(st.sampled_from(IDS), max_size=4), SAID)
def test_fixed_and_live_catalogues_give_the_same(
    rows: list[tuple[ItemId, list[str], list[str]]],
    elsewhere: list[tuple[ItemId, list[str], list[str]]],
    mentioned: list[ItemId],
    said: list[str],
) -> None:
    items, everywhere = catalogue_of(rows), catalogue_of(elsewhere)
    both = Associations(shared=ValuesConfig(weight=0.7), asked=ValuesConfig(weight=1.3, share=0.5))
    conversation = Conversation(
        (Turn("user", "", tuple(map(Mention, mentioned))), *(Turn("user", text, ()) for text in said))
    )
    context = Context.of(conversation)
    live = LiveAssociations(both)
    live.put(items)
    fixed = AssociationScores(both, items).of(context)
    bonuses = live.bonuses(context)
    assert fixed.tolist() == pytest.approx([bonuses.get(item.id, 0.0) for item in items], rel=1e-5)
    assert all(bonus > 0 for bonus in bonuses.values())
    # What is mentioned and not in the catalogue shares its values with those that are.
    known = AssociationScores(both, items, mentioned=everywhere).of(context)
    assert (known >= fixed - 1e-6).all()


def test_a_mentioned_item_of_another_catalogue_shares_its_values() -> None:
    here = [Item(IDS[k], "t", attributes={"makers": ("Bo",) if k < 2 else ()}) for k in range(4)]
    away = Item(ItemId("away"), "t", attributes={"authors": ("BO",)})
    scores = AssociationScores(Associations(shared=ValuesConfig()), here, mentioned=[away]).of(Context((away.id,)))
    assert scores.astype(bool).tolist() == [True, True, False, False]


def test_what_most_items_have_tells_nothing_however_small_the_catalogue() -> None:
    known = AttributeValues()
    known.put(
        Item(ItemId(str(k)), "t", attributes={"kind": ("all",), "half": ("yes",) if k % 2 else ()}) for k in range(40)
    )
    assert known.asked(["all yes"], ValuesConfig()) == {}
    assert set(known.asked(["all yes"], ValuesConfig(share=0.5))) == {str(k) for k in range(1, 40, 2)}
    assert known.asked(["all yes"], ValuesConfig(share=1.0, weight=0.0)) == {}
    alone = AttributeValues()
    assert alone.asked(["all"], ValuesConfig()) == {}
    alone.put([Item(ItemId("1"), "t", attributes={"kind": ("all",)})])
    assert alone.asked(["all"], ValuesConfig()) == {}, "the only item has nothing to be told from"


def test_titles_that_were_linked_name_no_value() -> None:
    said = Turn("user", "I liked Bo, by Ada Vale", (Mention(IDS[0], "liked", (8, 10)),))
    context = Context.of(Conversation((said, Turn("assistant", "red it is", ()))))
    assert context.said == ("i liked it by ada vale",)
    items = [Item(IDS[k], "t", attributes={"makers": (VALUES[(0, 2, 4)[k]],)}) for k in range(3)]
    live = LiveAssociations(Associations(asked=ValuesConfig()))
    live.put(items)
    assert set(live.bonuses(context)) == {IDS[0]}
