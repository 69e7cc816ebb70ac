"""Records of one thing into one item."""

from rarec.corpus.merging import FieldOrder, Merger
from rarec.corpus.record import Record
from rarec.types import Item, ItemId

RED = {"genres": ("Drama",), "colour": ("red",)}
A = Record("a", "1", ("Matrix, The", "La matrice"), None, people=("Ann Lee",), attributes=RED)
B = Record("b", "1", ("The Matrix", "Matrix"), 1999, attributes={"genres": ("drama", "Noir")}, text="Of b.")
C = Record("c", "1", (), 2000, attributes={"genres": ("Crime",)}, text="Of c.")


def test_the_first_source_that_says_something_wins() -> None:
    merged = Merger(("a", "b", "c")).merge(ItemId("x"), 5.0, [A, B, C])
    assert merged is not None
    assert merged.item == Item(
        ItemId("x"),
        "Matrix, The",
        "Of b.",
        1999,
        {"genres": ("Drama",), "colour": ("red",), "aka": ("La matrice",)},
        5.0,
    )
    assert merged.origin == {
        "title": (0,),
        "year": (1,),
        "text": (1,),
        "attributes.genres": (0,),
        "attributes.colour": (0,),
        "attributes.aka": (0,),
    }


def test_fields_have_orders_of_their_own() -> None:
    fields = {
        "title": FieldOrder(("b",)),
        "year": FieldOrder(("c", "b")),
        "text": FieldOrder(("c",)),
        "attributes.genres": FieldOrder(("c",), "all", 3),
        "attributes.aka": FieldOrder(max=0 + 1),
    }
    merged = Merger(("a", "b", "c"), fields).merge(ItemId("x"), 0.0, [A, B, C])
    assert merged is not None
    item = merged.item
    assert (item.title, item.year, item.text) == ("The Matrix", 2000, "Of c.")
    assert item.attributes["genres"] == ("Crime", "Drama", "Noir")
    assert merged.origin["attributes.genres"] == (2, 0, 1)
    assert item.attributes["aka"] == ("La matrice",)


def test_a_group_without_a_title_is_no_item() -> None:
    assert Merger(("c",)).merge(ItemId("x"), 0.0, [C]) is None


def test_other_titles_that_a_source_calls_so_itself_stay() -> None:
    named = Record("b", "1", ("The Matrix", "Other"), attributes={"aka": ("Its own",)})
    merged = Merger(("b",)).merge(ItemId("x"), 0.0, [named])
    assert merged is not None
    assert merged.item.attributes["aka"] == ("Its own",)
