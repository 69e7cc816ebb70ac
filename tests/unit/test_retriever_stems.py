"""What words are looked up by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rarec.retriever.stems import stem_of


@pytest.mark.parametrize(
    "words",
    [
        ("tomato", "tomatoes", "Tomatoes", "tomato's", "TOMATO’S"),
        ("prune", "pruned", "pruning", "prunes"),
        ("garden", "gardens", "gardening"),
        ("berry", "berries"),
        ("marry", "married", "marries"),
        ("movie", "movies"),
        ("shoe", "shoes"),
        ("box", "boxes"),
        ("bus", "buses"),
        ("glass", "glasses"),
        ("bench", "benches"),
        ("rose", "roses"),
        ("bee", "bees"),
        ("plan", "planned", "planning"),
        ("plant", "planted", "planting", "plants"),
        ("seed", "seeds"),
        ("Café", "cafe", "cafés"),
        ("1999", "1999"),
        ("Дерево", "дерево"),
    ],
)
def test_words_of_one_stem(words: tuple[str, ...]) -> None:
    (stem,) = {stem_of(word) for word in words}
    assert stem


def test_words_of_different_stems() -> None:
    apart = ("king", "spring", "string", "red", "speed", "class", "plan", "hop", "hose", "house", "sea", "seed")
    assert len({stem_of(word) for word in apart}) == len(apart)
    assert stem_of("plane") == stem_of("plan"), "a final e is no ending that can be trusted"


@pytest.mark.parametrize("word", ["the", "something", "For", "looking", "wanted", "things", "I'm", "x", "7", "’", ""])
def test_words_that_ask_or_join_have_none(word: str) -> None:
    assert stem_of(word) == ""


@given(st.text(st.characters(codec=None), max_size=20))
def test_any_word_has_a_stem_or_none_whatever_its_case(word: str) -> None:
    stem = stem_of(word)
    assert stem == "" or len(stem) >= 2
    if word.isascii():
        assert stem_of(word.upper()) == stem
