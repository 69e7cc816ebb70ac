"""A log of anybody's interactions -> one sequence a user."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

from rarec.catalogue.fields import Rejection
from rarec.catalogue.rows import format_of, rows_of
from rarec.conversations.movielens import DISLIKED_TO, LIKED_FROM, Interactions
from rarec.errors import InputError
from rarec.types import ItemId, Sentiment

REQUIRED = ("user", "item", "time")
_SENTIMENTS: Mapping[str, Sentiment] = {"liked": "liked", "disliked": "disliked", "mentioned": "mentioned"}
_Event = tuple[float, ItemId, Sentiment]


def read_interactions(
    path: str | Path, *, liked_from: float = LIKED_FROM, disliked_to: float = DISLIKED_TO
) -> list[Interactions]:
    """The users of a JSONL, CSV, TSV or Parquet file in order of their ids, each with items in order of time.

    Columns are ``user``, ``item``, ``time`` (a number that grows, or an ISO 8601 date; without a zone it is UTC) and,
    if known, ``rating`` (a number) or ``sentiment`` (liked, disliked, mentioned); others are not read. What has neither
    rating nor sentiment is mentioned. At one time the file's order decides. A file without rows gives nobody.

    Args:
        liked_from, disliked_to: ratings from which on, and down to which, an item was liked, disliked.
    Raises:
        InputError: the file cannot be read, lacks a column, or a line is wrong; the line and the value are named.
        MissingExtra: the package for Parquet or zstandard is not installed.
    """
    source = Path(path)
    users: dict[str, list[_Event]] = {}
    for row in rows_of(source, form=format_of(source, None), check_header=lambda header: _check(source, header)):
        if isinstance(row, Rejection):
            raise InputError(f"{str(source)!r} {row}; correct or remove this line")
        line, values = row
        try:
            user, item, time = _name(values, "user"), ItemId(_name(values, "item")), _time(values.get("time"))
            users.setdefault(user, []).append((time, item, _sentiment(values, liked_from, disliked_to)))
        except _Wrong as problem:
            raise InputError(f"{str(source)!r} line {line}: {problem}; correct or remove this line") from None
    return [_sequence(user, events) for user, events in sorted(users.items())]


class _Wrong(Exception):
    """A value cannot be used; the text says which and why."""


def _check(path: Path, header: list[str]) -> None:
    if missing := [name for name in REQUIRED if name not in header]:
        raise InputError(f"{str(path)!r} has no column {missing[0]!r}, only {header!r}; rename one of them")


def _sequence(user: str, events: list[_Event]) -> Interactions:
    ordered = sorted(events, key=lambda event: event[0])
    return Interactions(user, tuple(item for _, item, _ in ordered), tuple(felt for _, _, felt in ordered))


def _name(values: Mapping[str, object], column: str) -> str:
    value = values.get(column)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column with gaps is written as 1999.0 by many tools
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
        raise _Wrong(f"{column} is {value!r}, which is no id")
    return str(value).strip()


def _time(value: object) -> float:
    if isinstance(value, str) and (number := _number(value)) is not None:
        return number
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise _Wrong(f"time is {value!r}, neither a number nor a date such as 2024-05-31T18:00") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    number = _number(value)
    if number is None:
        raise _Wrong(f"time is {value!r}, neither a number nor a date")
    return number


def _sentiment(values: Mapping[str, object], liked_from: float, disliked_to: float) -> Sentiment:
    rating, told = values.get("rating"), values.get("sentiment")
    if told not in (None, ""):
        if rating not in (None, ""):
            raise _Wrong(f"it has the rating {rating!r} and the sentiment {told!r}, of which one is enough")
        if not isinstance(told, str) or told not in _SENTIMENTS:
            raise _Wrong(f"sentiment is {told!r}, not one of {', '.join(_SENTIMENTS)}")
        return _SENTIMENTS[told]
    if rating in (None, ""):
        return "mentioned"
    number = _number(rating)
    if number is None:
        raise _Wrong(f"rating is {rating!r}, not a number")
    return "liked" if number >= liked_from else "disliked" if number <= disliked_to else "mentioned"


def _number(value: object) -> float | None:
    """None if it is no finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
