"""Where a turn's text names the items that are annotated for it."""

from __future__ import annotations

import re
from collections.abc import Iterable

Span = tuple[int, int]
_YEAR = re.compile(r"\s*\((?:1[89]|20)\d\d\)\s*$")
_QUOTED = re.compile(r'"([^"\n]+)"')


def without_year(title: str) -> str:
    """The title without a year in parentheses at its end.

    >>> without_year("Plum Jam (1999)")
    'Plum Jam'
    """
    return _YEAR.sub("", title).strip()


class SpanFinder:
    """Gives out spans of one text, each character at most once, preferring what comes after the last span."""

    def __init__(self, text: str) -> None:
        lowered = text.lower()
        # A few characters change their length in lower case, which would shift every offset after them.
        self._text = lowered if len(lowered) == len(text) else text
        self._original = text
        self._taken = bytearray(len(text))
        self._places: dict[str, list[Span]] = {}
        self._after = 0

    def title(self, forms: Iterable[str]) -> Span | None:
        """The next place of the first of `forms` (without case, at word limits) that is still free, or None."""
        for form in forms:
            if form and (span := self._free(self._places_of(form.lower()))):
                return span
        return None

    def _places_of(self, form: str) -> list[Span]:
        """Where the form stands; a long text can name one title hundreds of times, so this is found once."""
        if form not in self._places:
            self._places[form] = _spans_of(form, self._text)
        return self._places[form]

    def quoted(self) -> Span | None:
        """The next free text in double quotes, without them."""
        return self._free([match.span(1) for match in _QUOTED.finditer(self._original)])

    def _free(self, spans: list[Span]) -> Span | None:
        spans[:] = [(start, end) for start, end in spans if 1 not in self._taken[start:end]]  # what is taken stays so
        if not spans:
            return None
        span = next((s for s in spans if s[0] >= self._after), spans[0])
        self._taken[span[0] : span[1]] = b"\1" * (span[1] - span[0])
        self._after = span[1]
        return span


def _spans_of(form: str, text: str) -> list[Span]:
    spans: list[Span] = []
    start = text.find(form)
    while start >= 0:
        end = start + len(form)
        if _is_limit(text, start, form[0]) and _is_limit(text, end, form[-1]):
            spans.append((start, end))
        start = text.find(form, start + 1)
    return spans


def _is_limit(text: str, at: int, edge: str) -> bool:
    """Whether a form whose outermost character is `edge` may begin or end at `at`: not inside a word."""
    if not edge.isalnum() or at in (0, len(text)):
        return True
    return not (text[at - 1].isalnum() and text[at].isalnum())
