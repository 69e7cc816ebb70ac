"""From linked conversations to tokens and targets."""

import numpy as np
import pytest
import torch

from rarec.retriever.data import ConversationData, ItemTable, conversation_data
from rarec.retriever.sequence import ITEM, MESSAGE, START
from rarec.testing import HashEmbedder
from rarec.types import Conversation, Item, ItemId, Mention, Sentiment, Turn

EMBEDDER = HashEmbedder(16)
NAMES = "abcde"
ITEMS = ItemTable.of(
    [Item(ItemId(name), name.upper(), year=1990 + row, popularity=row) for row, name in enumerate(NAMES)],
    EMBEDDER.embed(list(NAMES)),
)


def turn(role: str, text: str, *ids: str, sentiment: Sentiment = "mentioned") -> Turn:
    return Turn("user" if role == "user" else "assistant", text, tuple(Mention(ItemId(i), sentiment) for i in ids))


def data_of(*turns: Turn, user_weight: float = 0.0) -> ConversationData:
    return conversation_data([Conversation(turns)], ITEMS, EMBEDDER, user_weight=user_weight)


def targets_of(*turns: Turn, user_weight: float = 0.0) -> list[tuple[int, int, tuple[int, ...], float]]:
    return [
        (t.position, t.row, t.seen, t.weight)
        for s in data_of(*turns, user_weight=user_weight).sequences
        for t in s.targets
    ]


def test_targets_are_what_a_recommender_mentions_first() -> None:
    found = targets_of(
        turn("user", "hi, I like a", "a"),
        turn("assistant", "then b, or a again", "b", "a"),
        turn("user", "b is nice", "b"),
        turn("assistant", "b then; or c", "b", "c", "c"),
    )
    # tokens: 0 START, 1-2 hi + a, 3-5 then + b + a, 6-7 nice + b, 8-11
    assert found == [(2, 1, (0,), 1.0), (7, 2, (0, 1), 1.0)]


def test_several_new_items_in_one_turn_share_and_compete() -> None:
    found = targets_of(turn("assistant", "a, b, c or d", "a", "b", "c", "d"))
    assert found == [(0, row, (), 0.5) for row in range(4)]


def test_a_conversation_without_targets_is_left_out() -> None:
    assert data_of(turn("user", "I like a", "a"), turn("assistant", "a is good", "a")).sequences == []
    assert data_of().sequences == []
    assert data_of(turn("assistant", "x", "nobody")).sequences == []
    assert data_of(Turn("assistant", "not linked", None)).sequences == []


def test_what_users_mention_counts_when_asked() -> None:
    turns = (turn("user", "a or b", "a", "b"), turn("assistant", "c", "c"))
    assert targets_of(*turns) == [(3, 2, (0, 1), 1.0)]
    weighted = targets_of(*turns, user_weight=0.5)
    assert weighted == [
        (0, 0, (), pytest.approx(0.5 / 2**0.5)),
        (0, 1, (), pytest.approx(0.5 / 2**0.5)),
        (3, 2, (0, 1), 1.0),
    ]


def test_unknown_items_are_no_tokens_and_no_targets() -> None:
    data = data_of(turn("user", "hi", "x", "a"), turn("assistant", "yes", "y", "b", "z"))
    (sequence,) = data.sequences
    assert [(t.position, t.row, t.weight) for t in sequence.targets] == [(2, 1, 1.0)]
    assert sequence.codes[0].tolist() == [START, MESSAGE, ITEM, MESSAGE, ITEM]


def test_codes_say_kind_role_sentiment_and_row() -> None:
    data = data_of(
        turn("user", "hello", "d", sentiment="liked"),
        turn("assistant", "", "e", sentiment="disliked"),
        turn("user", "hello"),
    )
    (sequence,) = data.sequences
    assert sequence.codes.dtype == np.int64
    assert sequence.codes.T.tolist() == [
        [START, 0, 0, 0],
        [MESSAGE, 0, 0, 0],
        [ITEM, 0, 1, 3],
        [ITEM, 1, 2, 4],
        [MESSAGE, 0, 0, 0],
    ]


def test_each_text_is_embedded_once_as_a_query() -> None:
    turns = [turn("user", "hello"), turn("assistant", "how about it", "a"), turn("user", "hello")]
    data = conversation_data([Conversation(tuple(turns)), Conversation(tuple(turns))], ITEMS, EMBEDDER)
    expected = EMBEDDER.embed(["hello", "how about it"], kind="query")
    torch.testing.assert_close(data.messages, torch.from_numpy(expected))
    assert len(data.sequences) == 2


def test_without_messages_there_is_one_row_to_point_at() -> None:
    data = data_of(turn("assistant", "", "a"))
    assert data.messages.shape == (1, EMBEDDER.dimension)
    assert len(data.sequences) == 1


def test_an_item_table_keeps_the_order_and_the_features() -> None:
    assert len(ITEMS) == 5
    assert ITEMS.rows == {ItemId(name): row for row, name in enumerate(NAMES)}
    assert ITEMS.features.shape == (5, EMBEDDER.dimension + 4)
    assert ITEMS.features[0, -4:].tolist() == pytest.approx([0, 0, -0.4, 1])
    assert ITEMS.features[4, -4:].tolist() == pytest.approx([1, 1, -0.24, 1])
    empty = ItemTable.of([], np.zeros((0, 16), dtype=np.float32))
    assert (len(empty), empty.features.shape) == (0, (0, 20))
