import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.cli.filters import describe_filters, parse_filters
from rarec.errors import InputError
from rarec.types import Filters, ItemId


@pytest.mark.parametrize(
    ("expressions", "expected"),
    [
        ([], Filters()),
        (["year>=2000"], Filters(year_min=2000)),
        (["year > 1999"], Filters(year_min=2000)),
        (["year<=1989"], Filters(year_max=1989)),
        (["Year<1990"], Filters(year_max=1989)),
        (["year=1999"], Filters(year_min=1999, year_max=1999)),
        (["year=1990..1999"], Filters(year_min=1990, year_max=1999)),
        (["year=-800..-700"], Filters(year_min=-800, year_max=-700)),
        (["genres=Drama"], Filters(any_of={"genres": ("Drama",)})),
        (["genres = Drama , Comedy,Drama,"], Filters(any_of={"genres": ("Drama", "Comedy")})),
        (["genres!=Horror"], Filters(none_of={"genres": ("Horror",)})),
        (["genres&=Horror,Comedy"], Filters(all_of={"genres": ("Horror", "Comedy")})),
        (["made in=Ghent"], Filters(any_of={"made in": ("Ghent",)})),
        (["title=a>=b"], Filters(any_of={"title": ("a>=b",)})),
        (["year>=1980", "year>=1990", "year<=2010", "year<=2005"], Filters(year_min=1990, year_max=2005)),
        (["g=A", "g=B", "g!=C", "g!=D"], Filters(any_of={"g": ("A", "B")}, none_of={"g": ("C", "D")})),
    ],
)
def test_forms(expressions: list[str], expected: Filters) -> None:
    assert parse_filters(expressions) == expected


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "no name and operator"),
        ("Drama", "no name and operator"),
        ("=Drama", "no name and operator"),
        ("genres=", "no value"),
        ("genres= , ", "no value"),
        ("genres>=Drama", "only year can be compared"),
        ("year>=soon", "'soon' is not a year"),
        ("year=", "'' is not a year"),
        ("year=1990..", "not a year"),
        ("year=1999..1990", "1999 is after 1990"),
        ("year=19990", "not a year"),
        ("year!=1999", "cannot be left out"),
    ],
)
def test_what_cannot_be_read_says_what_can(expression: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_filters([expression])
    message = str(caught.value)
    assert reason in message
    assert repr(expression) in message
    assert "year>=2000" in message
    assert "name!=value" in message


def test_years_that_leave_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="from 2001 to 1990"):
        parse_filters(["year>2000", "year<=1990"])


def test_a_base_is_kept_and_not_changed() -> None:
    base = Filters(any_of={"g": ("A",)}, year_min=1950, exclude=frozenset([ItemId("x")]))
    assert parse_filters(["g=B", "year>=1960"], base=base) == Filters(
        any_of={"g": ("A", "B")}, year_min=1960, exclude=frozenset([ItemId("x")])
    )
    assert base.any_of == {"g": ("A",)}


_names = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8).filter(lambda s: s.casefold() != "year")
_values = st.lists(st.text(st.characters(categories=("L", "N", "Pd")), min_size=1, max_size=8), min_size=1, unique=True)
_wanted = st.dictionaries(_names, _values.map(tuple), max_size=3)


@settings(deadline=None, max_examples=50)
@given(_wanted, _wanted, _wanted, st.none() | st.integers(-999, 1900), st.none() | st.integers(1900, 3000))
def test_filters_that_are_described_are_read_back(
    any_of: dict[str, tuple[str, ...]],
    none_of: dict[str, tuple[str, ...]],
    all_of: dict[str, tuple[str, ...]],
    low: int | None,
    high: int | None,
) -> None:
    filters = Filters(any_of, none_of, low, high, all_of=all_of)
    assert parse_filters(describe_filters(filters)) == filters
