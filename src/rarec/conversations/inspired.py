"""INSPIRED dialogues -> conversations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rarec.conversations.lines import Record, json_records
from rarec.conversations.redial import ROLES
from rarec.conversations.spans import SpanFinder, without_year
from rarec.types import Conversation, Mention, Turn


def read_inspired(path: str | Path) -> Iterator[Conversation]:
    """The dialogues of a JSONL file (.zst and .gz too) in order; each message is a turn of its own.

    Mentions come in order of appearance, those whose title the text does not spell as annotated (span None)
    last; items that could not be mapped are left out, and so is an item that is annotated again for the same
    turn without a place of its own. INSPIRED has no sentiments: all are "mentioned".

    Raises:
        InputError: there is no such file, or a line is wrong; file, line and field are named.
        MissingExtra: the file is .zst and zstandard is not installed.
    """
    for record in json_records(path):
        turns = tuple(_turn(turn) for turn in record.records("turns"))
        yield Conversation(turns, id=record.name("conv_id"))


def _turn(record: Record) -> Turn:
    text = record.text("text")
    items = record.items("items")
    names = _names(record, len(items))
    finder = SpanFinder(text)
    mentions: list[Mention] = []
    # Long titles first: "It" must not take a piece of "It Follows".
    for at in sorted(range(len(items)), key=lambda i: -len(names[i])):
        item, span = items[at], finder.title((names[at], _without_article(names[at])))
        if item is not None and (span is not None or all(m.item != item for m in mentions)):
            mentions.append(Mention(item, span=span))
    mentions.sort(key=lambda m: len(text) if m.span is None else m.span[0])
    return Turn(record.choice("role", ROLES), text, tuple(mentions))


def _names(record: Record, count: int) -> list[str]:
    """What to look for in the text, for each item: `movie_names` where they are aligned, else the titles."""
    titles = [name or "" for name in record.names("titles")] if record.has("titles") else [""] * count
    if len(titles) != count:
        raise record.error("titles", f"has {len(titles)} entries, items has {count}")
    names = [name or "" for name in record.names("movie_names")] if record.has("movie_names") else []
    # Automatic annotation added titles without names: only lists of equal length belong together.
    aligned = names if len(names) == count else titles
    return [without_year(name) for name in aligned]


def _without_article(name: str) -> str:
    first, _, rest = name.partition(" ")
    return rest if first.casefold() in ("the", "a", "an") and len(rest) > 3 else ""
