"""A model's answer, which is untrusted text -> a ranking of what was offered, and a report of what was repaired."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from rarec.errors import InputError
from rarec.prompt.lenient import flat, read_value
from rarec.prompt.text import one_line, whole_characters
from rarec.types import ParseReport

_RANKING_KEYS = ("ranking", "ranked", "order", "recommendations", "recommended", "items", "numbers", "results", "list")
_REPLY_KEYS = ("reply", "response", "message", "answer", "text")
_NUMBER_KEYS = ("number", "candidate", "item", "id", "index", "no", "n")
_WHY_KEYS = ("why", "reason", "because", "explanation")

# Every pattern is bounded: no text makes one of them slow.
_BRACKETED = re.compile(r"\[\s{0,4}#?([0-9]{1,9})\s{0,4}\]")
_NUMBERED = re.compile(r"\s{0,8}#?([0-9]{1,9})\s{0,4}(?:[.):]|$)")
_NAMED = re.compile(r"\s{0,8}(?:candidate|item|number|no\.?)\s{0,4}#?([0-9]{1,9})\b", re.IGNORECASE)
_LIST_LINE = re.compile(r"[\s*#(\-•]{0,8}([0-9]{1,9})\s{0,4}[.):\-]\s{0,4}(?:#?([0-9]{1,9})\s{0,8}$)?", re.MULTILINE)
_DIGITS = re.compile(r"[0-9]{1,9}")
_OBJECT = re.compile(r"""\{\s{0,64}["']""")
_LIST = re.compile(r"""\[\s{0,64}["'{\[0-9]""")

_ATTEMPTS = 8
"""How many places of an answer are tried as the start of its JSON."""

_MAX_CHARS = 200_000
"""Of text that is not valid JSON only so much is read."""

_WHY_CHARS = 300


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """What a model's answer means.

    Attributes:
        order: exactly n different positions into the candidates, 0-based, best first.
        reply: the text for the user as the model wrote it, with numbers in brackets (see `reply_text`); may be empty.
        whys: position -> the model's reason on one line, for those of `order` that have one.
        report: what was repaired.
    """

    order: tuple[int, ...]
    reply: str
    whys: Mapping[int, str]
    report: ParseReport


@dataclass(slots=True)
class _Found:
    entries: list[object]
    reply: str = ""
    malformed: bool = True


@dataclass(slots=True)
class _Tally:
    offered: int
    order: list[int] = field(default_factory=list[int])
    seen: set[int] = field(default_factory=set[int])
    whys: dict[int, str] = field(default_factory=dict[int, str])
    repeated: int = 0
    unknown: int = 0
    exact: bool = True


def parse(text: str, *, offered: int, n: int) -> ParsedAnswer:
    """Read a ranking out of any text; never raises because of the text.

    Clean is one JSON object ``{"ranking": [n different numbers from 1 to offered], "reply": text}``. Read all the same,
    and reported: JSON within prose or code fences, cut off, badly quoted, or nested; numbers as strings (``"3"``,
    ``"[3] Title"``) or in objects (``{"number": 3, "why": ".."}``); numbers in brackets in plain text; numbered lines.
    Entries that mean no offered candidate and repeated ones are dropped, more than n are cut, and empty places are
    filled in the order in which the candidates were offered. Plain text without JSON is itself the reply.

    Args:
        offered: number of candidates that were shown, numbered from 1.
        n: how many were asked for.
    Raises:
        InputError: not 1 <= n <= offered.
    """
    if not 1 <= n <= offered:
        raise InputError(f"n must be between 1 and the {offered} candidates offered, got {n!r}")
    found = _strict(text) or _embedded(text[:_MAX_CHARS]) or _plain(text[:_MAX_CHARS])
    tally = _Tally(offered, exact=not any(isinstance(entry, list) for entry in found.entries))
    for entry in flat(found.entries):
        _count(entry, tally)
    order = tally.order[:n]
    missing = n - len(order)
    chosen = set(order)
    rest = (position for position in range(offered) if position not in chosen)
    order += [next(rest) for _ in range(missing)]
    report = ParseReport(
        missing=missing,
        repeated=tally.repeated,
        unknown=tally.unknown,
        malformed=found.malformed or not tally.exact or len(tally.order) > n,
    )
    whys = {position: tally.whys[position] for position in order if position in tally.whys}
    return ParsedAnswer(tuple(order), whole_characters(found.reply), whys, report)


def _first_wins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value: dict[str, object] = {}
    for key, member in pairs:
        value.setdefault(key, member)
    return value


def _short_int(digits: str) -> int | None:
    return int(digits) if len(digits) <= 10 else None


def _strict(text: str) -> _Found | None:
    """The whole text as JSON; None if it is not, or holds no ranking."""
    try:
        value = json.loads(text, object_pairs_hook=_first_wins, parse_int=_short_int)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        ranking, reply = value.get("ranking"), value.get("reply")
        if isinstance(ranking, list) and isinstance(reply, str):
            return _Found(ranking, reply, malformed=False)
    return _from_value(value)


def _from_value(value: object) -> _Found | None:
    """A ranking from JSON of another shape than asked: other names, no reply, wrapped in another object."""
    if isinstance(value, list):
        return _Found(value) if any(_number(entry) is not None for entry in flat(value)) else None
    queue = [value]
    for level in queue:
        if not isinstance(level, dict):
            continue
        ranking = next((r for key in _RANKING_KEYS if (r := _as_list(level.get(key))) is not None), None)
        if ranking is not None:
            replies = (level.get(key) for key in _REPLY_KEYS)
            return _Found(ranking, next((r for r in replies if isinstance(r, str)), ""))
        if len(queue) < 100:
            queue.extend(level.values())
    if isinstance(value, dict) and isinstance(reply := value.get("reply"), str):
        return _Found([], reply)
    return None


def _as_list(ranking: object) -> list[object] | None:
    if isinstance(ranking, list):
        return ranking
    if isinstance(ranking, dict):
        return list(ranking.values())
    if isinstance(ranking, str):
        return [int(digits) for digits in _DIGITS.findall(ranking)] or None
    return [ranking] if _number(ranking) is not None else None


def _embedded(text: str) -> _Found | None:
    """The first JSON object in the text that holds a ranking, else the first list of two numbers or more."""
    best: _Found | None = None
    for value in _values(text, _OBJECT):
        found = _from_value(value)
        if found and (found.entries or best is None):
            best = found
        if best and best.entries:
            return best
    if best:
        return best
    for value in _values(text, _LIST):
        if isinstance(value, list) and sum(_number(entry) is not None for entry in flat(value)) >= 2:
            return _Found(value, _prose(text))
    return None


def _values(text: str, opening: re.Pattern[str]) -> Iterator[object]:
    at = 0
    for _ in range(_ATTEMPTS):
        start = opening.search(text, at)
        if start is None:
            return
        value, end = read_value(text, start.start())
        yield value
        # What is never closed swallows the rest: look again inside it.
        at = end if end < len(text) else start.end()


def _plain(text: str) -> _Found:
    if numbers := _BRACKETED.findall(text):
        return _Found([int(digits) for digits in numbers], _prose(text))
    lines = [m for line in text.splitlines()[:10_000] if (m := _LIST_LINE.match(line))]
    if len(lines) < 2 and not any(map(str.isalpha, text)):
        return _Found([int(digits) for digits in _DIGITS.findall(text)])
    return _Found(_line_numbers(lines), _prose(text))


def _line_numbers(lines: list[re.Match[str]]) -> list[object]:
    """From ``7. Title`` the number 7; from lines ``1. 7``, where the first only counts, the second one."""
    counting = [int(m.group(1)) for m in lines] == list(range(1, len(lines) + 1))
    group = 2 if counting and all(m.group(2) for m in lines) else 1
    return [int(m.group(group)) for m in lines]


def _prose(text: str) -> str:
    """The text itself if it is written for people, else nothing."""
    stripped = text.strip()
    is_code = stripped.startswith(("{", "```")) or (_LIST.match(stripped) and not _BRACKETED.match(stripped))
    return "" if is_code or not any(map(str.isalpha, stripped)) else stripped


def _count(entry: object, tally: _Tally) -> None:
    number = _number(entry)
    if type(entry) is not int:
        tally.exact = False
    if number is None or not 1 <= number <= tally.offered:
        tally.unknown += 1
        return
    position = number - 1
    if position in tally.seen:
        tally.repeated += 1
        return
    tally.seen.add(position)
    tally.order.append(position)
    if isinstance(entry, dict):
        why = next((w for key in _WHY_KEYS if isinstance(w := entry.get(key), str)), "")
        if why := one_line(why, limit=_WHY_CHARS):
            tally.whys[position] = why


def _number(entry: object) -> int | None:
    """The candidate number that an entry means; None if it means none. True is not 1."""
    if isinstance(entry, dict):
        named = (entry[key] for key in _NUMBER_KEYS if key in entry)
        entry = next(named, None)
    if isinstance(entry, bool):
        return None
    if isinstance(entry, int):
        return entry
    if isinstance(entry, float):
        return int(entry) if entry.is_integer() and abs(entry) < 1e9 else None
    if isinstance(entry, str):
        short = entry[:200]
        found = _BRACKETED.search(short) or _NUMBERED.match(short) or _NAMED.match(short)
        return int(found.group(1)) if found else None
    return None
