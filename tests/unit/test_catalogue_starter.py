"""What the packaged catalogue promises."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from rarec.catalogue import starter_items
from rarec.types import Item

GENRES = {
    "Action", "Adventure", "Animation", "Biography", "Comedy", "Crime", "Documentary", "Drama", "Family", "Fantasy",
    "History", "Horror", "Music", "Musical", "Mystery", "Romance", "Science Fiction", "Sport", "Thriller", "War",
    "Western",
}  # fmt: skip
REQUIRED = ("genres", "directors", "cast", "countries", "languages", "keywords")
ALLOWED = {*REQUIRED, "original_title"}


@pytest.fixture(scope="module")
def items() -> tuple[Item, ...]:
    return starter_items()


def named(items: list[Item]) -> list[str]:
    return [f"{item.title} ({item.year})" for item in items]


def test_there_are_enough(items: tuple[Item, ...]) -> None:
    assert len(items) >= 1000


def test_every_decade_is_there(items: tuple[Item, ...]) -> None:
    decades = Counter((item.year or 0) // 10 * 10 for item in items)
    assert {decade: decades[decade] for decade in range(1920, 2030, 10) if decades[decade] < 15} == {}


def test_many_countries_are_there(items: tuple[Item, ...]) -> None:
    assert len({country for item in items for country in item.attributes["countries"]}) >= 25


def test_ids_and_titles_are_unique(items: tuple[Item, ...]) -> None:
    assert [name for name, count in Counter(item.id for item in items).items() if count > 1] == []
    pairs = Counter((item.title.casefold(), item.year) for item in items)
    assert [pair for pair, count in pairs.items() if count > 1] == []


def test_ids_are_slugs(items: tuple[Item, ...]) -> None:
    strange = [item.id for item in items if not re.fullmatch(rf"[a-z0-9]+(-[a-z0-9]+)*-{item.year}(-[2-9])?", item.id)]
    assert strange == []


def test_years_and_popularity_are_in_range(items: tuple[Item, ...]) -> None:
    assert named([item for item in items if item.year is None or not 1890 <= item.year <= 2026]) == []
    assert named([item for item in items if not 1 <= item.popularity <= 100]) == []
    assert len({item.popularity for item in items}) >= 40


def test_required_attributes_are_filled_and_no_others_given(items: tuple[Item, ...]) -> None:
    assert named([item for item in items if not all(item.attributes.get(name) for name in REQUIRED)]) == []
    assert {name for item in items for name in item.attributes} <= ALLOWED


def test_values_are_clean(items: tuple[Item, ...]) -> None:
    untidy = [
        (item.title, value)
        for item in items
        for values in (*item.attributes.values(), (item.title, item.text))
        for value in values
        if value != value.strip() or not value.isprintable() or "  " in value
    ]
    assert untidy == []
    repeated = [
        (item.title, name)
        for item in items
        for name, values in item.attributes.items()
        if len(set(values)) < len(values)
    ]
    assert repeated == []


def test_genres_are_of_the_closed_vocabulary(items: tuple[Item, ...]) -> None:
    assert {genre for item in items for genre in item.attributes["genres"]} <= GENRES
    assert named([item for item in items if not 1 <= len(item.attributes["genres"]) <= 4]) == []


@pytest.mark.parametrize(("name", "low", "high"), [("keywords", 3, 8), ("directors", 1, 3), ("cast", 1, 6)])
def test_lists_have_a_sensible_length(items: tuple[Item, ...], name: str, low: int, high: int) -> None:
    assert named([item for item in items if not low <= len(item.attributes[name]) <= high]) == []


def test_plots_have_a_sensible_length_and_are_not_repeated(items: tuple[Item, ...]) -> None:
    assert named([item for item in items if not 15 <= len(item.text.split()) <= 60]) == []
    assert named([item for item in items if not item.text.endswith((".", "!", "?", "'", '"'))]) == []
    assert len({item.text for item in items}) == len(items)


def test_names_of_people_have_no_digits_and_keywords_are_small(items: tuple[Item, ...]) -> None:
    people = {name for item in items for name in (*item.attributes["directors"], *item.attributes["cast"])}
    assert [name for name in people if any(c.isdigit() for c in name) or name.islower()] == []
    keywords = {word for item in items for word in item.attributes["keywords"]}
    assert [word for word in keywords if word != word.lower()] == []


def test_places_and_languages_are_written_in_one_way(items: tuple[Item, ...]) -> None:
    for name in ("countries", "languages"):
        values = {value for item in items for value in item.attributes[name]}
        assert len({value.casefold() for value in values}) == len(values)
        assert not values & {"USA", "UK", "US", "U.S.", "U.K.", "USSR"}
