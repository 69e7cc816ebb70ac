"""INSPIRED dialogues -> conversations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rarec.conversations.data_set import Watch
from rarec.conversations.lines import FirstLines, Record, json_records
from rarec.conversations.redial import ROLES
from rarec.conversations.spans import SpanFinder, without_year
from rarec.types import Conversation, ItemId, Mention, Turn


def read_inspired(path: str | Path, *, watch: Watch | None = None) -> Iterator[Conversation]:
    """The dialogues of a JSONL file (.zst and .gz too) in order; each message is a turn of its own.

    Mentions come in order of appearance, those whose title the text does not spell as annotated (span None)
    last; items that could not be mapped are left out, and so is an item that is annotated again for the same
    turn without a place of its own. INSPIRED has no sentiments: all are "mentioned".

    Raises:
        InputError: there is no such file, a line is wrong, or an id comes twice; file, line and field are named.
        MissingExtra: the file is .zst and zstandard is not installed.
    """
    watch, seen = watch or Watch(), FirstLines()
    for record in json_records(path, progress=watch.progress):
        name = record.name("conv_id")
        seen.add(record, "conv_id", name)
        yield Conversation(tuple(_turn(turn, watch) for turn in record.records("turns")), id=name)


def _turn(record: Record, watch: Watch) -> Turn:
    items = record.items("items")
    names = _names(record, len(items))
    for item in items:
        watch.mention(mapped=item is not None)
    text = record.text("text")
    return Turn(record.choice("role", ROLES), text, placed_mentions(text, list(zip(items, names, strict=True))))


def placed_mentions(text: str, named: Sequence[tuple[ItemId | None, str]]) -> tuple[Mention, ...]:
    """Items with the names to look for -> mentions in order of appearance, those without a place last.

    An item that is None takes its place in the text, so that no other gets it, and is left out; so is an item
    that comes again without a place of its own.
    """
    finder = SpanFinder(text)
    mentions: list[Mention] = []
    # Long titles first: "It" must not take a piece of "It Follows".
    for item, name in sorted(named, key=lambda pair: -len(pair[1])):
        span = finder.title((name, _without_article(name)))
        if item is not None and (span is not None or all(m.item != item for m in mentions)):
            mentions.append(Mention(item, span=span))
    return tuple(sorted(mentions, key=lambda m: len(text) if m.span is None else m.span[0]))


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
