"""What a session carries from turn to turn is what a computation from scratch gives, and never grows."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rarec.assembly import Engine, recent
from rarec.catalogue import CatalogueStore, Linker
from rarec.retriever.encoder import ConversationEncoder
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.testing import HashEmbedder
from rarec.types import Conversation, Item, ItemId, Mention, Turn

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = RetrieverConfig(text_dimension=16, width=8, item_hidden=12)
TOLERANCE = 5e-5  # queries have length 10
TITLES = ("Zorbalia", "Zorbalia Nights", "Quarbolin", "Velvet Harbour", "Ochre Regatta")
NUMBERS = st.integers(0, len(TITLES) - 1)


def item(number: int, title: int, popularity: int) -> Item:
    return Item(ItemId(f"i{number}"), TITLES[title], f"Text {number}.", 1990 + title, popularity=float(popularity))


SAID = st.one_of(
    st.builds("I watched {} yesterday, more of {}?".format, st.sampled_from(TITLES), st.sampled_from(TITLES)),
    st.sampled_from(("", "something slow", "no")),
)
GIVEN = st.builds(Mention, NUMBERS.map(lambda n: ItemId(f"i{n}")), st.sampled_from(("liked", "disliked", "mentioned")))
TURNS = st.builds(
    Turn, st.sampled_from(("user", "assistant")), SAID, st.one_of(st.none(), st.lists(GIVEN, max_size=3).map(tuple))
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), TURNS),
        st.tuples(st.just("say"), TURNS),
        st.tuples(st.just("edit"), st.tuples(st.integers(0, 30), TURNS)),
        st.tuples(st.just("take back"), st.integers(1, 3)),
        st.tuples(st.just("put"), st.tuples(NUMBERS, NUMBERS, st.integers(0, 9))),
        st.tuples(st.just("delete"), NUMBERS),
    ),
    max_size=14,
)


def from_scratch(engine: Engine, conversation: Conversation) -> NDArray[np.float32]:
    """Linked and read by parts that have seen nothing before."""
    linker = Linker(engine.catalogue, remembered=0)
    turns = (t if t.mentions is not None else replace(t, mentions=linker.link(t.text)) for t in conversation.turns)
    encoder = ConversationEncoder(engine.model, HashEmbedder(CONFIG.text_dimension), engine.vectors, remembered=0)
    return encoder.query(recent(replace(conversation, turns=tuple(turns))))


@settings(deadline=None, max_examples=60)
@given(steps=STEPS)
def test_a_carried_state_equals_a_computation_from_scratch(steps: list[tuple[str, object]]) -> None:
    """Whatever is said, edited or taken back, and whichever items come, change and go meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        catalogue = CatalogueStore.open(Path(folder) / "c.sqlite", create=True)
        catalogue.add(item(n, n, n) for n in range(3))
        engine = Engine(catalogue, HashEmbedder(CONFIG.text_dimension), Retriever(CONFIG, seed=1))
        turns: list[Turn] = []
        for what, argument in steps:
            match what, argument:
                case "say", Turn() as turn:
                    turns.append(turn)
                case "edit", (int() as at, Turn() as turn):
                    at %= len(turns) + 1  # one behind the last is a new one
                    turns[at : at + 1] = [turn]
                case "take back", int() as count:
                    turns = turns[:-count]
                case "put", (int() as number, int() as title, int() as popularity):
                    catalogue.add([item(number, title, popularity)])
                case "delete", int() as number:
                    catalogue.delete([ItemId(f"i{number}")], missing="skip")
            engine.refresh()
            conversation = Conversation(tuple(turns))
            found = engine.query(engine.link(conversation))
            np.testing.assert_allclose(found, from_scratch(engine, conversation), rtol=0, atol=TOLERANCE)
        engine.close()


@pytest.mark.parametrize("messages", [1, 10, 400])
def test_the_carried_state_is_as_large_after_many_turns_as_after_one(messages: int) -> None:
    encoder = ConversationEncoder(Retriever(CONFIG), HashEmbedder(CONFIG.text_dimension), lambda _: {})
    encoder.query(Conversation(tuple(Turn("user", f"message {n}", ()) for n in range(messages))))
    ((_, carried),) = encoder._carried.items()
    assert [(h.shape, h.untyped_storage().nbytes()) for h in carried.state] == [((1, 8), 64)] * CONFIG.blocks
    assert carried.query.nbytes == 4 * (CONFIG.width + 1)


def test_another_bundle_starts_from_nothing(tmp_path: Path) -> None:
    """A promoted bundle is opened anew: no state of the one before it is read by the other."""
    with CatalogueStore.open(tmp_path / "c.sqlite", create=True) as catalogue:
        catalogue.add(item(n, n, n) for n in range(3))
    talk = Conversation((Turn("user", "I watched Zorbalia yesterday"), Turn("user", "more?")))
    queries = []
    for seed in (1, 2):
        engine = Engine(CatalogueStore.open(tmp_path / "c.sqlite"), HashEmbedder(16), Retriever(CONFIG, seed=seed))
        engine.query(engine.link(replace(talk, turns=talk.turns[:1])))
        queries.append(engine.query(engine.link(talk)))
        np.testing.assert_allclose(queries[-1], from_scratch(engine, talk), rtol=0, atol=TOLERANCE)
        engine.close()
    assert np.abs(queries[0] - queries[1]).max() > 0.01
