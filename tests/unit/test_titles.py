"""Titles that were written on purpose -> items."""

import pytest

from rarec.catalogue.titles import TitleIndex, TitleLink, normal_title
from rarec.errors import InputError
from rarec.types import Item, ItemId


def item(number: int, title: str, year: int | None = None, popularity: float = 0.0, **attributes: str) -> Item:
    return Item(
        ItemId(str(number)), title, year=year, popularity=popularity,
        attributes={name: (value,) for name, value in attributes.items()},
    )  # fmt: skip


CATALOGUE = (
    item(0, "The Grey Harbour", 1990, 5.0),
    item(1, "The Grey Harbour", 2010, 9.0),
    item(2, "Amélie's Garden", 2001),
    item(3, "Quarry II", 1985),
    item(4, "Salt Road: The Long Way Home", 2004),
    item(5, "Nine", 2009),
    item(6, "9", 2009, 3.0),
    item(7, "???", 1999),
    item(8, "Clockwork", original_title="Uhrwerk"),
    item(9, "Fenland", 1970, 1.0),
    item(10, "The Fenland", 1970, 8.0),
)


def linked(title: str, year: int | None = None, *, max_edits: int = 0) -> str | None:
    link = TitleIndex(CATALOGUE, max_edits=max_edits).link(title, year)
    return None if link is None else link.item


@pytest.mark.parametrize(
    ("title", "year", "expected"),
    [
        ("the GREY harbour!", 1990, "0"),
        ("Grey Harbour, The", 2011, "1"),
        ("Grey Harbour", 1989, "0"),
        ("Amelie’s garden", None, "2"),
        ("Quarry 2", None, "3"),
        ("Uhrwerk", 1960, "8"),
        ("???", None, "7"),
        ("Grey Harbour (a drama)", 1990, "0"),
        ("Fenland", None, "9"),
        ("The Fenland", None, "10"),
        ("A Fenland", None, "10"),
        ("The Grey Harbour", 2000, None),
        ("Grey", None, None),
        ("", None, None),
        ("  ", 1990, None),
    ],
)
def test_what_a_title_links_to(title: str, year: int | None, expected: str | None) -> None:
    assert linked(title, year) == expected


def test_without_a_year_the_more_popular_of_two_namesakes_is_meant() -> None:
    assert linked("The Grey Harbour") == "1"
    assert linked("nine") in ("5", "6")
    assert linked("9", 2009) == "6", "the more popular of two that are written alike"


def test_a_part_of_a_title_needs_a_year_that_agrees() -> None:
    index = TitleIndex(CATALOGUE)
    assert index.link("Salt Road", 2004) == TitleLink(ItemId("4"), "short")
    assert index.link("The Long Way Home", 2005) == TitleLink(ItemId("4"), "short")
    assert index.link("Grey Harbour: Restored", 1990) == TitleLink(ItemId("0"), "short")
    assert index.link("Salt Road") is None
    assert index.link("Salt Road", 1998) is None
    assert index.link("Salt Road: Part Two", 2004) is None, "two parts of one series are not one item"


def test_letters_may_differ_only_if_asked_for() -> None:
    assert linked("The Gray Harbor", 1990) is None
    index = TitleIndex(CATALOGUE, max_edits=2)
    assert index.link("The Gray Harbor", 1990) == TitleLink(ItemId("0"), "close", edits=2)
    assert index.link("The Gray Harbor", 1950) is None, "the year still has to agree"
    assert index.link("Quarry 3") is None, "another number is another title"
    assert index.link("Nina") is None, "titles of four letters have no neighbours"
    assert index.link("Thee Gray Harbor", 1990) is None, "three letters are too many"
    assert TitleIndex([], max_edits=2).link("The Grey Harbour") is None


def test_normal_titles_and_wrong_settings() -> None:
    assert normal_title("The Fenland") == normal_title("Fenland") == "fenland"
    assert normal_title("???") == "???"
    assert len(TitleIndex(CATALOGUE)) == len(CATALOGUE)
    with pytest.raises(InputError, match="max_edits must be at least 0, got -1"):
        TitleIndex(CATALOGUE, max_edits=-1)
