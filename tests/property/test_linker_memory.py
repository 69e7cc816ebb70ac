"""What the linker remembers is what it would find now, whatever came and went meanwhile, and is bounded."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.catalogue import Linker
from rarec.catalogue.link_memory import LinkMemory
from rarec.types import Item, ItemId, Mention

TITLES = ("Zorbalia", "Zorbalia Nights", "Quarbolin", "The Velvet Harbour")
TEXTS = (*(f"I watched {title} yesterday" for title in TITLES), "Zorbalia (1999) or Quarbolin?", "", "nothing")
ITEMS = st.builds(
    Item,
    st.integers(0, 4).map(lambda number: ItemId(f"i{number}")),
    st.sampled_from(TITLES),
    year=st.sampled_from((None, 1999, 2001)),
    popularity=st.integers(0, 9).map(float),
)
STEPS = st.one_of(
    st.tuples(st.just("add"), st.lists(ITEMS, min_size=1, max_size=3, unique_by=lambda item: item.id)),
    st.tuples(st.just("remove"), st.lists(ITEMS.map(lambda item: item.id), min_size=1, max_size=2)),
    st.tuples(st.just("link"), st.sampled_from(TEXTS)),
)


@settings(deadline=None, max_examples=100)
@given(st.lists(STEPS, max_size=25), st.integers(0, 6))
def test_what_is_remembered_is_what_would_be_found(steps: list[tuple[str, object]], room: int) -> None:
    remembering, small, forgetful = Linker(), Linker(remembered=room), Linker(remembered=0)
    for what, argument in steps:
        if what == "link":
            expected = forgetful.link(argument)  # type: ignore[arg-type]
            assert remembering.link(argument) == small.link(argument) == expected  # type: ignore[arg-type]
        else:
            for linker in (remembering, small, forgetful):
                getattr(linker, what)(argument)
    for text in TEXTS:
        assert remembering.link(text) == forgetful.link(text)


def found(count: int) -> tuple[Mention, ...]:
    return tuple(Mention(ItemId(str(i))) for i in range(count))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), max_size=40), st.integers(0, 20))
def test_no_more_is_kept_than_there_is_room_for(asked: list[tuple[int, int]], room: int) -> None:
    memory = LinkMemory(room)
    for text, count in asked:
        memory.put(str(text), found(count), memory.generation)
        kept = [known for number in range(10) if (known := memory.get(str(number))) is not None]
        assert sum(1 + len(mentions) for mentions in kept) <= room
        if 1 + count <= room:
            assert memory.get(str(text)) is not None, "the newest has a place"


def test_the_longest_unused_text_goes_first() -> None:
    memory = LinkMemory(2)
    for text in ("a", "b"):
        memory.put(text, (), memory.generation)
    memory.get("a")
    memory.put("c", (), memory.generation)
    assert (memory.get("a"), memory.get("b"), memory.get("c")) == ((), None, ())


def test_a_search_that_began_before_a_change_is_not_kept() -> None:
    memory = LinkMemory(10)
    before = memory.generation
    memory.forget()
    memory.put("text", found(1), before)
    assert memory.get("text") is None


def test_a_text_that_is_asked_for_again_is_not_searched_again() -> None:
    linker = Linker([Item(ItemId("z"), "Zorbalia", year=1999)])
    searched: list[str] = []
    candidates = linker.candidates
    linker.candidates = lambda text: (searched.append(text), candidates(text))[1]  # type: ignore[method-assign,func-returns-value]
    lone = "Zorbalia \ud800"  # half of a character, as broken clients send it
    assert linker.link(lone) == linker.link(lone) != ()
    assert searched == [lone]
    linker.remove([ItemId("z")])
    assert linker.link(lone) == ()
    assert searched == [lone, lone]
