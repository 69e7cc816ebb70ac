"""Ceilings as people write them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from rarec.errors import InputError
from rarec.state.records import Ceiling, Limits


def parse_limits(expressions: Sequence[str], *, source: str) -> Limits:
    """Ceilings from ``SCOPE.WHAT=NUMBER``, e.g. ``day.usd=2.5``; a later one of the same name counts, none is none.

    Args:
        source: where they stand, for errors.
    Raises:
        InputError: one has another form, an unknown scope, or a number that cannot be.
    """
    found: dict[str, dict[str, Any]] = {}
    for expression in expressions:
        place, _, number = expression.partition("=")
        scope, _, what = place.strip().partition(".")
        value = _number(number)
        if not scope or not what or value is None:
            raise InputError(f"{source} {expression!r} is no ceiling; write SCOPE.WHAT=NUMBER, e.g. day.usd=2.5")
        found.setdefault(scope, {})[what] = value
    try:
        return Limits.model_validate(found)
    except ValidationError as error:
        wrong = error.errors()[0]
        raise InputError(
            f"{source} {'.'.join(map(str, wrong['loc']))}: {wrong['msg'].lower()}; scopes are request, session, key "
            "and day, and each has calls, tokens (whole numbers from 0) and usd (up to 1,000,000)"
        ) from error


def in_money(limits: Limits) -> bool:
    """Whether any ceiling is in dollars."""
    return any(getattr(limits, scope).usd is not None for scope in Limits.model_fields)


def lower(first: Ceiling, second: Ceiling) -> Ceiling:
    """The ceiling that keeps both."""
    pairs = {name: (getattr(first, name), getattr(second, name)) for name in Ceiling.model_fields}
    return Ceiling(**{name: min((v for v in pair if v is not None), default=None) for name, pair in pairs.items()})


def _number(text: str) -> int | float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number
