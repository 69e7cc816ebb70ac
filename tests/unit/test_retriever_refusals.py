"""What a message wishes for, and what it does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarec.retriever.associations import Associations, Context, LiveAssociations
from rarec.retriever.attributes import folded
from rarec.retriever.postings import ValuesConfig
from rarec.retriever.refusals import wished
from rarec.types import Conversation, Item, ItemId, Turn


@pytest.mark.parametrize(
    ("message", "left"),
    [
        ("Something for tomatoes", ["something for tomatoes"]),
        ("Something for tomatoes, no glass houses. A red one!", ["something for tomatoes", "a red one"]),
        ("I don't want horror or zombies but I like cats", ["i", "but i like cats"]),
        ("Not with Jim Carrey", []),
        ("with Tom Hanks and without Jim Carrey", ["with tom hanks and"]),
        ("no zombies (a western)", ["a western"]),
        ("anything but comedies", ["anything"]),
        ("nothing but comedies", ["but comedies"]),
        ("I hate roses, I love tulips", ["i", "i love tulips"]),
        ("not horror, vampires are fine", ["vampires are fine"]),
        ("everything except a very long and winding hose reel", ["everything", "reel"]),
        ("I’m tired of roses", ["i’m tired"]),
        ("no, I want a hose", ["i want a hose"]),
    ],
)
def test_what_is_refused_is_left_out_up_to_the_end_of_its_clause(message: str, left: list[str]) -> None:
    assert list(wished(message)) == left


@pytest.mark.parametrize(
    "message",
    [
        "why not a western", "not only westerns", "I'm not sure, a hose", "don't know, roses", "no problem, a bench",
        "Don't forget the tomatoes", "I have not seen any Tom Hanks", "I haven't seen it", "whether or not it is red",
        "no thanks, a rake", "I don't mind thorns",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_refusal_stays(message: str) -> None:
    assert wished(message) == (folded(message),)


@given(st.text(st.characters(codec=None)))
def test_what_is_left_are_words_of_the_message_in_order(message: str) -> None:
    words, left = folded(message).split(), [word for run in wished(message) for word in run.split()]
    rest = iter(words)
    assert all(word in rest for word in left)


@given(st.lists(st.sampled_from(["red", "hose", "for", "my", ",", ".", "It's", "but", "I", "é"])).map(" ".join))
def test_a_message_that_refuses_nothing_is_left_as_it_is(message: str) -> None:
    assert " ".join(wished(message)) == folded(message)


def test_who_is_refused_is_not_named() -> None:
    items = [
        Item(ItemId(str(k)), f"Film {k}", "A chase." if k % 3 else "A chase on ice.", attributes={"cast": (name,)})
        for k, name in enumerate(("Jim Carrey", "Tom Hanks", "Bo Ek", "Jim Carrey", "Ida Lund"))
    ]
    live = LiveAssociations(Associations(asked=ValuesConfig(), written=ValuesConfig()))
    live.put(items)

    def named(text: str) -> set[ItemId]:
        return set(live.bonuses(Context.of(Conversation((Turn("user", text, ()),)))))

    assert named("With Jim Carrey?") == {"0", "3"}
    assert named("Not with Jim Carrey") == set()
    assert named("Tom Hanks, not Jim Carrey") == {"1"}
    assert named("on ice") == {"0", "3"}
    assert named("but no ice") == set()
