"""Making untrusted text safe to show to a model: one line, no control characters, no fences, bounded."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

ELLIPSIS = "…"

_SURROGATES = re.compile("[\ud800-\udfff]")
# < and > open and close the fences of a prompt; look-alikes keep the text readable and cannot close one.
_FENCES = str.maketrans({"<": "‹", ">": "›"})
# Zero-width joiners are part of emoji and of Persian and Indic spelling; other format characters only hide text.
_KEPT_FORMAT = frozenset("\u200c\u200d")


def whole_characters(text: str) -> str:
    """Replace lone surrogates, which no encoding can carry, by U+FFFD."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def one_line(text: str, *, limit: int) -> str:
    """`text` on one line, without control and hidden characters and fences, at most `limit` characters.

    Empty or blank text gives the empty string. Time is bounded by `limit`, not by the length of `text`.
    """
    return _one_line(text[: 4 * limit + 16], limit) if limit > 0 else ""


@lru_cache(maxsize=20_000)  # prompts show the same items again and again
def _one_line(start: str, limit: int) -> str:
    return _cut(_plain(start), limit)


def middle_cut(text: str, *, limit: int) -> str:
    """As `one_line`, but a long text loses its middle: people put the wish at either end of a message."""
    if len(text) > 8 * limit + 16:
        text = f"{text[: 4 * limit]} {text[-4 * limit :]}"
    return _middle_cut(text, limit)


@lru_cache(maxsize=1_000)  # a conversation is shown once to count its characters, and with many sets of candidates
def _middle_cut(text: str, limit: int) -> str:
    plain = _plain(text)
    if len(plain) <= limit:
        return plain
    if limit < 8:
        return _cut(plain, limit)
    head = (limit - 3) // 2
    return f"{plain[:head].rstrip()} {ELLIPSIS} {plain[head + 3 - limit :].lstrip()}"


def _plain(text: str) -> str:
    if not text.isprintable():
        text = "".join(map(_printable, text))
    return " ".join(text.split()).translate(_FENCES)


def _printable(char: str) -> str:
    category = unicodedata.category(char)
    if category in ("Cc", "Zl", "Zp", "Zs"):
        return " "
    if category == "Cf":
        return char if char in _KEPT_FORMAT else ""
    return "\ufffd" if category == "Cs" else char


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: max(limit - 1, 0)].rstrip() + ELLIPSIS[:limit]
