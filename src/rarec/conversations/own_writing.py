"""Writing a data set in our own JSONL format, for those who convert their logs."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rarec.catalogue.validation import item_problem
from rarec.conversations.data_set import DataSetInfo
from rarec.conversations.own_format import INFO, ITEMS, NO_SPLITS
from rarec.errors import InputError
from rarec.files import atomic_write, make_folder, write_text
from rarec.types import Conversation, Item, ItemId, Mention, Turn


def write_jsonl(
    folder: str | Path,
    *,
    items: Iterable[Item],
    splits: Mapping[str, Iterable[Conversation]],
    name: str | None = None,
    info: DataSetInfo | None = None,
) -> None:
    """Write items.jsonl, one ``<split>.jsonl`` each, and data_set.toml if there is something to say.

    `JsonlSet` reads back what was given, item for item and turn for turn. Each file is written whole or not at
    all; what is in the folder already is replaced where it has the same name.

    Args:
        folder: made if it is not there.
        splits: split -> conversations; they are written as they come, one at a time.
    Raises:
        InputError: an item is not valid or comes twice, a conversation has no id or that of another one, a mention
            names no item or has a span outside its text, or a split has a name that no file can have.
        StoreError: the folder cannot be written.
    """
    path = Path(folder)
    for split in splits:
        if not split.replace("_", "").replace("-", "").isalnum() or f"{split}.jsonl" in NO_SPLITS:
            raise InputError(f"{split!r} is no name for a split; use letters, digits, _ and -, for example 'train'")
    make_folder(path)
    known: set[ItemId] = set()
    _write(path / ITEMS, _item_documents(items, known))
    for split, conversations in splits.items():
        _write(path / f"{split}.jsonl", _conversation_documents(conversations, known))
    if name is not None or info is not None:
        told = {} if info is None else {f: getattr(info, f) for f in ("title", "licence", "source", "note")}
        fields = {"name": name, **told}
        # A JSON text is a TOML text too, but for what is not ASCII.
        lines = (f"{field} = {json.dumps(text, ensure_ascii=False)}\n" for field, text in fields.items() if text)
        write_text(path / INFO, "".join(lines))


def _item_documents(items: Iterable[Item], known: set[ItemId]) -> Iterator[dict[str, Any]]:
    for item in items:
        if problem := item_problem(item):
            raise InputError(f"the item {item.id!r} is not valid: {problem}; correct it")
        if item.id in known:
            raise InputError(f"the item {item.id!r} comes twice; give every item once")
        known.add(item.id)
        yield _item_document(item)


def _item_document(item: Item) -> dict[str, Any]:
    document: dict[str, Any] = {"id": item.id, "title": item.title}
    if item.text:
        document["text"] = item.text
    if item.year is not None:
        document["year"] = item.year
    if item.attributes:
        document["attributes"] = {name: list(values) for name, values in item.attributes.items()}
    if item.popularity:
        document["popularity"] = item.popularity
    return document


def _conversation_documents(conversations: Iterable[Conversation], known: set[ItemId]) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for conversation in conversations:
        if not conversation.id.strip() or conversation.id in seen:
            raise InputError(f"the conversation id {conversation.id!r} is empty or comes twice; give each its own")
        seen.add(conversation.id)
        yield conversation_document(conversation, items=known)


def conversation_document(conversation: Conversation, *, items: Collection[ItemId] | None = None) -> dict[str, Any]:
    """A conversation as an object of the own format; `own_format.conversation_of` reads it back.

    Args:
        items: the ids that mentions may name; None allows all.
    Raises:
        InputError: a mention names another item, or has a span outside its text.
    """
    where = f"of the conversation {conversation.id!r}"
    turns = [_turn(turn, items, f"turn {at} {where}") for at, turn in enumerate(conversation.turns)]
    return {"id": conversation.id, "turns": turns}


def _turn(turn: Turn, known: Collection[ItemId] | None, where: str) -> dict[str, Any]:
    document: dict[str, Any] = {"role": turn.role, "text": turn.text}
    if turn.mentions is not None:
        document["mentions"] = [_mention(mention, turn.text, known, where) for mention in turn.mentions]
    return document


def _mention(mention: Mention, text: str, known: Collection[ItemId] | None, where: str) -> dict[str, Any]:
    if known is not None and mention.item not in known:
        raise InputError(f"{where} mentions {mention.item!r}, which is not among the items; add it")
    document: dict[str, Any] = {"item": mention.item}
    if mention.sentiment != "mentioned":
        document["sentiment"] = mention.sentiment
    if mention.span is not None:
        start, end = mention.span
        if not 0 <= start < end <= len(text):
            raise InputError(f"{where}: the span {mention.span!r} is not within the {len(text)} characters of its text")
        document["span"] = [start, end]
    return document


def _write(path: Path, documents: Iterable[dict[str, Any]]) -> None:
    with atomic_write(path) as file:
        for document in documents:
            line = json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"
            try:
                file.write(line.encode("utf-8"))
            except UnicodeEncodeError as error:
                raise InputError(
                    f"{str(path)!r}: {document['id']!r} has a character that UTF-8 cannot write: {error.reason}"
                ) from None
