"""Examples: roles, mentions, targets and what counts as repeated."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rarec.catalogue.linker import Linker
from rarec.conversations import Example, examples_from_conversations, linked_beyond, read_examples
from rarec.errors import InputError
from rarec.types import Conversation, Item, ItemId, Mention, Turn

ITEMS = [
    Item(ItemId("1"), "Salt and Rye", year=1987, popularity=5),
    Item(ItemId("2"), "Blue Tram", year=1999, popularity=4),
    Item(ItemId("3"), "Quiet Harbour", year=2010, popularity=3),
    Item(ItemId("4"), "Blue Tram", year=2020, popularity=2),
    Item(ItemId("5"), "Nine Lanterns", year=2003, popularity=1),
]


def truth(item: int | None, title: str) -> dict[str, Any]:
    return {"item": item, "title": title}


def row(**changes: Any) -> dict[str, Any]:
    return {
        "example_id": "redial_3",
        "index": 3,
        "dialog_id": "test_1",
        "turn_id": 17,
        "context": ["", "Hello", "What do you like?", "Salt and Rye (1987), and Nine Lanterns (2003)"],
        "context_items": [1, None, 3],
        "gt": [truth(5, "Nine Lanterns (2003)")],
        **changes,
    }


def read(tmp_path: Path, *rows: dict[str, Any]) -> list[Any]:
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return read_examples(path, catalogue_items=ITEMS)


def test_roles_alternate_backwards_from_the_user_and_empty_messages_go(tmp_path: Path) -> None:
    (three,) = read(tmp_path, row())
    assert [(t.role, t.text[:5]) for t in three.conversation.turns] == [
        ("user", "Hello"),
        ("assistant", "What "),
        ("user", "Salt "),
    ]
    (two,) = read(tmp_path, row(context=["Hello", " ", "Hi"]))
    assert [t.role for t in two.conversation.turns] == ["assistant", "user"]


def test_messages_mention_what_is_found_and_annotated_and_the_last_one_what_is_found_nowhere(tmp_path: Path) -> None:
    (example,) = read(tmp_path, row())
    last = example.conversation.turns[-1]
    # Nine Lanterns stands in the text but is not annotated; 3 is annotated but stands nowhere.
    assert [m.item for m in last.mentions] == ["1", "3"]
    start, end = last.mentions[0].span
    assert last.text[start:end] == "Salt and Rye (1987)"
    assert last.mentions[1].span is None
    assert example.context_items == ("1", "3")
    assert [turn.mentions for turn in example.conversation.turns[:-1]] == [(), ()]


def test_context_items_survive_a_context_without_messages(tmp_path: Path) -> None:
    (example,) = read(tmp_path, row(context=[""], context_items=[3]))
    assert example.conversation.turns == (Turn("user", "", (Mention(ItemId("3")),)),)
    (empty,) = read(tmp_path, row(context=[""], context_items=[]))
    assert empty.conversation.turns == ()


def test_targets_are_unique_and_mapped_and_the_annotation_is_kept(tmp_path: Path) -> None:
    gt = [truth(None, "Odd"), truth(5, "Nine Lanterns (2003)"), truth(2, "Blue Tram (1999)"), truth(5, "9 Lanterns")]
    (example,) = read(tmp_path, row(gt=gt))
    assert example.annotated == (None, "5", "2", "5")
    assert example.targets == ("5", "2")
    assert (example.id, example.index, example.dialogue, example.turn) == ("redial_3", 3, "test_1", "17")


def test_a_target_is_repeated_by_item_or_by_title(tmp_path: Path) -> None:
    gt = [truth(1, "Salt and Rye (1987)"), truth(4, "BLUE TRAM (2020)"), truth(5, "Nine Lanterns (2003)")]
    (example,) = read(tmp_path, row(gt=gt, context_items=[1, 2]))
    assert example.repeated == {"1", "4"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"context": "Hello"}, "context"),
        ({"context": [1]}, r"context\[0\]"),
        ({"index": "3"}, "index"),
        ({"gt": [{"title": "x"}]}, r"gt\[0\]\.item"),
        ({"gt": [{"item": 1}]}, r"gt\[0\]\.title"),
        ({"context_items": [True]}, r"context_items\[0\]"),
        ({"example_id": ""}, "example_id"),
        ({"dialog_id": None}, "dialog_id"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=rf"x\.jsonl' line 2, field '{field}'"):
        read(tmp_path, row(example_id="redial_1"), row(**change))


def test_an_example_id_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 2, field 'example_id': 'redial_3' is already that of line 1"):
        read(tmp_path, row(), row())


def turn(role: Any, text: str, *items: str) -> Turn:
    return Turn(role, text, tuple(Mention(ItemId(i)) for i in items))


def test_conversations_give_an_example_for_each_assistant_turn_that_mentions_an_item() -> None:
    conversation = Conversation(
        (
            turn("user", "a", "1"),
            turn("assistant", "b"),
            turn("assistant", "c", "2", "1", "2"),
            turn("assistant", "d", "3"),
            turn("user", "e", "4"),
        ),
        id="redial_9",
    )
    second, third = examples_from_conversations([conversation])
    assert second.id == "redial_9_2"
    assert second.conversation.turns == conversation.turns[:2]
    assert (second.targets, second.repeated, second.context_items) == (("2", "1"), {"1"}, ("1",))
    assert third.conversation.turns == conversation.turns[:3]
    assert (third.targets, third.repeated, third.context_items) == (("3",), frozenset(), ("1", "2"))
    assert [second.index, third.index] == [0, 1]
    assert {second.dialogue, third.dialogue} == {"redial_9"}
    assert examples_from_conversations([]) == []
    assert examples_from_conversations([Conversation((Turn("assistant", "not linked"),))]) == []


def beyond(*turns: Turn, context: tuple[str, ...] = (), catalogue: list[Item] | None = None) -> Example:
    items = tuple(map(ItemId, context))
    example = Example("e", 7, "d", "t", Conversation(turns, id="c"), (ItemId("2"),), frozenset({ItemId("2")}), items)
    (found,) = linked_beyond([example], ITEMS[:1] if catalogue is None else catalogue, Linker(ITEMS))
    assert replace(found, conversation=example.conversation, context_items=items) == example
    assert [(t.role, t.text) for t in found.conversation.turns] == [(t.role, t.text) for t in turns]
    return found


def mentions(example: Example) -> list[list[str]]:
    return [[m.item for m in turn.mentions or ()] for turn in example.conversation.turns]


def test_messages_also_mention_what_lies_beyond_the_catalogue() -> None:
    text = "Salt and Rye (1987), Quiet Harbour (2010), Nine Lanterns (2003)"
    start = text.index("Quiet")
    known = Mention(ItemId("1"), "liked", span=(start, start + len("Quiet Harbour")))
    turns = (Turn("user", text, (known,)), Turn("assistant", "Good ones."), Turn("user", "Blue Tram (1999)?"))
    found = beyond(*turns, context=("1",))
    # 1 is of the catalogue, where the annotation is right; 3 stands in words that are annotated already.
    assert mentions(found) == [["1", "5"], [], ["2"]]
    assert found.conversation.turns[0].mentions[0] == known
    assert text[slice(*found.conversation.turns[0].mentions[1].span)] == "Nine Lanterns (2003)"
    assert found.context_items == ("1", "5", "2")
    assert beyond(*turns, context=("1",), catalogue=ITEMS).context_items == ("1",)
    assert linked_beyond([], [], Linker()) == []


def test_context_items_keep_the_order_in_which_they_are_mentioned() -> None:
    said = Turn("user", "Quiet Harbour (2010), Salt and Rye (1987)", (Mention(ItemId("1"), span=(23, 41)),))
    more = Turn("user", "Nine Lanterns (2003)", (Mention(ItemId("2")),))  # nobody knows where 2 stands
    catalogue = ITEMS[:2]
    assert beyond(said, more, context=("2", "1"), catalogue=catalogue).context_items == ("2", "3", "1", "5")
    assert beyond(said, more, context=("1", "2"), catalogue=catalogue).context_items == ("3", "1", "2", "5")
    assert beyond(more, said, context=("1", "2"), catalogue=catalogue).context_items == ("5", "3", "1", "2")


def test_annotations_beyond_the_catalogue_make_room_for_what_the_linker_finds() -> None:
    text = "Nine Lanterns (2003), or that one"
    annotated = (Mention(ItemId("5"), "liked", span=(0, 13)), Mention(ItemId("3"), span=(29, 33)), Mention(ItemId("x")))
    found = beyond(Turn("user", text, annotated), context=("5", "3", "x"))
    assert mentions(found) == [["5"]], "3 is found in no words, and x is unknown"
    assert found.conversation.turns[0].mentions[0].sentiment == "mentioned"
    assert found.context_items == ("5",)


def test_no_namesake_of_an_annotated_item_is_linked() -> None:
    said = Turn("user", "Blue Tram (2020) and Nine Lanterns (2003)")
    catalogue = [ITEMS[1]]  # Blue Tram of 1999; that of 2020 is beyond
    elsewhere = Turn("user", "", (Mention(ItemId("2")),))
    assert mentions(beyond(said, elsewhere, context=("2",), catalogue=catalogue)) == [["5"], ["2"]]
    assert mentions(beyond(said, catalogue=catalogue)) == [["4", "5"]]
