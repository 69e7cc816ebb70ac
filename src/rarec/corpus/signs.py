"""Signs that a text did not come through as it was meant, and which script it is written in."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_HTML = re.compile(
    r"</?[a-zA-Z][a-zA-Z0-9]{0,15}(?:\s[^<>]{0,300})?/?>|&(?:[a-zA-Z]{2,8}|#\d{2,6}|#x[0-9a-fA-F]{2,5});"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# A lead byte of UTF-8 and what follows it, as they look when read as Windows-1252 or Latin-1.
_MISREAD = re.compile(
    "[\u00c2-\u00f4]"
    "[\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013\u2014\u2018-\u201e\u2020-\u2022"
    "\u2026\u2030\u2039\u203a\u20ac\u2122]{1,3}"
)
_MEANT = ((0xA0, 0x17F), (0x370, 0x52F), (0x2010, 0x2122))
"""What such pairs stand for, if they are misread: Latin letters and signs, Greek and Cyrillic, punctuation."""
_SCRIPTS = frozenset(
    ("LATIN", "CYRILLIC", "GREEK", "ARABIC", "HEBREW", "DEVANAGARI", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI")
)
_READ = 200


def has_html(text: str) -> bool:
    """Whether a tag or a character reference is left in it.

    >>> [has_html(text) for text in ("A <i>fine</i> day", "Salt &amp; rye", "1 < 2 & 3 > 2", "I <3 you; R&D")]
    [True, True, False, False]
    """
    return ("<" in text or "&" in text) and _HTML.search(text) is not None


def has_mojibake(text: str) -> bool:
    """Whether UTF-8 was read as another encoding, or could not be read at all.

    >>> [has_mojibake(text) for text in ("AmÃ©lie", "itâ€™s", "\\ufffd", "Amélie", "SÃO PAULO", "«CAFÉ»")]
    [True, True, True, False, False, False]
    """
    if text.isascii():
        return False
    return "\ufffd" in text or any(_misread(match[0]) for match in _MISREAD.finditer(text))


def has_control_characters(text: str) -> bool:
    """Whether it has characters that nobody sees, other than tabs and line ends."""
    return _CONTROL.search(text) is not None


def script_of(text: str) -> str:
    """The script of most of its first letters: ``Latin``, ``Cyrillic``, ``CJK`` ... ``other``; empty without letters.

    >>> script_of("Salt and Rye"), script_of("Соль"), script_of("1984")
    ('Latin', 'Cyrillic', '')
    """
    head = text[:_READ]
    if head.isascii():
        return "Latin" if any(map(str.isalpha, head)) else ""
    found = Counter(_script(letter) for letter in head if letter.isalpha())
    return found.most_common(1)[0][0] if found else ""


def _script(letter: str) -> str:
    first = unicodedata.name(letter, "").partition(" ")[0]
    return (first if first == "CJK" else first.capitalize()) if first in _SCRIPTS else "other"


def _misread(characters: str) -> bool:
    for size in range(len(characters), 1, -1):
        for encoding in ("cp1252", "latin-1"):
            try:
                meant = characters[:size].encode(encoding).decode("utf-8")
            except UnicodeError:
                continue
            if any(low <= ord(meant[0]) <= high for low, high in _MEANT):
                return True
    return False
