"""Lists and objects inside a cell: as JSON, or as Python writes them. Nothing in them is run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

MAX_DEPTH = 50
_LONGEST_NUMBER = 400

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>[urURbB]?(?:'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+"))
      | (?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<word>[A-Za-z]+)
      | (?P<mark>[\[\]{}(),:])
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_QUOTED = re.compile(
    r"""'(?P<simple>[^'\\"]*+)'
      | (?P<text>'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+")
      | (?P<word>\b(?:None|True|False)\b)""",
    re.VERBOSE | re.DOTALL,
)
_JSON_WORDS = {"None": "null", "True": "true", "False": "false"}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "\n": ""}
_WORDS = {
    "None": None, "null": None, "nan": None, "NaN": None, "True": True, "true": True, "False": False, "false": False,
}  # fmt: skip
_CLOSING = {"[": "]", "(": ")", "{": "}"}


def literal(text: str) -> Any:
    """A value of lists, objects, texts, numbers, true, false and nothing.

    >>> literal("[{'id': 18, 'name': 'Drama'}]")
    [{'id': 18, 'name': 'Drama'}]

    Raises:
        ValueError: the text is no such value, or one of more than `MAX_DEPTH` levels.
    """
    try:
        return json.loads(text, parse_constant=_no_number)
    except ValueError:
        pass
    except RecursionError:
        raise ValueError("too deep") from None
    try:
        return json.loads(
            _QUOTED.sub(_as_json, text), parse_constant=_no_number
        )  # four times as fast as the parser, for nearly every cell
    except (ValueError, RecursionError):
        return _Parser(text).whole()


def _no_number(_: str) -> None:
    """NaN and infinity are nothing."""


def _as_json(found: re.Match[str]) -> str:
    if (simple := found["simple"]) is not None:
        return f'"{simple}"'
    if (word := found["word"]) is not None:
        return _JSON_WORDS[word]
    return json.dumps(_text(found["text"]))


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._scan()
        self._kind, self._token = next(self._tokens)

    def whole(self) -> Any:
        value = self._value(0)
        if self._kind != "end":
            raise self._wrong()
        return value

    def _scan(self) -> Iterator[tuple[str, str]]:
        at = 0
        while True:
            found = _TOKEN.match(self._text, at)
            if found is None:
                raise ValueError(f"what stands at character {at + 1} is no value: {self._text[at : at + 20]!r}")
            kind = found.lastgroup or "end"
            yield kind, found[kind]
            at = found.end()
            if kind == "end":
                while True:
                    yield kind, ""

    def _next(self) -> None:
        self._kind, self._token = next(self._tokens)

    def _wrong(self) -> ValueError:
        return ValueError(f"{self._token!r} does not belong there" if self._token else "it ends too early")

    def _value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ValueError("too deep")
        kind, token = self._kind, self._token
        if kind == "mark" and token in _CLOSING:
            self._next()
            return self._object(depth) if token == "{" else self._list(_CLOSING[token], depth)
        if kind == "text":
            self._next()
            return _text(token)
        if kind == "number" and len(token) <= _LONGEST_NUMBER:
            self._next()
            return float(token) if set(token) & set(".eE") else int(token)
        if kind == "word" and token in _WORDS:
            self._next()
            return _WORDS[token]
        raise self._wrong()

    def _list(self, closing: str, depth: int) -> list[Any]:
        values = []
        while self._token != closing or self._kind != "mark":
            values.append(self._value(depth + 1))
            self._comma(closing)
        self._next()
        return values

    def _object(self, depth: int) -> dict[Any, Any]:
        values = {}
        while self._token != "}" or self._kind != "mark":
            key = self._value(depth + 1)
            if isinstance(key, (list, dict)) or (self._kind, self._token) != ("mark", ":"):
                raise self._wrong()
            self._next()
            values[key] = self._value(depth + 1)
            self._comma("}")
        self._next()
        return values

    def _comma(self, closing: str) -> None:
        """Behind a value comes a comma or the end."""
        if self._kind != "mark" or self._token not in (",", closing):
            raise self._wrong()
        if self._token == ",":
            self._next()


def _text(token: str) -> str:
    body = token.lstrip("urURbB")[1:-1]
    return _ESCAPE.sub(_unescaped, body) if "\\" in body else body


def _unescaped(found: re.Match[str]) -> str:
    for group, base in ((1, 16), (2, 16), (3, 16), (4, 8)):
        if found[group] is not None:
            code = int(found[group], base)
            return chr(code) if code < 0x110000 else "�"
    return _ESCAPED.get(found[5], found[0] if found[5] not in "'\"\\" else found[5])
