"""Our own JSONL format: a folder with items.jsonl and one file of conversations a split; see docs/data.md."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from rarec.catalogue.fields import Rejection
from rarec.catalogue.importing import read_items
from rarec.conversations.data_set import DataSet, DataSetInfo, Watch, ordered_splits
from rarec.conversations.folder import packed, splits_in
from rarec.conversations.lines import Progress, Record, json_records
from rarec.errors import InputError
from rarec.types import Conversation, Item, ItemId, Mention, Role, Sentiment, Turn

ITEMS = "items.jsonl"
INFO = "data_set.toml"
NO_SPLITS = (ITEMS, "interactions.jsonl")
"""Files of a folder that hold no conversations; the second is for training alone."""
_INFO_FIELDS = ("name", "title", "licence", "source", "note")
_ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant"}
_SENTIMENTS: Mapping[str, Sentiment] = {"liked": "liked", "disliked": "disliked", "mentioned": "mentioned"}


class JsonlSet(DataSet):
    """A data set of the own format; every ``<split>.jsonl`` of the folder is a split, but for `NO_SPLITS`."""

    def __init__(self, folder: str | Path) -> None:
        path = Path(folder)
        if not path.is_dir():
            raise InputError(f"no folder {str(path)!r}; give the folder with {ITEMS} and the splits")
        self._described = _described(path / INFO)
        super().__init__(self._described.get("name") or path.resolve().name, path)

    @property
    def info(self) -> DataSetInfo:
        told = self._described
        return DataSetInfo(
            title=told.get("title") or self.name,
            licence=told.get("licence") or "not stated",
            source=told.get("source") or "not stated",
            note=told.get("note", ""),
        )

    def splits(self) -> tuple[str, ...]:
        return ordered_splits(set(self._files))

    def file(self, split: str) -> Path:
        """The conversations of a split. Raises InputError if there is no such split."""
        self.require(split)
        return self._files[split]

    def files(self, split: str) -> tuple[Path, ...]:
        return self.file(split), self._items_file

    def items(self) -> list[Item]:
        return self._items

    def read(self, split: str, watch: Watch) -> Iterator[Conversation]:
        known = {item.id for item in self._items}
        for conversation in read_jsonl(self._files[split], items=known, progress=watch.progress):
            for _ in conversation.mentions():
                watch.mention(mapped=True)
            yield conversation

    @cached_property
    def _files(self) -> Mapping[str, Path]:
        found = splits_in(self.folder, ".jsonl")
        return {split: path for split, path in found.items() if f"{split}.jsonl" not in NO_SPLITS}

    @cached_property
    def _items_file(self) -> Path:
        path = packed(self.folder / ITEMS)
        if path is None:
            raise InputError(f"no file {str(self.folder / ITEMS)!r}; it holds the catalogue, one item a line")
        return path

    @cached_property
    def _items(self) -> list[Item]:
        items: list[Item] = []
        for row in read_items(self._items_file, format="jsonl"):
            if isinstance(row, Rejection):
                raise InputError(f"{str(self._items_file)!r} {row}; correct or remove this line")
            items.append(row)
        return items


def read_jsonl(
    path: str | Path, *, items: Collection[ItemId] | None = None, progress: Progress | None = None
) -> Iterator[Conversation]:
    """The conversations of one file (.jsonl, .zst and .gz too) in order, one a line.

    Args:
        items: the ids that mentions may name; None allows all.
        progress: called with (bytes read, bytes in all).
    Raises:
        InputError: there is no such file, or a line is wrong: an unknown field, an id that comes twice, an item
            that `items` lacks, a span outside its text; file, line and field are named.
    """
    lines: dict[str, int] = {}
    for record in json_records(path, progress=progress):
        conversation = conversation_of(record, items=items)
        name = conversation.id
        if name in lines:
            raise record.error("id", f"{name!r} is already that of line {lines[name]}")
        lines[name] = record.line
        yield conversation


def conversation_of(record: Record, *, items: Collection[ItemId] | None = None) -> Conversation:
    """The conversation that one object of the own format holds. Args, Raises: as `read_jsonl`."""
    record.only(("id", "turns"))
    return Conversation(tuple(_turn(turn, items) for turn in record.records("turns")), id=record.name("id"))


def _turn(record: Record, items: Collection[ItemId] | None) -> Turn:
    record.only(("role", "text", "mentions"))
    text = record.text("text")
    mentions = None
    if record.has("mentions"):
        mentions = tuple(_mention(mention, text, items) for mention in record.records("mentions"))
    return Turn(record.choice("role", _ROLES), text, mentions)


def _mention(record: Record, text: str, items: Collection[ItemId] | None) -> Mention:
    record.only(("item", "sentiment", "span"))
    item = ItemId(record.name("item"))
    if items is not None and item not in items:
        raise record.error("item", f"{item!r} is not in {ITEMS}; add it there")
    sentiment = record.choice("sentiment", _SENTIMENTS) if record.has("sentiment") else "mentioned"
    return Mention(item, sentiment, _span(record, text) if record.has("span") else None)


def _span(record: Record, text: str) -> tuple[int, int]:
    span = record.entries("span")
    whole = [value for value in span if isinstance(value, int) and not isinstance(value, bool)]
    if len(whole) != len(span) or len(whole) != 2 or not 0 <= whole[0] < whole[1] <= len(text):
        raise record.error("span", f"{span!r} is not [start, end] within the {len(text)} characters of the text")
    return whole[0], whole[1]


def _described(path: Path) -> dict[str, str]:
    """What data_set.toml says; nothing if there is none."""
    if not path.is_file():
        return {}
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror}; check the file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{str(path)!r} is not valid TOML: {error}") from error
    for field, value in told.items():
        if field not in _INFO_FIELDS:
            raise InputError(f"{str(path)!r}: unknown field {field!r}; use {', '.join(_INFO_FIELDS)}")
        if not isinstance(value, str):
            raise InputError(f"{str(path)!r}: {field} is not text: {value!r}; put it in quotes")
    return told
