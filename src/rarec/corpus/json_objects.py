"""The objects of a JSON text one at a time: a list is never held, and a broken object is stepped over."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from rarec.catalogue.validation import shortened

_CHUNK_BYTES = 1 << 18
_BETWEEN = re.compile(r"[\s,\[\]\ufeff]*")
_PARTS = re.compile(r'"(?:[^"\\]++|\\.)*+(?P<open>\Z|\\\Z)?"?|[{}]', re.DOTALL)
_UNDECODED = re.compile("[\udc80-\udcff]")
_NEAR_END = 12
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Broken:
    """Something that is no object.

    Attributes:
        line: where it begins, from 1.
        last: nothing behind it can be read.
    """

    line: int
    reason: str
    remedy: str
    last: bool = False


Found = tuple[int, Mapping[str, Any]] | Broken


def objects_in(file: BinaryIO, *, encoding: str = "utf-8", max_chars: int) -> Iterator[list[Found]]:
    """Objects with the lines where they begin, some at a time, as they come.

    They may stand one a line, in one list, or between commas; nothing else is looked at.

    Args:
        max_chars: an object that is longer is stepped over without being kept, to the next line that begins with one.
    Raises:
        What `file` raises.
    """
    decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
    text, line = "", 1
    enough = 0  # characters from which on it is worth while to look again for the end of a long object
    too_long: Broken | None = None
    while True:
        chunk = file.read(_CHUNK_BYTES)
        text += decoder.decode(chunk, final=not chunk)
        found: list[Found] = []
        if too_long is not None:
            at = text.find("\n{")
            if at >= 0 or not chunk:
                found.append(replace(too_long, last=at < 0))
                too_long = None
            used = at + 1 if at >= 0 else len(text.rstrip("\n"))
            line += text.count("\n", 0, used)
            text = text[used:]
        if too_long is None and (len(text) >= min(enough, max_chars) or not chunk):
            more, used, line = _complete(text, line, last=not chunk)
            found += more
            text = text[used:]
            enough = 0 if used else 2 * len(text)
            if len(text) > max_chars:
                reason = f"an object is longer than {max_chars:,} characters: {shortened(text)}"
                too_long = Broken(line, reason, "a bracket or a quote is missing there; correct it")
        yield found
        if not chunk or (found and isinstance(found[-1], Broken) and found[-1].last):
            return


def _complete(text: str, line: int, *, last: bool) -> tuple[list[Found], int, int]:
    """The objects that are complete, how many characters they take, and the line behind them."""
    found: list[Found] = []
    at, doubtful = 0, _UNDECODED.search(text) is not None
    while True:
        start = _begin(text, at)
        line += text.count("\n", at, start)
        at = start
        if at == len(text):
            return found, at, line
        one, end = _one(text, at, line, last=last, doubtful=doubtful)
        if one is None:
            return found, at, line
        found.append(one)
        line += text.count("\n", at, end)
        at = end


def _begin(text: str, at: int) -> int:
    between = _BETWEEN.match(text, at)
    return at if between is None else between.end()


def _one(text: str, at: int, line: int, *, last: bool, doubtful: bool) -> tuple[Found | None, int]:
    """What begins at a place, and its end; None if its end has not come yet."""
    if text[at] != "{":
        end = text.find("{", at)
        if end < 0:
            if not last and len(text) - at < _CHUNK_BYTES:
                return None, at
            end = len(text)
        return Broken(line, f"not a JSON object: {shortened(text[at:end])}", "delete it"), end
    try:
        value, end = _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError) as error:
        return _broken(text, at, line, error, last=last)
    if doubtful and _UNDECODED.search(text, at, end):
        what = f"not valid text in the encoding of the file: {shortened(text[at:end])}"
        return Broken(line, what, "save the file as UTF-8, or name its encoding in the recipe"), end
    return (line, value), end


def _broken(
    text: str, at: int, line: int, error: ValueError | RecursionError, *, last: bool
) -> tuple[Broken | None, int]:
    """What is wrong with the object that begins at a place, and where to go on; None if its end may yet come."""
    ends = [end for end in (_end(text, at),) if end is not None]
    told = error.pos if isinstance(error, json.JSONDecodeError) and "Unterminated" not in error.msg else len(text)
    # What the end of the text cuts off is told there. A new line that begins with a bracket is behind the object.
    if (last or told < len(text) - _NEAR_END) and (next_line := text.find("\n{", at + 1)) >= 0:
        ends.append(next_line)
    if ends:
        reason = f" ({error.msg})" if isinstance(error, json.JSONDecodeError) else ", or too deep"
        what = f"not valid JSON{reason}: {shortened(text[at : min(ends)])}"
        return Broken(line, what, "correct the object or delete it"), min(ends)
    if not last:
        return None, at
    what = f"ends in the middle of an object: {shortened(text[at:])}"
    return Broken(line, what, "take this dump again, and compare its size", last=True), len(text)


def _end(text: str, at: int) -> int | None:
    """Behind the bracket that closes the one at a place; None if there is none."""
    depth = 0
    for part in _PARTS.finditer(text, at):
        if part[0] == "{":
            depth += 1
        elif part[0] == "}":
            depth -= 1
            if not depth:
                return part.end()
        elif part["open"] is not None:
            return None
    return None
