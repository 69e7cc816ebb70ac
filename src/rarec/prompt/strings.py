"""Decoding the inside of a JSON string piece by piece."""

from __future__ import annotations

import re

from rarec.prompt.text import whole_characters

_SIMPLE = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HEX = frozenset("0123456789abcdefABCDEF")
_STOP = {'"': re.compile(r'["\\]'), "'": re.compile(r"['\\]")}


class StringDecoder:
    """What stands between two quotes, decoded as it arrives; pieces may split anywhere, also inside an escape.

    Wrong escapes do not stop it: an unknown one gives its own letter, a broken ``\\u`` or half of a surrogate pair
    gives U+FFFD. An escape that is not complete when the text ends gives nothing.
    """

    def __init__(self, quote: str = '"') -> None:
        self._stop = _STOP[quote]
        self._escape = ""
        self._high = 0
        self.closed = False

    def feed(self, text: str, start: int = 0) -> tuple[str, int]:
        """Decode from `start` to the closing quote or the end: (new characters, where it stopped)."""
        out: list[str] = []
        at = start
        while at < len(text) and not self.closed:
            if self._escape:
                at = self._continue_escape(text, at, out)
                continue
            stop = self._stop.search(text, at)
            end = stop.start() if stop else len(text)
            if end > at:
                self._flush(out)
                out.append(text[at:end])
            at = end
            if stop:
                at += 1
                if stop.group() == "\\":
                    self._escape = "\\"
                else:
                    self._flush(out)
                    self.closed = True
        return whole_characters("".join(out)), at

    def _flush(self, out: list[str]) -> None:
        if self._high:
            out.append("\ufffd")
            self._high = 0

    def _continue_escape(self, text: str, at: int, out: list[str]) -> int:
        char = text[at]
        if len(self._escape) == 1:
            if char == "u":
                self._escape = "\\u"
            else:
                self._flush(out)
                out.append(_SIMPLE.get(char, char))
                self._escape = ""
            return at + 1
        if char not in _HEX:
            self._flush(out)
            out.append("\ufffd")
            self._escape = ""
            return at
        self._escape += char
        if len(self._escape) == 6:
            self._code(int(self._escape[2:], 16), out)
            self._escape = ""
        return at + 1

    def _code(self, code: int, out: list[str]) -> None:
        if self._high and 0xDC00 <= code <= 0xDFFF:
            out.append(chr(0x10000 + ((self._high - 0xD800) << 10) + (code - 0xDC00)))
            self._high = 0
            return
        self._flush(out)
        if 0xD800 <= code <= 0xDBFF:
            self._high = code
        else:
            out.append(chr(code))
