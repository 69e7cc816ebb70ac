"""Bounding a text by the tokens of the model that will read it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

_PIECE = re.compile(r"[A-Za-z]+|[^\W_]|[^\s\w]|_")
_LETTERS_A_TOKEN = 4
_FIRST_OF_MANY = "\u0900"
"""Scripts from here on (Indic, Hangul, kana, Han) often take more than one token a character."""
_LONGEST_STEP_BACK = 30


class Tokens(Protocol):
    """How a model takes a text apart."""

    @property
    def around(self) -> int:
        """How many tokens it puts around every text by itself, >= 0."""
        ...

    def ends(self, text: str) -> Sequence[int]:
        """Where each token ends, in characters, ascending; no token, no end."""
        ...


class EstimatedTokens:
    """A guess on the safe side, for embedders whose tokeniser is not at hand: mostly more tokens than there are.

    One for four letters of a Latin word without accents, one for every other character, two from Devanagari on, none
    for white space.

    >>> EstimatedTokens().ends("Plum jam!")
    [4, 8, 9]
    """

    around = 2

    def ends(self, text: str) -> Sequence[int]:
        found: list[int] = []
        for piece in _PIECE.finditer(text):
            start, end = piece.span()
            if end - start > 1:
                found += [*range(start + _LETTERS_A_TOKEN, end, _LETTERS_A_TOKEN), end]
            else:
                found += [end] * (2 if text[start] >= _FIRST_OF_MANY else 1)
        return found


def cut_to_tokens(text: str, limit: int, tokens: Tokens) -> str:
    """The longest beginning of a text that a model reads as at most `limit` tokens, those around it included.

    It ends with a word, unless that would cost more than thirty characters; a text that fits comes back as it is. A
    limit that leaves no token gives an empty text.
    """
    room = limit - tokens.around
    if len(text) < room and text.isascii():
        return text  # no token is less than one such character
    while text:
        ends = tokens.ends(text)
        if len(ends) <= room:
            break
        # At least one character goes each time: tokens of one character share its end.
        text = _at_a_word(text, min(ends[room - 1], len(text) - 1)) if room > 0 else ""
    return text


def _at_a_word(text: str, end: int) -> str:
    """The text up to `end`, or up to the last white space shortly before it."""
    head = text[:end]
    if text[end].isspace():
        return head.rstrip()
    for place in range(end - 1, max(end - _LONGEST_STEP_BACK, 0), -1):
        if head[place].isspace():
            return head[:place].rstrip()
    return head.rstrip()
