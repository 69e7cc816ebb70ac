"""Whatever the text: spans are ordered, inside it, disjoint, and name items that exist."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.catalogue import Linker
from rarec.catalogue.folding import fold, words_of
from rarec.types import Item, ItemId

TITLES = ("The Matrix", "Up", "It", "Spider-Man", "Alien³", "Kill Bill: Vol. 1", "2012", "Vertigo", "The Two")
ITEMS = [Item(ItemId(str(i)), title, year=2000 + i, popularity=i) for i, title in enumerate(TITLES)]
LINKER, FORGETFUL = Linker(ITEMS), Linker(ITEMS, remembered=0)
PIECES = st.sampled_from((*TITLES, "(2001)", " 2000", '"', ". ", " and ", "watched", "\n", "the", "é", "I", "(", "3"))
TEXTS = st.one_of(st.text(max_size=80), st.lists(PIECES, max_size=15).map(" ".join), st.lists(PIECES).map("".join))
NAMES = st.text(alphabet=st.characters(categories=("Lu", "Ll")), min_size=4, max_size=12).filter(
    lambda name: len(words_of(name).folded) == 1
)


@settings(deadline=None, max_examples=50)
@given(TEXTS)
def test_spans_are_ordered_disjoint_and_inside(text: str) -> None:
    mentions = LINKER.link(text)
    place = 0
    for mention in mentions:
        assert mention.span is not None
        start, end = mention.span
        assert place <= start < end <= len(text)
        assert int(mention.item) < len(TITLES)
        place = end
    assert FORGETFUL.link(text) == LINKER.link(text) == mentions


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=100))
def test_words_lie_where_they_say(text: str) -> None:
    words = words_of(text)
    place = 0
    for folded, start, end in zip(*words, strict=True):
        assert place <= start < end <= len(text)
        assert fold(text[start:end]) == folded
        place = end


@settings(deadline=None, max_examples=50)
@given(NAMES, st.integers(1900, 2026))
def test_a_title_with_its_year_is_always_found(name: str, year: int) -> None:
    title = f"Zyx {name}"
    linker = Linker([Item(ItemId("x"), title, year=year, popularity=1.0)])
    text = f"I watched {title} ({year}) yesterday"
    (mention,) = linker.link(text)
    assert mention.span == (10, 10 + len(title) + 7)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from(TITLES), min_size=1, max_size=6), st.data())
def test_removing_everything_leaves_nothing(titles: list[str], data: st.DataObject) -> None:
    linker = Linker(Item(ItemId(str(i)), title) for i, title in enumerate(titles))
    ids = data.draw(st.permutations([ItemId(str(i)) for i in range(len(titles))]))
    for item_id in ids:
        linker.remove([item_id])
    assert len(linker) == 0
    assert list(linker.candidates(" ".join(titles))) == []
