"""Item features and message texts, by hand."""

import math

import numpy as np
import pytest

from rarec.retriever.features import PopularityScale, item_features, year_features
from rarec.retriever.sequence import (
    ITEM,
    MESSAGE,
    OPENING,
    START,
    Event,
    conversation_events,
    message_text,
    turn_events,
)
from rarec.types import Conversation, ItemId, Mention, Turn


def test_popularity_falls_with_the_logarithm_of_the_rank() -> None:
    found = PopularityScale([5.0, 100.0, 7.0, 7.0, 0.0])([100.0, 7.0, 5.0, 0.0, 1.0, 1e9])
    rank = [1 - math.log1p(above) / math.log(1e6) for above in (0, 1, 3, 4)]
    np.testing.assert_allclose(found[:, 0], [rank[0], rank[1], rank[2], 0, rank[3], rank[0]], rtol=1e-6)
    assert found[:, 1].tolist() == [1, 1, 1, 0, 1, 1]


def test_a_catalogue_without_popularity() -> None:
    assert PopularityScale([])([0.0, 3.0]).tolist() == [[0, 0], [1, 1]]
    assert PopularityScale([0.0, 0.0])([0.0]).tolist() == [[0, 0]]
    assert PopularityScale([1.0])([-4.0, math.nan]).tolist() == [[0, 0], [0, 0]]


def test_years_are_centred_and_an_unknown_one_is_marked() -> None:
    assert year_features([2000, 1950, None, 2025, -3000]).tolist() == [[0, 1], [-2, 1], [0, 0], [1, 1], [-8, 1]]


def test_features_stand_side_by_side() -> None:
    vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = item_features(vectors, [2.0, 0.0], [None, 2025], scale=PopularityScale([2.0]))
    assert found.dtype == np.float32
    assert found.tolist() == [[0, 1, 2, 1, 1, 0, 0], [3, 4, 5, 0, 0, 1, 1]]


def test_no_items_give_no_rows() -> None:
    scale = PopularityScale([])
    assert scale([]).shape == (0, 2)
    assert year_features([]).shape == (0, 2)
    assert item_features(np.zeros((0, 3), dtype=np.float32), [], [], scale=scale).shape == (0, 7)


TEXT = "I saw The Lamp and Loop, twice."


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], TEXT),
        ([None, None], TEXT),
        ([(6, 14), (19, 23)], "I saw it and it , twice."),
        ([(19, 23), None, (6, 14)], "I saw it and it , twice."),
        ([(6, 14), (6, 14)], "I saw it and Loop, twice."),
        ([(6, 14), (10, 14)], "I saw it and Loop, twice."),
        ([(6, 14), (10, 18)], "I saw it Loop, twice."),
        ([(6, 14), (14, 23)], "I saw it it , twice."),
        ([(0, len(TEXT))], "it"),
        ([(0, 1), (26, 31)], "it saw The Lamp and Loop, t it"),
    ],
)
def test_linked_titles_become_it(spans: list[tuple[int, int] | None], expected: str) -> None:
    mentions = tuple(Mention(ItemId(f"i{k}"), span=span) for k, span in enumerate(spans))
    assert message_text(Turn("user", TEXT, mentions)) == expected


def test_an_unlinked_turn_keeps_its_words() -> None:
    assert message_text(Turn("user", "  two \n words\t", None)) == "two words"
    assert message_text(Turn("user", " \n ", ())) == ""


def test_long_messages_keep_their_end() -> None:
    text = message_text(Turn("user", "start " + "x " * 5000 + "something calm please"))
    assert len(text) == 1000
    assert text.endswith("x something calm please")
    assert "start" not in text


def test_a_turn_is_its_message_and_then_its_items() -> None:
    mentions = (Mention(ItemId("b"), "disliked", (0, 1)), Mention(ItemId("a"), "liked"), Mention(ItemId("b")))
    assert turn_events(Turn("assistant", "B or a?", mentions)) == [
        Event(MESSAGE, 1, text="it or a?"),
        Event(ITEM, 1, 2, ItemId("b")),
        Event(ITEM, 1, 1, ItemId("a")),
        Event(ITEM, 1, 0, ItemId("b")),
    ]
    assert turn_events(Turn("user", "", (Mention(ItemId("a")),))) == [Event(ITEM, 0, 0, ItemId("a"))]
    assert turn_events(Turn("user", "hi", None)) == [Event(MESSAGE, 0, text="hi")]
    assert turn_events(Turn("user", "")) == []


def test_a_conversation_opens_with_start() -> None:
    assert conversation_events(Conversation()) == [OPENING] == [Event(START)]
    turns = (Turn("user", "hi"), Turn("assistant", "hello", (Mention(ItemId("a")),)))
    kinds = [e.kind for e in conversation_events(Conversation(turns))]
    assert kinds == [START, MESSAGE, MESSAGE, ITEM]
