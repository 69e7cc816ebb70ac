"""What a shop's customers say: columns with units, bounds without, yes and no, and wishes that change their subject."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from rarec.candidates import allowed
from rarec.catalogue import Linker
from rarec.constraints import Bound, Constraints, Sort, Vocabulary, bounded, eased, understand, understand_with
from rarec.constraints.lexicon import spoken_names, unit_of
from rarec.errors import InputError
from rarec.testing import ScriptedLLM
from rarec.types import Conversation, Filters, Item, ItemId, Turn

KINDS = ("Roses", "Benches", "Herbs", "Gifts", "Mowers", "Ponds")
BRANDS = ("Fennhill", "Grumblewood", "Oake")


def garden() -> list[Item]:
    """Forty-eight things; living ones say whether they are hardy. Benches are all of one brand."""
    items = []
    for k in range(48):
        kind = KINDS[k % 6]
        attributes: dict[str, tuple[str, ...]] = {
            "category": (kind,),
            "price_eur": (f"{4.9 + 5 * k:.2f}",),
            "weight_kg": (f"{0.25 * (1 + k % 16):g}",),
            "brand": ("Oake",) if kind == "Benches" else (BRANDS[k % 2],),
        }
        if kind in ("Roses", "Herbs"):
            attributes["hardy"] = ("yes" if k % 4 else "no",)
        items.append(Item(ItemId(f"g{k}"), f"Zub {k}", year=2000 + k % 20, attributes=attributes))
    return items


ITEMS = garden()
VOCABULARY = Vocabulary(ITEMS)
LINKER = Linker(ITEMS)


def said(*texts: str) -> Conversation:
    return Conversation(tuple(Turn("user", text, LINKER.link(text)) for text in texts))


def read(*texts: str) -> Constraints:
    return understand(said(*texts), VOCABULARY)


def passing(filters: Filters) -> list[Item]:
    return [item for item in ITEMS if allowed(item, filters)]


def ease(*texts: str, shown: frozenset[ItemId] = frozenset(), on: Filters | None = None) -> Constraints:
    talk = said(*texts)

    def leaves_any(filters: Filters) -> bool:
        return any(item.id not in shown for item in passing(filters))

    return eased(understand(talk, VOCABULARY), talk, on=on or Filters(), leaves_any=leaves_any)


def number(item: Item, attribute: str) -> float:
    return float(item.attributes[attribute][0])


@pytest.mark.parametrize(
    ("text", "attribute", "low", "high"),
    [
        ("under 50 euros", "price_eur", 0, 49.99),
        ("under $50", "price_eur", 0, 49.99),
        ("under 50 €", "price_eur", 0, 49.99),
        ("price under 50", "price_eur", 0, 49.99),
        ("the price must be below 20", "price_eur", 0, 19.99),
        ("less than 50", "price_eur", 0, 49.99),
        ("cheaper than 20", "price_eur", 0, 19.99),
        ("a maximum price of 29.90", "price_eur", 0, 29.9),
        ("max 29,90", "price_eur", 0, 29.9),
        ("at most 1,500", "price_eur", 0, 1500),
        ("my budget is 40", "price_eur", 0, 40),
        ("price between 20 and 50", "price_eur", 20, 50),
        ("over 100 euros", "price_eur", 100.01, 1e9),
        ("over 20 euros and under 50 euros", "price_eur", 20.01, 49.99),
        ("not more expensive than 50", "price_eur", 0, 50),
        ("I don't want anything over 50 euros", "price_eur", 0, 50),
        ("nothing that costs less than 20 euros", "price_eur", 20, 1e9),
        ("50 euros or less", "price_eur", 0, 50),
        ("price 50 max", "price_eur", 0, 50),
        ("20 euros and up", "price_eur", 20, 1e9),
        ("price <= 50", "price_eur", 0, 50),
        ("price: 20-50", "price_eur", 20, 50),
        ("weight under 1 kg", "weight_kg", 0, 0.999),
        ("weight under 1", "weight_kg", 0, 0.999),
        ("lighter than 500 g", "weight_kg", 0, 0.499),
        ("not heavier than 2 kilos", "weight_kg", 0, 2),
        ("at least 3 kg", "weight_kg", 3, 1e9),
    ],
)
def test_a_bound_on_a_number_is_held(text: str, attribute: str, low: float, high: float) -> None:
    found = read(text)
    assert [part.attribute for part in found.hard] == [attribute]
    expected = [item.id for item in ITEMS if low <= number(item, attribute) <= high]
    assert [item.id for item in passing(found.filters)] == expected
    assert len(expected) > 0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("under two hours", "no item says its minutes"),
        ("something for kids under 10", "say of what: price_eur or weight_kg"),
        ("I want less than 20 thorns", "no item says its thorns"),
        ("a rose up to 50 m2", "no item says its m2"),
        ("under 1 euro", "no item has such euros"),
        ("something for 50 euros", "say whether it is the most or the least"),
    ],
)
def test_a_bound_that_cannot_be_held_is_told(text: str, why: str) -> None:
    assert [wish.why for wish in read(text).unenforced] == [why]


@pytest.mark.parametrize(
    "text",
    [
        "more than one book",
        "I am under 30",
        "after 2015",
        "at least 3 of mine",
        "at least two roses",
        "Max (19)",
        "I had two, at least",
    ],
)
def test_numbers_that_are_no_bound_are_not_taken_for_one(text: str) -> None:
    found = read(text)
    assert not [part for part in found.parts if part.attribute != "year"]


def test_a_title_is_no_bound() -> None:
    items = [*ITEMS, Item(ItemId("u"), "Under 40 Petals")]
    text = "I liked Under 40 Petals"
    assert understand(Conversation((Turn("user", text, Linker(items).link(text)),)), Vocabulary(items)) == Constraints()


def test_a_bound_says_what_it_is_in_its_label_and_a_later_one_takes_its_place() -> None:
    assert read("under 50 euros, at most 2 kg").summary() == "under 50 euros · at most 2 kg"
    assert read("under 50 euros", "under 30 euros").summary() == "under 30 euros"
    assert read("over 20 euros but under 50 euros").summary() == "over 20 euros, under 50 euros"
    assert read("under 50 euros", "the price doesn't matter").summary() == ""


@pytest.mark.parametrize(
    ("attribute", "unit", "each", "names"),
    [
        ("price", "euros", 1, ("price",)),
        ("price_eur", "euros", 1, ("price eur", "price")),
        ("Price (USD)", "euros", 1, ("price usd", "price")),
        ("sale_price", "euros", 1, ("sale price",)),
        ("price_min", "euros", 1, ("price min",)),
        ("length_min", "minutes", 1, ("length min", "length")),
        ("runtime_h", "minutes", 60, ("runtime h", "runtime")),
        ("weight_kg", "kg", 1, ("weight kg", "weight")),
        ("weight_g", "kg", 0.001, ("weight g", "weight")),
        ("page_count", "pages", 1, ("page count",)),
    ],
)
def test_an_attribute_s_name_says_its_unit(attribute: str, unit: str, each: float, names: tuple[str, ...]) -> None:
    found = unit_of(attribute)
    assert found is not None
    assert (found[0].name, found[1]) == (unit, each)
    assert spoken_names(attribute) == names


def test_other_names_say_no_unit() -> None:
    assert unit_of("rating") is None
    assert unit_of("age_min") is None
    assert unit_of("") is None


def test_one_value_that_is_no_number_does_not_hide_the_others() -> None:
    vocabulary = Vocabulary([*ITEMS, Item(ItemId("x"), "X", attributes={"price_eur": ("on request",)})])
    assert vocabulary.sort("price_eur") is Sort.NUMBERS
    assert understand(said("under 50 euros"), vocabulary).hard


@pytest.mark.parametrize(
    ("texts", "summary"),
    [
        (("I want a rose", "forget the roses, show me ponds"), "Ponds"),
        (("I want a rose", "forget the roses"), ""),
        (("I want a rose", "no roses please"), "not Roses"),
        (("I want a rose", "no, not the roses"), "not Roses"),
        (("I want a rose", "herbs"), "Herbs"),
        (("I want a rose", "a bench instead of roses"), "Benches"),
        (("I want a rose", "and a bench to sit beside it"), "Roses · Benches"),
        (("I want a rose", "or a pond"), "Roses · Ponds"),
    ],
)
def test_a_wish_goes_when_the_subject_changes(texts: tuple[str, ...], summary: str) -> None:
    found = read(*texts)
    assert found.summary() == summary
    assert passing(found.filters)


def test_the_newest_wish_wins_where_nothing_else_is_left() -> None:
    wishes = ("I want a bench", "something by Fennhill")
    assert passing(read(*wishes).filters) == []
    found = ease(*wishes)
    assert {item.attributes["brand"] for item in passing(found.filters)} == {("Fennhill",)}
    assert [(p.label, p.hard) for p in found.parts] == [("Benches", False), ("Fennhill", True)]
    assert [(w.text, w.turn) for w in found.unenforced] == [("Benches", 0)]
    assert "said later" in found.unenforced[0].why
    assert ease(*wishes).without([found.parts[0].id]).unenforced == found.unenforced


def test_only_as_much_is_let_go_as_must_be() -> None:
    roses = frozenset(item.id for item in ITEMS if item.attributes["category"] == ("Roses",))
    found = ease("under 200 euros", "a rose", "what else?", shown=roses)
    assert [(p.label, p.hard) for p in found.parts] == [("under 200 euros", True), ("Roses", False)]
    both = ease("a bench", "under 20 euros", "by Grumblewood, at least 3.9 kg")
    assert [p.label for p in both.hard] == ["Grumblewood", "at least 3.9 kg"]
    assert passing(both.filters)


def test_refusals_and_the_newest_wish_are_never_let_go() -> None:
    everything = frozenset(item.id for item in ITEMS)
    for texts in (("no roses", "herbs"), ("a rose", "herbs"), ("a bench by Fennhill",)):
        assert ease(*texts, shown=everything) == read(*texts)
    assert ease("a rose", "herbs") == read("a rose", "herbs")
    allowed_brand = Filters(any_of={"brand": ("Oake",)})
    assert ease("a rose", "what else?", on=allowed_brand).hard == ()


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("and a hammock to lie in", "maybe Roses · not enforced: hammock"),
        ("a lemon tree instead", "maybe Roses · not enforced: lemon tree"),
        ("and a gnome", "Roses"),
        ("and a hammock in it", "Roses"),
        ("I fell out of a hammock", "Roses"),
        ("and a bench", "Roses · Benches"),
    ],
)
def test_a_thing_that_only_titles_name_is_not_shut_out(text: str, summary: str) -> None:
    named = [Item(ItemId("h"), "Hammock for two"), Item(ItemId("t"), "Lemon Tree, potted")]
    vocabulary = Vocabulary([*ITEMS, *named])
    assert understand(said("a rose", text), vocabulary).summary() == summary
    vocabulary.remove([item.id for item in named])
    assert not vocabulary.in_titles("hammock")
    assert vocabulary.in_titles("zub")


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("small balcony and want herbs and tomatoes", "maybe Herbs · not enforced: tomatoes"),
        ("I want tomatoes and herbs", "maybe Herbs · not enforced: tomatoes"),
        ("herbs, tomatoes and beans", "maybe Herbs · not enforced: tomatoes"),
        ("roses, herbs and ferns", "maybe Roses · maybe Herbs · not enforced: ferns"),
        ("a rose and a gnome", "maybe Roses · not enforced: gnome"),
        ("herbs and parsley", "maybe Herbs · not enforced: parsley"),
        ("herbs and roses", "Herbs · Roses"),
        ("herbs and nothing by Oake", "Herbs · not Oake"),
        ("roses and please under 50 euros", "Roses · under 50 euros"),
        ("no herbs and tomatoes", "not Herbs"),
        ("a tall and thorny bench", "Benches"),
    ],
)
def test_half_of_a_wish_shuts_the_other_half_not_out(text: str, summary: str) -> None:
    assert read(text).summary() == summary


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("hardy roses", "hardy · Roses"),
        ("roses that are hardy", "Roses · hardy"),
        ("roses that are not hardy", "Roses · not hardy"),
        ("not hardy roses", "not hardy · Roses"),
        ("something hardy", "hardy"),
        ("ideally hardy", "maybe hardy"),
        ("yes", ""),
        ("yes please", ""),
        ("no", ""),
    ],
)
def test_columns_of_yes_and_no_are_asked_for_by_name(text: str, summary: str) -> None:
    assert read(text).summary() == summary


def test_yes_and_no_hold_and_change() -> None:
    kinds = {item.attributes.get("hardy") for item in passing(read("not hardy").filters)}
    assert kinds == {("no",)}  # and nothing that does not say it, such as a bench
    assert read("hardy", "not hardy").summary() == "not hardy"
    assert read("hardy", "forget hardy").summary() == ""
    assert VOCABULARY.sort("hardy") is Sort.FLAG
    only = Vocabulary([Item(ItemId("a"), "A", attributes={"is_hardy": ("yes",)}), Item(ItemId("b"), "B")])
    found = understand(said("not hardy"), only)
    assert found.filters == Filters(none_of={"is_hardy": ("yes",)})
    assert found.summary() == "not hardy"


@pytest.mark.parametrize("text", ["a gift", "a gift under 50 euros", "gifts below 30", "a gift for mum under 50 euros"])
def test_a_kind_is_read_with_and_without_a_bound_behind_it(text: str) -> None:
    assert read(text).parts[0].label == "Gifts"


def test_what_cannot_be_enforced_is_told_once() -> None:
    assert [wish.text for wish in read("under two hours").unenforced] == ["under two hours"]
    assert read("under two hours", "a rose").unenforced == ()


def test_bounds_by_hand_become_the_values_within() -> None:
    held = bounded(Filters(), [Bound("price_eur", 19, 50)], VOCABULARY)
    assert [i.id for i in passing(held)] == [i.id for i in ITEMS if 19 <= number(i, "price_eur") <= 50]
    strict = bounded(held, [Bound("price_eur", None, 24.9, strict=True)], VOCABULARY)
    assert strict.any_of == {"price_eur": ("19.90",)}
    assert bounded(Filters(), [], VOCABULARY) == Filters()
    with pytest.raises(InputError, match="'category' has no numbers to compare; those that have are: 'price_eur'"):
        bounded(Filters(), [Bound("category", 1)], VOCABULARY)
    with pytest.raises(InputError, match=r"leave no 'price_eur', whose numbers go from 4.9 to 239.9"):
        bounded(Filters(), [Bound("price_eur", 1000)], VOCABULARY)


def entry(attribute: str, *values: str, **more: Any) -> dict[str, Any]:
    usual = {"negated": False, "soft": False, "year_min": None, "year_max": None, "min": None, "max": None, "quote": ""}
    return {"attribute": attribute, "values": list(values), **usual, **more}


def ask(*entries: dict[str, Any], talk: Conversation) -> Constraints:
    llm = ScriptedLLM([json.dumps({"constraints": entries})])
    found = anyio.run(lambda: understand_with(llm, talk, VOCABULARY))
    assert found.source == "model"
    assert "price_eur: numbers from 4.9 to 239.9" in llm.requests[0].messages[0].content
    return found


def test_a_model_s_numbers_flags_and_old_complaints_are_held_alike() -> None:
    talk = said("with a motor", "not hardy, up to 50 euros")
    found = ask(
        entry("hardy", "yes", negated=True, quote="not hardy"),
        entry("price_eur", max=50, quote="up to 50 euros"),
        entry("weight_kg", min=900, quote="50 euros"),
        entry("colour", "red", quote="a motor"),
        talk=talk,
    )
    assert [part.label for part in found.hard] == ["not hardy", "price_eur at most 50"]
    assert found.parts[0].values == ("no",)
    assert {number(item, "price_eur") <= 50 for item in passing(found.filters)} == {True}
    assert [wish.why for wish in found.unenforced] == ["no item has such weight_kg"]
