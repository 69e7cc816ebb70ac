import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.cli.filters import check_expressions, describe_filters, parse_filters
from rarec.constraints import Vocabulary
from rarec.errors import InputError
from rarec.types import Filters, Item, ItemId


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
        ("genres>=Drama", "'Drama' is not a number"),
        ("price>=20", "only year can be compared with '>=' without a catalogue"),
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


SHOP = Vocabulary(
    Item(ItemId(f"b{k}"), f"Bench {k}", attributes={"price_eur": (str(10 * k),), "size": ("2..4",)})
    for k in range(1, 8)
)


@pytest.mark.parametrize(
    ("expressions", "values"),
    [
        (["price_eur<=30"], ("10", "20", "30")),
        (["price_eur<30"], ("10", "20")),
        (["price_eur>=60"], ("60", "70")),
        (["price_eur>60.5"], ("70",)),
        (["price_eur=19..50"], ("20", "30", "40", "50")),
        (["price_eur>=19", "price_eur<=30"], ("20", "30")),
        (["price_eur=10,30", "price_eur<20"], ("10",)),
    ],
)
def test_numbers_are_compared_where_the_catalogue_has_some(expressions: list[str], values: tuple[str, ...]) -> None:
    check_expressions(expressions)
    assert parse_filters(expressions, vocabulary=lambda: SHOP) == Filters(any_of={"price_eur": values})
    narrower = parse_filters(
        ["price_eur>=30"], base=Filters(any_of={"price_eur": ("20", "30")}), vocabulary=lambda: SHOP
    )
    assert narrower.any_of == {"price_eur": ("30",)}


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("price_eur<=cheap", "'cheap' is not a number"),
        ("price_eur=50..19", "50 is more than 19"),
        ("size<=3", "the attribute 'size' has no numbers to compare; those that have are: 'price_eur'"),
        ("price_eur>=500", "the filters leave no 'price_eur', whose numbers go from 10 to 70"),
    ],
)
def test_what_cannot_be_compared_names_the_attribute(expression: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_filters([expression], vocabulary=lambda: SHOP)
    assert reason in str(caught.value)


def test_dots_in_a_value_that_is_no_number_are_its_own() -> None:
    assert parse_filters(["size=2..4"], vocabulary=lambda: SHOP) == Filters(any_of={"size": ("2..4",)})


@pytest.mark.parametrize("expression", ["price_eur<=cheap", "year>=soon", "=x", "genres="])
def test_nonsense_is_refused_before_a_catalogue_is_opened(expression: str) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        check_expressions([expression])
