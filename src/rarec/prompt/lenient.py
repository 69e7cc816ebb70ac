"""Reading what was meant as JSON: cut off, badly quoted, badly closed. Linear time, no recursion, never an error."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rarec.prompt.strings import StringDecoder

MAX_DEPTH = 32
"""Containers nested deeper are skipped."""

_TOKEN = re.compile(r"""[{}\[\]:,"']|[-+]?[0-9][0-9.eE+-]*|[A-Za-z_][A-Za-z0-9_]*""")
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_CLOSERS = "}]"


class _Builder:
    """A value under construction: a stack of open containers and, for each, the key that waits for its value."""

    def __init__(self) -> None:
        self.root: object = None
        self.stack: list[dict[str, object] | list[object]] = []
        self.keys: list[str | None] = []
        self.skipped = 0

    def open(self, container: dict[str, object] | list[object]) -> None:
        if self.skipped or len(self.stack) >= MAX_DEPTH:
            self.skipped += 1
            return
        if self.stack:
            self.put(container)
        else:
            self.root = container
        self.stack.append(container)
        self.keys.append(None)

    def close(self) -> bool:
        """Close the innermost container, whatever its bracket; True when the outermost one is closed."""
        if self.skipped:
            self.skipped -= 1
            return False
        self.stack.pop()
        self.keys.pop()
        return not self.stack

    def put(self, value: object) -> None:
        if self.skipped:
            return
        top = self.stack[-1]
        if isinstance(top, list):
            top.append(value)
        elif (key := self.keys[-1]) is not None:
            top.setdefault(key, value)  # the first of two equal keys: that is the one which was streamed
            self.keys[-1] = None
        elif isinstance(value, str):
            self.keys[-1] = value

    def next_entry(self) -> None:
        if not self.skipped:
            self.keys[-1] = None


def read_value(text: str, start: int) -> tuple[object, int]:
    """The object or list that opens at ``text[start]``, and the offset behind it.

    What is still open when the text ends is closed. Objects come as dict (the first of equal keys wins), lists as list,
    numbers of up to nine digits as int, others as float; a number that is none of these is None.
    """
    builder = _Builder()
    at, before = start, ""
    while token := _TOKEN.search(text, at):
        at, kind = token.end(), token.group()
        if kind == '"' or (kind == "'" and before in "{[,:"):
            decoder = StringDecoder(kind)
            value, at = decoder.feed(text, at)
            builder.put(value)
        elif kind in "{[":
            builder.open({} if kind == "{" else [])
        elif kind in _CLOSERS:
            if builder.close():
                return builder.root, at
        elif kind == ",":
            builder.next_entry()
        elif kind not in ":'":
            builder.put(_scalar(kind))
        before = kind
    return builder.root, len(text)


def _scalar(token: str) -> object:
    if token in _WORDS:
        return _WORDS[token]
    if not token[0].isdigit() and token[0] not in "+-":
        return token
    digits = token.lstrip("+-")
    if digits.isdigit():
        return int(token) if len(digits) <= 9 else None
    try:
        return float(token) if len(token) <= 32 else None
    except ValueError:
        return None


def flat(entries: list[object]) -> Iterator[object]:
    """Entries in order, those of nested lists too; without recursion, since nesting may be deep."""
    stack: list[Iterator[object]] = [iter(entries)]
    while stack:
        for entry in stack[-1]:
            if isinstance(entry, list):
                stack.append(iter(entry))
                break
            yield entry
        else:
            stack.pop()
