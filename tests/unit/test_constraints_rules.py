"""What the rules read, on small invented catalogues; the wide picture is in benchmarks/constraints.py."""

from __future__ import annotations

import pytest

from rarec.catalogue import Linker
from rarec.constraints import Constraints, Vocabulary, understand
from rarec.types import Conversation, Filters, Item, ItemId, Mention, Turn


def shop() -> list[Item]:
    """Sixty lamps: nothing of a film."""
    colours, makers = ("Red", "Sea Green", "Ivory"), ("Ada Lind", "Bo Carr", "Cy Dunn", "Di Ekman", "Ed Carr")
    return [
        Item(
            ItemId(f"lamp-{k}"),
            f"Lamp Zorbit {k}",
            year=1980 + k,
            attributes={
                "colour": (colours[k % 3],),
                "style": (("Art Deco", "Sci-Fi", "Rustic", "Family")[k % 4],),
                "language": (("ko", "it", "en")[k % 3],),
                "designer": (makers[k % 5],),
                "price": (str(10 + k),),
                "seats": ("2 to 4 players" if k % 2 else "5 players",),
            },
        )
        for k in range(60)
    ]


VOCABULARY = Vocabulary(shop())


def read(*said: str) -> Constraints:
    return understand(Conversation(tuple(Turn("user", text) for text in said)), VOCABULARY)


@pytest.mark.parametrize(
    ("said", "summary"),
    [
        ("something art-deco, not sea green", "Art Deco · not Sea Green"),
        ("a science fiction lamp from the nineties", "Sci-Fi · 1990-1999"),
        ("in Korean", "ko"),
        ("is it cheap?", ""),
        ("it is not for me", ""),
        ("no rustic ones", "not Rustic"),
        ("rustic is out", "not Rustic"),
        ("rustic or art deco, ideally from after 2000", "Rustic · Art Deco · maybe 2001 or later"),
        ("my family will see it", ""),
        ("a family one", "Family"),
        ("anything by Ekman", "Di Ekman"),
        ("Ekman said hello", ""),
        ("by Carr", "Bo Carr or Ed Carr"),
        ("less than 13 euros", "10 and 2 like it"),
        ("under two hours", "not enforced: under two hours"),
        ("for 3 players", "3 players"),
        ("nothing from the 90s", "not enforced: from the 90s"),
        ("not only rustic", ""),
        ("why not rustic?", ""),
        ("anything but rustic", "not Rustic"),
        ("between 1985 and 1990", "1985-1990"),
        ("no older than 1990", "1990 or later"),
        ("mid 80s", "1984-1986"),
        ("in my 30s", ""),
        ("we saw a rustic lamp last year", ""),
        ("we love rustic", "maybe Rustic"),
        ("", ""),
    ],
)
def test_what_is_understood(said: str, summary: str) -> None:
    if "euros" in said:
        (part,) = read(said).parts
        assert (part.attribute, set(part.values), part.label) == ("price", {"10", "11", "12"}, "under 13 euros")
    else:
        assert read(said).summary() == summary


@pytest.mark.parametrize(
    ("said", "summary"),
    [
        (("not rustic", "actually, rustic is fine"), ""),
        (("from the 90s", "any year is ok"), ""),
        (("rustic, from the 90s", "forget the 90s"), "Rustic"),
        (("not rustic", "a rustic one then"), "Rustic"),
        (("rustic", "no, not rustic"), "not Rustic"),
        (("rustic", "make it art deco"), "Art Deco"),
        (("rustic", "art deco too"), "Rustic · Art Deco"),
        (("from the 90s", "after 2005"), "2006 or later"),
        (("not rustic", "not sea green"), "not Rustic · not Sea Green"),
        (("rustic, not red lamps", "start over"), ""),
    ],
)
def test_later_turns_change_earlier_ones(said: tuple[str, ...], summary: str) -> None:
    assert read(*said).summary() == summary


def test_each_part_says_where_it_comes_from() -> None:
    text = "Hm. No rustic, from the 90s"
    parts = read("hello", text).parts
    assert [(p.turn, text[slice(*p.span)], p.label) for p in parts] == [
        (1, "rustic", "not Rustic"),
        (1, "from the 90s", "1990-1999"),
    ]
    assert len({part.id for part in parts}) == 2


def test_an_assistant_never_constrains() -> None:
    said = Conversation((Turn("assistant", "How about art deco, not rustic, from the 90s?"),))
    assert understand(said, VOCABULARY) == Constraints()


def test_titles_are_not_constraints() -> None:
    items = [*shop(), Item(ItemId("x"), "Rustic Express", attributes={"style": ("Rustic",)})]
    text = "something like Rustic Express"
    spans = Linker(items).link(text)
    assert [m.item for m in spans] == ["x"]
    assert understand(Conversation((Turn("user", text, spans),)), VOCABULARY).parts == ()
    loose = Conversation((Turn("user", "rustic", (Mention(ItemId("x")),)),))  # a mention without a place hides nothing
    assert understand(loose, VOCABULARY).summary() == "Rustic"


def test_filters_join_those_that_hold_anyway() -> None:
    base = Filters(any_of={"style": ("Rustic", "Sci-Fi")}, year_min=1995, exclude=frozenset([ItemId("x")]))
    found = read("rustic or art deco, from the 90s, not sea green").on(base)
    assert found == Filters({"style": ("Rustic",)}, {"colour": ("Sea Green",)}, 1995, 1999, base.exclude)
    assert read("art deco, before 1990").on(base) == base
    assert read("rustic art deco").filters.all_of == {"style": ("Rustic", "Art Deco")}
    assert read("ideally rustic").filters == Filters()


def test_parts_can_be_dropped_and_are_offered_newest_first() -> None:
    found = read("rustic", "not sea green")
    first, second = found.parts
    assert found.loosenings() == (second, first)
    assert found.without([first.id]).parts == (second,)


def test_a_vocabulary_follows_its_items() -> None:
    vocabulary = Vocabulary(shop())
    teal = Item(ItemId("t"), "Teal", attributes={"colour": ("Teal",), "aka": ("Rustic Two",)})
    wish = Conversation((Turn("user", "teal lamps"),))
    assert understand(wish, vocabulary).parts == ()
    vocabulary.add([teal])
    assert understand(wish, vocabulary).filters.any_of == {"colour": ("Teal",)}
    assert "aka" not in vocabulary.attributes
    vocabulary.add([Item(teal.id, "Teal", attributes={"colour": ("TEAL", "Red")})])
    assert vocabulary.values("colour")["TEAL"] == 1
    vocabulary.remove([teal.id, ItemId("never there")])
    assert understand(wish, vocabulary).parts == ()
    assert vocabulary.values("colour") == Vocabulary(shop()).values("colour")
    assert len(vocabulary) == 60
