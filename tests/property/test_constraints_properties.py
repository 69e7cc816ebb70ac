"""Any text gives constraints that are valid for the catalogue, never an exception, and a long one takes no longer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.catalogue import starter_items
from rarec.constraints import Vocabulary, understand
from rarec.constraints.atoms import MAX_CHARACTERS
from rarec.constraints.lexicon import lexicon
from rarec.constraints.understanding import MOST_CHARACTERS
from rarec.index import ExactIndex
from rarec.testing.second_domain import second_domain
from rarec.types import Conversation, Item, ItemId, Mention, Turn

FILMS, GAMES = tuple(starter_items())[::7], second_domain().items
CATALOGUES = {"films": FILMS, "games": GAMES, "nothing": (), "bare": (Item(ItemId("a"), "Bare"),)}
VOCABULARIES = {name: Vocabulary(items) for name, items in CATALOGUES.items()}
CUES = sorted(lexicon().cues)
VALUES = sorted({v for i in (*FILMS[:40], *GAMES[:40]) for values in i.attributes.values() for v in values})
WORDS = st.one_of(
    st.sampled_from(CUES),
    st.sampled_from(VALUES),
    st.sampled_from(
        ("90s", "1994", "the nineties", "between 1990 and 1980", "0000", "for 2 players", "$20", "1.5 hours")
    ),
    st.sampled_from((",", ".", "/", "-", "(", "?", "İ", "\u0301", "ß", "'")),
    st.text(max_size=6),
)
TEXTS = st.one_of(st.text(max_size=80), st.lists(WORDS, max_size=14).map(" ".join))
SPANS = st.none() | st.tuples(st.integers(-5, 90), st.integers(-5, 90))
TURNS = st.builds(
    Turn,
    st.sampled_from(("user", "assistant")),
    TEXTS,
    st.none() | st.lists(st.builds(Mention, st.just(ItemId("x")), span=SPANS), max_size=2).map(tuple),
)


def index_of(items: tuple[Item, ...]) -> ExactIndex:
    index = ExactIndex(2)
    index.add(items, np.ones((len(items), 2), np.float32))
    return index


INDEXES = {name: index_of(items) for name, items in CATALOGUES.items() if items}


@settings(deadline=None, max_examples=300)
@given(st.lists(TURNS, max_size=4).map(tuple), st.sampled_from(sorted(INDEXES)))
def test_filters_are_valid_and_every_value_is_the_catalogues(turns: tuple[Turn, ...], name: str) -> None:
    vocabulary = VOCABULARIES[name]
    found = understand(Conversation(turns), vocabulary)
    INDEXES[name].search(np.ones((1, 2), np.float32), n=1, filters=found.filters)  # raises if they are not valid
    for part in found.parts:
        assert turns[part.turn].role == "user"
        assert 0 <= part.span[0] < part.span[1] <= len(turns[part.turn].text)
        assert part.label
        assert all(value in vocabulary.values(part.attribute) for value in part.values)
        assert part.values or (part.year_min, part.year_max) != (None, None)
    refused = {(p.attribute, v) for p in found.parts if p.negated for v in p.values}
    assert not any((p.attribute, v) in refused for p in found.parts if not p.negated for v in p.values)
    assert found.without({part.id for part in found.parts}).parts == ()


@settings(deadline=None, max_examples=50)
@given(TEXTS)
def test_an_empty_catalogue_constrains_nothing(text: str) -> None:
    assert understand(Conversation((Turn("user", text),)), VOCABULARIES["nothing"]).parts == ()


@pytest.mark.parametrize(
    "piece", ["not horror, ", "a ", "1990 ", "from the 90s or ", "horror, ", "with Tom Hanks and ", "(", "don't want "]
)
def test_a_megabyte_is_read_like_its_beginning(piece: str) -> None:
    long = piece * (1_000_000 // len(piece))
    vocabulary = VOCABULARIES["films"]
    whole = understand(Conversation((Turn("user", long),)), vocabulary)
    assert whole == understand(Conversation((Turn("user", long[:MAX_CHARACTERS]),)), vocabulary)


def test_of_a_long_conversation_the_newest_turns_are_read() -> None:
    old, filler, new = Turn("user", "no horror"), Turn("user", "x" * MAX_CHARACTERS), Turn("user", "no comedy")
    many = MOST_CHARACTERS // MAX_CHARACTERS + 1
    told = understand(Conversation((old, *[filler] * many, new)), VOCABULARIES["films"])
    assert told.summary() == "not Comedy"
    assert [part.turn for part in told.parts] == [many + 1]
    assert understand(Conversation((old, filler, new)), VOCABULARIES["films"]).summary() == "not Horror · not Comedy"


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 11)), max_size=20))
def test_a_vocabulary_that_was_changed_is_one_made_anew(steps: list[tuple[bool, int]]) -> None:
    changed, live = Vocabulary(), {}
    for adds, at in steps:
        item = FILMS[at]
        if adds:
            changed.add([item])
            live[item.id] = item
        else:
            changed.remove([item.id])
            live.pop(item.id, None)
    fresh = Vocabulary(live.values())
    assert changed.attributes == fresh.attributes
    assert all(changed.values(name) == fresh.values(name) for name in fresh.attributes)
    assert (len(changed), changed.has_years) == (len(fresh), fresh.has_years)
    for name in ("drama", "french", "horror"):
        assert set(changed.find(name)) == set(fresh.find(name))
