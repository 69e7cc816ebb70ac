"""Filter expressions as people type them -> `Filters`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from rarec.constraints.bounds import Bound, bounded
from rarec.constraints.vocabulary import Vocabulary
from rarec.errors import InputError
from rarec.types import Filters

FORMS = (
    "year>=2000, year<=1999, year>2000, year<1990, year=1999, year=1990..1999, name=value,value, name!=value, "
    "name&=value,value (all of them), or where the values are numbers price<=50, price<50, price>=20, price>20, "
    "price=20..50"
)
_EXPRESSION = re.compile(r"\s*([^<>=!]*?)\s*(&=|>=|<=|!=|=|>|<)(.*)", re.DOTALL)
_COMPARES = ("<", "<=", ">", ">=")
_YEAR = re.compile(r"-?[0-9]{1,4}")
_NUMBER = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?")
_RANGE = re.compile(r"(.+?)\.\.(.+)", re.DOTALL)


def parse_filters(
    expressions: Iterable[str], *, base: Filters | None = None, vocabulary: Callable[[], Vocabulary] | None = None
) -> Filters:
    """Filters for which all expressions hold, added to `base`; no expressions change nothing.

    Years narrow each other. Values for one attribute add up: ``genres=Drama`` and ``genres=Comedy`` together allow
    items that have either; ``genres&=Drama,Comedy`` allows those that have both. Values are compared without case
    later, by the index, which also knows the attributes. Comparisons of other numbers than years narrow each other and
    values that were given.

    Args:
        vocabulary: gives that of the catalogue; without it no other numbers than years can be compared.
    Raises:
        InputError: an expression has none of the forms, or the years or numbers leave nothing.
    """
    found = base or Filters()
    any_of, none_of, all_of = dict(found.any_of), dict(found.none_of), dict(found.all_of)
    low, high = found.year_min, found.year_max
    bounds: list[Bound] = []
    for expression in expressions:
        name, operator, value = _split(expression)
        if name.casefold() == "year":
            first, last = _years(expression, operator, value)
            low = first if low is None or (first is not None and first > low) else low
            high = last if high is None or (last is not None and last < high) else high
            continue
        if operator in _COMPARES or _is_range(operator, name, value, vocabulary):
            bounds.append(_bound(expression, name, operator, value))
            if vocabulary is None:
                raise _wrong(expression, f"only year can be compared with {operator!r} without a catalogue")
            continue
        values = tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
        if not values:
            raise _wrong(expression, "there is no value")
        wanted = {"=": any_of, "!=": none_of, "&=": all_of}[operator]
        wanted[name] = tuple(dict.fromkeys((*wanted.get(name, ()), *values)))
    if low is not None and high is not None and low > high:
        raise InputError(f"the filters leave no year: from {low!r} to {high!r}; loosen one of them")
    filters = Filters(any_of, none_of, low, high, found.exclude, all_of)
    return bounded(filters, bounds, vocabulary()) if bounds and vocabulary is not None else filters


def check_expressions(expressions: Iterable[str]) -> None:
    """Refuse what no catalogue makes sense of, before one is opened. Raises: InputError as `parse_filters`."""
    for expression in expressions:
        name, operator, value = _split(expression)
        if operator in _COMPARES and name.casefold() != "year":
            _bound(expression, name, operator, value)
        else:
            parse_filters([expression])


def describe_filters(filters: Filters) -> tuple[str, ...]:
    """The filters as expressions that `parse_filters` reads; none give nothing."""
    lines = []
    if filters.year_min is not None:
        lines.append(f"year>={filters.year_min}")
    if filters.year_max is not None:
        lines.append(f"year<={filters.year_max}")
    lines += [f"{name}={','.join(values)}" for name, values in filters.any_of.items()]
    lines += [f"{name}!={','.join(values)}" for name, values in filters.none_of.items()]
    lines += [f"{name}&={','.join(values)}" for name, values in filters.all_of.items()]
    return tuple(lines)


def _split(expression: str) -> tuple[str, str, str]:
    match = _EXPRESSION.fullmatch(expression)
    if match is None or not match[1]:
        raise _wrong(expression, "it has no name and operator")
    return match[1], match[2], match[3].strip()


def _is_range(operator: str, name: str, value: str, vocabulary: Callable[[], Vocabulary] | None) -> bool:
    """Whether a value like "20..50" is a range of an attribute of numbers, and not how a value is written."""
    span = _RANGE.fullmatch(value) if operator == "=" and vocabulary is not None else None
    numbers = span is not None and all(_NUMBER.fullmatch(end.strip()) for end in span.groups())
    return numbers and vocabulary is not None and name in vocabulary().numeric


def _bound(expression: str, name: str, operator: str, value: str) -> Bound:
    """The numbers that an expression allows."""
    if operator == "=" and (span := _RANGE.fullmatch(value)):
        low, high = _number(expression, span[1]), _number(expression, span[2])
        if low > high:
            raise _wrong(expression, f"{low:g} is more than {high:g}")
        return Bound(name, low, high)
    number = _number(expression, value)
    strict = operator in ("<", ">")
    return Bound(name, number, None, strict) if ">" in operator else Bound(name, None, number, strict)


def _number(expression: str, text: str) -> float:
    if not _NUMBER.fullmatch(text.strip()):
        raise _wrong(expression, f"{text.strip()!r} is not a number")
    return float(text)


def _years(expression: str, operator: str, value: str) -> tuple[int | None, int | None]:
    """The first and last year that an expression allows."""
    if operator == "=" and (span := _RANGE.fullmatch(value)):
        first, last = _year(expression, span[1]), _year(expression, span[2])
        if first > last:
            raise _wrong(expression, f"{first} is after {last}")
        return first, last
    if operator == "!=":
        raise _wrong(expression, "a year cannot be left out")
    year = _year(expression, value)
    return {
        ">=": (year, None),
        ">": (year + 1, None),
        "<=": (None, year),
        "<": (None, year - 1),
        "=": (year, year),
    }[operator]


def _year(expression: str, text: str) -> int:
    if not _YEAR.fullmatch(text.strip()):
        raise _wrong(expression, f"{text.strip()!r} is not a year")
    return int(text)


def _wrong(expression: str, reason: str) -> InputError:
    return InputError(f"the filter {expression!r} cannot be read: {reason}; use one of {FORMS}")
