"""Writing the own format and reading it is the identity."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.conversations import JsonlSet, write_jsonl
from rarec.types import Conversation, Item, ItemId, Mention, Turn

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
WORD = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=6)
IDS = [ItemId("a"), ItemId("7"), ItemId("Ω b")]


@st.composite
def turns(draw: st.DrawFn) -> Turn:
    text = draw(TEXT)
    if draw(st.booleans()):
        return Turn(draw(st.sampled_from(["user", "assistant"])), text, None)
    spans = st.none()
    if text:
        spans = spans | st.integers(0, len(text) - 1).flatmap(
            lambda start: st.tuples(st.just(start), st.integers(start + 1, len(text)))
        )
    mention = st.builds(Mention, st.sampled_from(IDS), st.sampled_from(["liked", "disliked", "mentioned"]), spans)
    return Turn(draw(st.sampled_from(["user", "assistant"])), text, tuple(draw(st.lists(mention, max_size=3))))


CONVERSATIONS = st.lists(
    st.builds(Conversation, st.lists(turns(), max_size=4).map(tuple), WORD), max_size=4, unique_by=lambda c: c.id
)
ITEMS = st.tuples(
    *(
        st.builds(
            Item,
            st.just(item),
            WORD,
            TEXT,
            st.none() | st.integers(-3000, 3000),
            st.dictionaries(WORD, st.lists(WORD, min_size=1, max_size=3).map(tuple), max_size=2),
            st.floats(0, 1e12),
        )
        for item in IDS
    )
)


@settings(deadline=None, max_examples=25)
@given(ITEMS, CONVERSATIONS, CONVERSATIONS)
def test_write_and_read_is_the_identity(
    tmp_path_factory: pytest.TempPathFactory,
    items: tuple[Item, ...],
    train: list[Conversation],
    test: list[Conversation],
) -> None:
    folder = Path(tmp_path_factory.getbasetemp()) / "identity"
    write_jsonl(folder, items=items, splits={"train": train, "test": test})
    data_set = JsonlSet(folder)
    assert data_set.items() == list(items)
    assert data_set.splits() == ("train", "test")
    assert list(data_set.conversations("train")) == train
    assert list(data_set.conversations("test")) == test
