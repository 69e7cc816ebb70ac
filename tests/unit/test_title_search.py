"""Searching titles, and pages of items, while the store changes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.catalogue import CatalogueStore
from rarec.catalogue.folding import folded_words
from rarec.catalogue.title_search import TitleSearch
from rarec.errors import InputError
from rarec.types import Item, ItemId


def item(name: str, title: str, popularity: float = 0.0) -> Item:
    return Item(ItemId(name), title, popularity=popularity)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CatalogueStore]:
    with CatalogueStore.open(tmp_path / "catalogue.sqlite", create=True) as opened:
        opened.add(
            [
                item("a", "Crème Caramel", 1),
                item("b", "Caramel", 2),
                item("c", "Caramel Tart with Cream", 9),
                item("d", "The Cartwright's Apple", 5),
            ]
        )
        yield opened


def found(search: TitleSearch, text: str, n: int = 10) -> list[str]:
    return [i.id for i in search.find(text, n=n)]


def test_the_whole_title_comes_first_then_its_beginning_then_the_popular(store: CatalogueStore) -> None:
    search = TitleSearch(store)
    assert found(search, "caramel") == ["b", "c", "a"]
    assert found(search, "caramel", n=1) == ["b"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("creme", ["a"]),
        ("CRÈME car", ["a"]),
        ("tart car", ["c"]),
        ("art", []),
        ("cartwrights", ["d"]),
        ("?!", []),
        ("", []),
    ],
)
def test_words_are_compared_by_their_beginnings_without_case_accents_and_order(
    store: CatalogueStore, text: str, expected: list[str]
) -> None:
    assert found(TitleSearch(store), text) == expected


def test_it_follows_the_store(store: CatalogueStore) -> None:
    search = TitleSearch(store)
    assert found(search, "plum") == []
    store.add([item("e", "Plum Jam"), item("b", "Plum Cake")])
    assert sorted(found(search, "plum")) == ["b", "e"]
    assert "b" not in found(search, "caramel")
    store.delete([ItemId("e")])
    assert found(search, "plum") == ["b"]


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=40))
def test_every_title_with_words_is_found_by_itself(title: str) -> None:
    with tempfile.TemporaryDirectory() as folder, CatalogueStore.open(Path(folder) / "c", create=True) as store:
        store.add([item("x", "Plum")])
        search = TitleSearch(store)
        search.find(title, n=5)  # whatever is typed
        try:
            store.add([item("y", title)])
        except InputError:
            return
        if 0 < len(folded_words(title)) <= 20:
            assert "y" in found(search, title)


def test_pages_hold_every_item_once_and_in_order(store: CatalogueStore) -> None:
    seen: list[str] = []
    after: int | None = 0
    while after is not None:
        page = store.page(after, n=3)
        seen += [i.id for i in page.items]
        after = page.next
    assert seen == list(store.ids()) == ["a", "b", "c", "d"]


def test_an_item_that_stays_is_on_one_page_whatever_is_written(store: CatalogueStore) -> None:
    first = store.page(0, n=2)
    store.delete([ItemId("a"), ItemId("b")])
    store.add([item("e", "Plum")])
    assert first.next is not None
    assert [i.id for i in store.page(first.next, n=9).items] == ["c", "d", "e"]


def test_the_last_full_page_has_no_next(store: CatalogueStore) -> None:
    assert store.page(0, n=4).next is None
    assert store.page(1 << 62, n=4) == ((), None)


@pytest.mark.parametrize(("after", "n"), [(-1, 5), (0, 0), (1 << 63, 5)])
def test_pages_that_cannot_be_are_refused(store: CatalogueStore, after: int, n: int) -> None:
    with pytest.raises(InputError, match="a page needs"):
        store.page(after, n=n)
