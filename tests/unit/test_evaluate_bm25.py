"""BM25 over invented texts."""

import math
import sys

import pytest

from rarec.catalogue.text import Layout, LayoutLine
from rarec.conversations import Example
from rarec.errors import InputError, MissingExtra
from rarec.evaluate.baselines import BM25
from rarec.types import Conversation, Item, ItemId, Turn

ITEMS = [
    Item(ItemId("jam"), "Plum jam", "Dark and tart, from old trees.", attributes={"made_in": ("Ghent",)}, popularity=1),
    Item(ItemId("tea"), "Smoked tea", "Leaves dried over pine fires.", year=2019, popularity=2),
    Item(ItemId("rope"), "Hemp rope", "For boats and wells; does not rot.", popularity=3),
]


def example(*messages: str) -> Example:
    conversation = Conversation(tuple(Turn("user", text, ()) for text in messages))
    return Example("x", 0, "d", "t", conversation, (), frozenset(), ())


def first(system: BM25, *messages: str) -> str:
    return system.rank([example(*messages)], n=1)[0][0]


def test_the_item_whose_words_are_asked_for_comes_first() -> None:
    system = BM25(ITEMS)
    assert first(system, "I want something TART, please") == "jam"  # of the text
    assert first(system, "any jam") == "jam"  # of the title
    assert first(system, "made in ghent") == "jam"  # of an attribute
    assert first(system, "dried over a pine fire, 2019") == "tea"
    assert system.rank([example("pine boats")], n=3)[0][2] == "jam"


def test_scores_are_those_of_the_formula() -> None:
    items = [Item(ItemId(i), title) for i, title in (("1", "oak oak elm"), ("2", "elm"), ("3", "fir ash"))]
    system = BM25(items, k1=1.2, b=0.5, stopwords=None)

    def part(frequency: int, length: int, documents: int) -> float:
        rarity = math.log(1 + (3 - documents + 0.5) / (documents + 0.5))
        return rarity * frequency / (frequency + 1.2 * (1 - 0.5 + 0.5 * length / 2))

    both = part(2, 3, 1) + part(1, 3, 2)
    assert system.scores([example("oak elm")])[0] == pytest.approx([both, part(1, 1, 2), 0])


def test_without_a_known_word_it_is_the_catalogue_s_popularity() -> None:
    system = BM25(ITEMS)
    for said in ((), ("",), ("xyzzy",), ("and the of",), ("?!",)):
        assert system.rank([example(*said)], n=3) == [("rope", "tea", "jam")]
    assert BM25(ITEMS[:1]).rank([example("rope")], n=3) == [("jam",)]
    wordless = [Item(ItemId("1"), "!"), Item(ItemId("2"), "?", popularity=1)]
    assert BM25(wordless).rank([example("what")], n=2) == [("2", "1")]


def test_only_the_last_messages_are_the_query() -> None:
    assert first(BM25(ITEMS, last_messages=1), "plum jam", "pine") == "tea"
    assert first(BM25(ITEMS, last_messages=2), "plum jam", "pine") == "jam"


def test_the_layout_decides_what_is_found() -> None:
    bare = Layout(name="bare", max_text_chars=0)
    assert first(BM25(ITEMS, layout=bare), "from ghent, tart") == "rope"  # nothing found: the most popular
    places = Layout(name="places", lines=(LayoutLine(attribute="made_in"),), max_text_chars=0)
    assert first(BM25(ITEMS, layout=places), "from ghent, tart") == "jam"


def test_stop_words_may_stay() -> None:
    items = [Item(ItemId("1"), "It", popularity=1), Item(ItemId("2"), "Them", popularity=2)]
    assert first(BM25(items), "it") == "2"
    assert first(BM25(items, stopwords=None), "it") == "1"


def test_wrong_settings_and_a_missing_library_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="last_messages must be at least 1, got 0"):
        BM25(ITEMS, last_messages=0)
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(MissingExtra, match=r"'bm25' needs the package 'bm25s'.*\[bench\]"):
        BM25(ITEMS)
