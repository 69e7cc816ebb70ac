"""Bounds on numbers that are given by hand -> filters: the values that lie within, as they are at that moment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rarec.constraints.vocabulary import Vocabulary
from rarec.errors import InputError
from rarec.types import Filters


@dataclass(frozen=True, slots=True)
class Bound:
    """What the numbers of an attribute may be.

    Attributes:
        low, high: as the catalogue writes its numbers, whatever they count; None is open.
        strict: the bounds themselves are outside.
    """

    attribute: str
    low: float | None = None
    high: float | None = None
    strict: bool = False


def bounded(filters: Filters, bounds: Iterable[Bound], vocabulary: Vocabulary) -> Filters:
    """Filters that hold to the bounds too; a value that is a range must lie inside. No bounds change nothing.

    Raises:
        InputError: the values of an attribute are no numbers, or none of them is within (the message says which there
            are).
    """
    any_of = dict(filters.any_of)
    for bound in bounds:
        if bound.attribute not in vocabulary.numeric:
            numeric = ", ".join(map(repr, vocabulary.numeric)) or "none"
            raise InputError(
                f"the attribute {bound.attribute!r} has no numbers to compare; those that have are: {numeric}. "
                f"Give values of others, e.g. {bound.attribute}=value,value"
            )
        passing = values_within(bound, vocabulary)
        if bound.attribute in any_of:
            given = {value.casefold() for value in any_of[bound.attribute]}
            passing = tuple(value for value in passing if value.casefold() in given)
        if not passing:
            spans = [span for _, span in vocabulary.spans(bound.attribute)]
            least, most = min(span.low for span in spans), max(span.high for span in spans)
            raise InputError(
                f"the filters leave no {bound.attribute!r}, whose numbers go from {least:g} to {most:g}; "
                "loosen one of them"
            )
        any_of[bound.attribute] = passing
    return replace(filters, any_of=any_of)


def values_within(bound: Bound, vocabulary: Vocabulary) -> tuple[str, ...]:
    """The values of its attribute that lie within; empty if none does, or if they are no numbers."""
    if bound.attribute not in vocabulary.numeric:
        return ()
    return tuple(m.value for m, span in vocabulary.spans(bound.attribute) if _within(span.low, span.high, bound))


def bound_label(bound: Bound) -> str:
    """For people: ``"price_eur at most 50"``."""
    low, high = bound.low, bound.high
    if low is not None and high is not None:
        return f"{bound.attribute} {low:g}-{high:g}"
    return f"{bound.attribute} at least {low:g}" if low is not None else f"{bound.attribute} at most {high:g}"


def _within(low: float, high: float, bound: Bound) -> bool:
    if bound.strict:
        return (bound.low is None or low > bound.low) and (bound.high is None or high < bound.high)
    return (bound.low is None or low >= bound.low) and (bound.high is None or high <= bound.high)
