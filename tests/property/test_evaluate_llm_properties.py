"""Whatever a model writes: only items of the catalogue come out, each once; every title finds itself."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.catalogue.titles import TitleIndex, normal_title
from rarec.evaluate.llm_systems import ground_titles
from rarec.prompt import parse_titles
from rarec.types import Item, ItemId

LIMITED = settings(deadline=None, max_examples=100)

WORDS = st.sampled_from(
    ["The", "Tide", "of", "II", "2", "Léon's", "a", "-", ":", "(Part", "One)", "&", "???", "Salt", ","]
)
TITLES = st.lists(WORDS, min_size=1, max_size=6).map(" ".join) | st.text(min_size=1, max_size=30).filter(str.strip)
YEARS = st.none() | st.integers(1985, 1990)
CATALOGUES = st.lists(st.tuples(TITLES, YEARS, st.integers(0, 3)), max_size=12).map(
    lambda rows: [
        Item(ItemId(str(number)), title, year=year, popularity=popularity)
        for number, (title, year, popularity) in enumerate(rows)
    ]
)
MARKS = '{"recommendations": [|"|, |]|}|1. |\n|- |**|(1987)|(2001)|Tide|The Tide|[|{|"title": |\\u12|:|“|”|```|and '
PIECES = st.sampled_from(MARKS.split("|"))
ANYTHING = st.text(st.characters(), max_size=80) | st.lists(PIECES | TITLES, max_size=30).map("".join)


@LIMITED
@given(text=ANYTHING, items=CATALOGUES, n=st.integers(1, 8), edits=st.integers(0, 2))
def test_only_items_of_the_catalogue_come_out_and_every_entry_is_counted_once(
    text: str, items: list[Item], n: int, edits: int
) -> None:
    grounded = ground_titles(text, TitleIndex(items, max_edits=edits), n=n)
    assert set(grounded.items) <= {item.id for item in items}
    assert len(set(grounded.items)) == len(grounded.items) <= n
    assert grounded.named == len(grounded.items) + len(grounded.ungrounded) + grounded.repeated <= n
    for named in parse_titles(text, n=n).titles:
        assert named.title == named.title.strip() != ""
        named.title.encode("utf-8")
        assert "\n" not in named.title


@LIMITED
@given(items=CATALOGUES.filter(bool), data=st.data(), edits=st.integers(0, 2))
def test_every_title_finds_its_item_or_a_namesake(items: list[Item], data: st.DataObject, edits: int) -> None:
    item = data.draw(st.sampled_from(items))
    year = data.draw(st.sampled_from([None, item.year]))
    link = TitleIndex(items, max_edits=edits).link(item.title, year)
    assert link is not None
    found = next(i for i in items if i.id == link.item)
    assert link.kind == "exact"
    assert normal_title(found.title) == normal_title(item.title)
    if year is not None and found.year is not None:
        assert found.year == year


@LIMITED
@given(items=CATALOGUES.filter(bool), title=TITLES, year=st.integers(1980, 1995), edits=st.integers(0, 2))
def test_a_year_that_disagrees_is_never_linked(items: list[Item], title: str, year: int, edits: int) -> None:
    link = TitleIndex(items, max_edits=edits).link(title, year)
    if link is not None:
        found = next(i for i in items if i.id == link.item)
        assert found.year is None or abs(found.year - year) <= 1
        assert link.edits <= edits
