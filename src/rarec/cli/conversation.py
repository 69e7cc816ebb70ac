"""What the user hands over -> a conversation."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rarec.errors import InputError
from rarec.types import Conversation, ItemId, Mention, Sentiment, Turn

_ROLES = ("user", "assistant")
_SENTIMENTS: dict[str, Sentiment] = {"liked": "liked", "disliked": "disliked", "mentioned": "mentioned"}
_EXAMPLE = '[{"role": "user", "content": "Something like Alien?"}]'


def read_conversation(source: str) -> tuple[Turn, ...]:
    """The turns of a JSON file, or of stdin for ``-``: a list of ``{"role", "content" or "text"}``.

    Raises:
        InputError: the file cannot be read or has another shape; the message names the turn.
    """
    text = _read(source)
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{_shown(source)} is not JSON: {error}; a conversation is {_EXAMPLE}") from error
    if not isinstance(document, list):
        raise InputError(f"{_shown(source)} is no list but a {type(document).__name__}; a conversation is {_EXAMPLE}")
    return tuple(_turn(entry, number, source) for number, entry in enumerate(document, start=1))


def history_turn(entries: Sequence[str]) -> Turn:
    """A turn without words that mentions items: each entry is an id, with ``:liked`` or ``:disliked`` behind it.

    Raises:
        InputError: an id is empty.
    """
    mentions = []
    for entry in entries:
        item, colon, feeling = entry.rpartition(":")
        if not colon or feeling not in _SENTIMENTS:
            item, feeling = entry, "mentioned"
        if not item.strip():
            raise InputError(f"the history entry {entry!r} has no id; use ID, ID:liked or ID:disliked")
        mentions.append(Mention(ItemId(item), _SENTIMENTS[feeling]))
    return Turn("user", "", tuple(mentions))


def conversation_of(text: str | None, source: str | None, history: Sequence[str]) -> Conversation:
    """History first, then the turns of the file, then the text as the user's last turn; each may be missing.

    Raises:
        InputError: as `read_conversation` and `history_turn`.
    """
    turns = [history_turn(history)] if history else []
    if source is not None:
        turns += read_conversation(source)
    if text is not None:
        turns.append(Turn("user", text))
    return Conversation(tuple(turns))


def _read(source: str) -> str:
    try:
        return sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {_shown(source)}: {error.strerror}; give a JSON file, or - for stdin") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{_shown(source)} is not UTF-8 text: {error.reason} at byte {error.start}") from error


def _turn(entry: Any, number: int, source: str) -> Turn:
    where = f"turn {number} of {_shown(source)}"
    if not isinstance(entry, dict):
        raise InputError(f"{where} is no object but a {type(entry).__name__}; a conversation is {_EXAMPLE}")
    role, text = entry.get("role"), entry.get("content", entry.get("text"))
    if role not in _ROLES:
        raise InputError(f"{where} has the role {role!r}; use 'user' or 'assistant'")
    if not isinstance(text, str):
        raise InputError(f"{where} has no text: 'content' (or 'text') is {text!r}; it must be a string")
    return Turn(role, text)


def _shown(source: str) -> str:
    return "stdin" if source == "-" else repr(source)
