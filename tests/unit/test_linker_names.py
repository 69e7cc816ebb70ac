"""Titles as people write them lead to the item, at the right place in the text."""

from __future__ import annotations

import threading
import time

import pytest

from rarec.catalogue import Linker
from rarec.catalogue.folding import folded_words
from rarec.catalogue.names import Kind, names_of
from rarec.types import Item, ItemId


def an_item(
    name: str, title: str, year: int | None = None, popularity: float = 50.0, **attributes: tuple[str, ...]
) -> Item:
    return Item(ItemId(name), title, "", year, attributes, popularity)


ITEMS = (
    an_item("matrix", "The Matrix", 1999, 95),
    an_item("amelie", "Amélie", 2001, 80),
    an_item("spider", "Spider-Man", 2002, 90),
    an_item("god1", "The Godfather", 1972, 98),
    an_item("god2", "The Godfather Part II", 1974, 93),
    an_item("nausicaa", "Nausicaä of the Valley of the Wind", 1984, 60, original_title=("Kaze no Tani no Naushika",)),
    an_item("rings1", "The Lord of the Rings: The Fellowship of the Ring", 2001, 96),
    an_item("rings2", "The Lord of the Rings: The Two Towers", 2002, 94),
    an_item("psycho60", "Psycho", 1960, 90),
    an_item("psycho98", "Psycho", 1998, 40),
    an_item("it", "It", 2017, 85),
    an_item("her", "Her", 2013, 84),
    an_item("up", "Up", 2009, 88),
    an_item("big", "Big", 1988, 83),
    an_item("good", "The Good Life", None, 10),
    an_item("ugly", "The Good, the Bad and the Ugly", 1966, 87),
    an_item("samurai", "Samourai, Le", 1967, 55),
    an_item("eyes", "Eyes Wide Shut", 1999, 70),
)


@pytest.fixture(scope="module")
def linker() -> Linker:
    return Linker(ITEMS)


def linked(linker: Linker, text: str) -> list[tuple[str, str]]:
    found = []
    for mention in linker.link(text):
        assert mention.span is not None
        assert mention.sentiment == "mentioned"
        found.append((str(mention.item), text[slice(*mention.span)]))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I watched The Matrix (1999) again.", [("matrix", "The Matrix (1999)")]),
        ("I watched the matrix again", [("matrix", "the matrix")]),
        ("I WATCHED THE MATRIX AGAIN", [("matrix", "THE MATRIX")]),
        ("have you seen Matrix?", [("matrix", "Matrix")]),
        ("have you seen amelie", [("amelie", "amelie")]),
        ("Ame\u0301lie 2001 is lovely", [("amelie", "Ame\u0301lie 2001")]),
        ("i liked spiderman", [("spider", "spiderman")]),
        ("i liked spider man", [("spider", "spider man")]),
        ("I loved The Godfather II", [("god2", "The Godfather II")]),
        ("I loved the godfather 2", [("god2", "the godfather 2")]),
        ("I loved The Godfather, and The Matrix", [("god1", "The Godfather"), ("matrix", "The Matrix")]),
        ("I like Kaze no Tani no Naushika", [("nausicaa", "Kaze no Tani no Naushika")]),
        ("i love lord of the rings", [("rings1", "lord of the rings")]),
        ("I watched The Two Towers", [("rings2", "The Two Towers")]),
        ("I watched Psycho", [("psycho60", "Psycho")]),
        ("I watched Psycho (1998)", [("psycho98", "Psycho (1998)")]),
        ("I watched Psycho 1998", [("psycho98", "Psycho 1998")]),
        ("I watched Psycho (1997)", [("psycho98", "Psycho (1997)")]),
        ("The good, the bad & the ugly is great", [("ugly", "The good, the bad & the ugly")]),
        ("try Le Samourai", [("samurai", "Le Samourai")]),
        ("eyes wide shut", [("eyes", "eyes wide shut")]),
    ],
)
def test_titles_are_found(linker: Linker, text: str, expected: list[tuple[str, str]]) -> None:
    assert linked(linker, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "I saw it and told her that it was a big thing, what is up with you?",
        "it was good and that is all there is to it",
        "i want to see it again",
        "thanks, that is good to hear",
        "could you make up your mind?",
        "I loved The Godfather 3",
        "\ud800 \0 \u200b",
    ],
)
def test_ordinary_words_are_not_mentions(linker: Linker, text: str) -> None:
    assert linked(linker, text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It (2017) scared me", "it"),
        ('they told me about "It" yesterday', "it"),
        ("yesterday I watched Her and liked that one", "her"),
        ("yesterday we watched Up with my dad", "up"),
        ("something like Big (1988)", "big"),
    ],
)
def test_evidence_makes_ordinary_words_mentions(linker: Linker, text: str, expected: str) -> None:
    assert [item for item, _ in linked(linker, text)] == [expected]


def test_an_item_may_be_mentioned_twice(linker: Linker) -> None:
    assert [item for item, _ in linked(linker, "Psycho (1960) or Psycho (1998)? I say Psycho (1960)")] == [
        "psycho60",
        "psycho98",
        "psycho60",
    ]


def test_the_longest_name_wins() -> None:
    linker = Linker([an_item("a", "Velvet"), an_item("b", "Velvet Harbour"), an_item("c", "Harbour Lights")])
    assert linked(linker, "I watched Velvet Harbour Lights") == [("b", "Velvet Harbour")]


def test_items_come_and_go() -> None:
    linker = Linker()
    assert linker.link("I watched Zorbalia") == ()
    linker.add([an_item("z", "Zorbalia", 2000), an_item("y", "Zorbalia", 1990, popularity=99)])
    assert [item for item, _ in linked(linker, "I watched Zorbalia")] == ["y"]
    linker.remove([ItemId("y"), ItemId("never there")])
    assert [item for item, _ in linked(linker, "I watched Zorbalia")] == ["z"]
    linker.add([an_item("z", "Quarbolin")])
    assert linker.link("I watched Zorbalia") == ()
    assert [item for item, _ in linked(linker, "I watched Quarbolin")] == ["z"]
    assert len(linker) == 1
    linker.remove([ItemId("z")])
    assert len(linker) == 0
    assert linker.link("I watched Quarbolin") == ()


def test_adding_one_by_one_equals_building_at_once() -> None:
    grown = Linker()
    for item in reversed(ITEMS):
        grown.add([item, item])
    texts = ["Psycho", "i love lord of the rings", "Watched Her, It (2017) and Psycho 1998"]
    assert [grown.link(text) for text in texts] == [Linker(ITEMS).link(text) for text in texts]


def test_linking_while_items_change() -> None:
    linker = Linker(ITEMS)
    errors: list[BaseException] = []
    done = threading.Event()

    def link() -> None:
        try:
            while not done.is_set():
                assert "matrix" in [m.item for m in linker.link("I watched Velvet Harbour and The Matrix (1999)")]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=link) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(200):
        linker.add([an_item(f"v{turn}", "Velvet Harbour", popularity=turn)])
        linker.remove([ItemId(f"v{turn - 1}")])
    done.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert linked(linker, "I watched Velvet Harbour") == [("v199", "Velvet Harbour")]


def test_names_of_an_item() -> None:
    names = names_of(an_item("x", "Star Wars: Episode V - The Empire Strikes Back"))
    assert names["star wars episode v the empire strikes back"] is Kind.FULL
    assert names["star wars"] is Kind.HEAD
    assert names["the empire strikes back"] is Kind.TAIL
    assert names["empire strikes back"] is Kind.TAIL
    assert names["star wars the empire strikes back"] is Kind.HEAD


def test_folding() -> None:
    assert folded_words("Schindler’s List & ALIEN³, Part Two") == [
        "schindlers",
        "list",
        "and",
        "alien",
        "3",
        "part",
        "2",
    ]
    assert folded_words("Straße ﬁn Ｆｕｌｌ 千と千尋") == ["strasse", "fin", "full", "千と千尋"]
    assert folded_words("' - !") == []


@pytest.mark.parametrize(
    "text",
    ["(" * 10**6, "a'" * 500_000, " " * 10**6, "The Matrix (1999) " * 56_000, "it " * 333_000, "é\u0301" * 300_000],
)
def test_a_megabyte_takes_seconds(linker: Linker, text: str) -> None:
    began = time.process_time()
    linker.link(text)
    assert time.process_time() - began < 10
