"""Words that give a title away, and what is taken out of texts."""

import pytest

from rarec.simulation import BLANK, AspectCounts, TitleWords, profile_of
from rarec.types import Item, ItemId


def item(title: str, **values: object) -> Item:
    return Item(ItemId("x1"), title, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("title", "text", "blanked"),
    [
        ("Copper Moth", "I think of Copper Moth, please.", f"I think of {BLANK}, please."),
        ("Copper Moth", "a copper kettle, two moths", f"a {BLANK} kettle, two {BLANK}"),
        ("Copper Moth", "#TeamCopperMoth, theCopperMoth", f"#{BLANK}"),
        ("Copper Moth", "it is c o p p e r m-o-t-h", f"it is {BLANK}-{BLANK}-{BLANK}-{BLANK}"),
        ("Harmonie", "Philharmonie", BLANK),
        ("Copper Moth", "the coppermoth and the Copper-Moth", f"the {BLANK} and the {BLANK}-{BLANK}"),
        ("The Salt Road", "the road is long", f"the {BLANK} is long"),
        ("Salt", "salty", BLANK),
        ("It", "I want it in blue. Is it old?", f"I want {BLANK} in blue. Is {BLANK} old?"),
        ("The Others", "no others; the others, please", f"no {BLANK}; {BLANK}, please"),
        ("It: Chapter Two", "it is a chapter", f"{BLANK} is a {BLANK}"),
        ("Léon", "leon and LÉON", f"{BLANK} and {BLANK}"),
        ("Moth³", "a moth3 or moth ³", f"a {BLANK} or {BLANK}"),
        ("L'Harmonie", "harmonie", BLANK),
        ("Ash II", "ash two", BLANK),
        ("!!!", "Wow!!! Great!", f"Wow{BLANK} Great!"),
        ("…", "Well… yes", "Well yes"),
        ("活着", "我想看活着这部", BLANK),
        ("Copper Moth", "co\u200dpper", BLANK),
        ("Copper Moth", "", ""),
    ],
)
def test_what_is_blanked(title: str, text: str, blanked: str) -> None:
    assert TitleWords(item(title)).blank(text).text == blanked


def test_other_titles_count() -> None:
    hidden = TitleWords(item("Copper Moth", attributes={"aka": ("Kupferfalter",), "original_title": ("Cobre",)}))
    assert hidden.gives_away("Der Kupferfalter")
    assert hidden.gives_away("cobre")
    assert not hidden.gives_away("a film of the sea")


def test_function_words_stay_beside_others() -> None:
    blanked = TitleWords(item("The Salt of the Sea")).blank("I want one of the best.")
    assert (blanked.text, blanked.words) == ("I want one of the best.", 0)


def test_a_profile_leaves_out_what_names_the_item() -> None:
    target = item(
        "Copper Moth",
        year=1987,
        text="A retired moth collector repairs clocks in Lisbon.",
        attributes={
            "genres": ("Drama", "Copper noir"),
            "link": ("https://example.org/a", "www.example.org"),
            "stock": ("no. x1",),
            "aka": ("Kupfer",),
            "empty": ("", " "),
        },
    )
    profile = profile_of(target, AspectCounts([target]))
    assert [(a.attribute, a.value) for a in profile.aspects] == [
        ("decade", "1980s"), ("genres", "Drama"),
        ("text", "retired"), ("text", "collector"), ("text", "repairs"), ("text", "clocks"),
    ]  # fmt: skip
    assert profile.since == 1980


def test_a_profile_of_nothing_is_empty() -> None:
    profile = profile_of(item("It"), AspectCounts([item("It")]))
    assert profile.aspects == ()
    assert profile.since is None


def test_common_aspects_come_first_and_those_of_most_items_are_not_spoken_of() -> None:
    items = [
        Item(ItemId(f"i{n}"), f"Title {n}", attributes={"k": ("all", "half" if n % 3 else "few", f"v{n}")})
        for n in range(10)
    ]
    profile = profile_of(items[3], AspectCounts(items))
    assert [a.value for a in profile.aspects] == ["few", "v3"]
    assert [a.value for a in profile_of(items[3], AspectCounts(items, without=["k"])).aspects] == []


def test_liked_titles_that_give_the_target_away_are_left_out() -> None:
    first, second, other = item("Copper Moth"), item("Copper Moth Returns"), item("Low Tide")
    assert profile_of(second, AspectCounts([first, second]), likes=[first, other]).likes == ("Low Tide",)


def test_an_attribute_whose_name_names_the_item_is_left_out() -> None:
    target = item("Copper Moth", attributes={"Copper Moth facts": ("long",), "genres": ("Drama",), "x1": ("yes",)})
    profile = profile_of(target, AspectCounts([target]))
    assert [(a.attribute, a.value) for a in profile.aspects] == [("genres", "Drama")]


def test_the_words_of_a_text_are_left_out_where_their_name_names_the_item() -> None:
    target = item("Text", text="A retired collector repairs clocks.")
    assert profile_of(target, AspectCounts([target])).aspects == ()
