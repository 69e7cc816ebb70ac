"""Requests -> questions within the limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rarec.service.chat_documents import ChatIn, ChatMessage
from rarec.service.documents import FiltersIn
from rarec.service.problems import Wrong, invalid
from rarec.service.recommend_documents import KnownItem, RecommendIn
from rarec.service.talking import Question
from rarec.settings import ServeSettings
from rarec.types import Conversation, ItemId, Mention, Turn

READ_ROLES = ("user", "assistant")


def asked_of(request: RecommendIn, limits: ServeSettings) -> Question:
    """History first, as a turn without words, then the messages.

    Raises:
        Problem: 422, more than the limits allow.
    """
    known = [KnownItem(id=entry) if isinstance(entry, str) else entry for entry in request.history]
    history = [Turn("user", "", tuple(Mention(ItemId(k.id), k.sentiment) for k in known))] if known else []
    turns = [*history, *(Turn(m.role, m.content) for m in request.messages)]
    if len(known) > limits.max_turns:
        raise invalid(
            Wrong("history", f"has {len(known)} items, at most {limits.max_turns} are taken; send the newest")
        )
    found = _within(turns, request.n, request.filters, limits, "n")
    return replace(found, words=request.words, without=tuple(request.without))


def chat_asked(request: ChatIn, limits: ServeSettings) -> tuple[Question, list[str]]:
    """The question, and the roles of the messages that were not read.

    Instructions of whoever wrote the front end are no wishes of the user, and could be anybody's: system, developer
    and tool messages count for the limits and change nothing else.

    Raises:
        Problem: 422, something is asked for that cannot be had, or more than the limits allow.
    """
    if wrong := [*_impossible(request)]:
        raise invalid(*wrong)
    texts = [_text(message, f"messages.{place}") for place, message in enumerate(request.messages)]
    ignored = list(dict.fromkeys(str(m.role) for m in request.messages if m.role not in READ_ROLES))
    everything = [Turn("user", text) for text in texts]
    _within(everything, request.rarec.n, request.rarec.filters, limits, "rarec.n")
    turns = [
        Turn("user" if message.role == "user" else "assistant", text)
        for message, text in zip(request.messages, texts, strict=True)
        if message.role in READ_ROLES
    ]
    own = request.rarec
    if own.session is not None and not any(turn.role == "user" for turn in turns):
        raise invalid(Wrong("messages", "in a session the last message of the user is answered; send it"))
    found = _within(turns, own.n, own.filters, limits, "rarec.n")
    return replace(found, session=own.session or "", words=own.words, without=tuple(own.without)), ignored


def _impossible(request: ChatIn) -> list[Wrong]:
    found = []
    if request.stream_options is not None and not request.stream:
        found.append(Wrong("stream_options", "is only for stream = true"))
    if request.tool_choice not in (None, "none", "auto"):
        found.append(Wrong("tool_choice", "tools are never called; leave it out, or use 'none' or 'auto'"))
    kind = request.response_format
    if kind is not None and not (isinstance(kind, dict) and kind.get("type") == "text"):
        found.append(Wrong("response_format", "the reply is text; leave it out, items are in the field rarec"))
    return found


def _text(message: ChatMessage, where: str) -> str:
    if not isinstance(message.content, list):
        return message.content or ""
    for place, part in enumerate(message.content):
        if part.type not in ("text", "refusal") or (part.type == "text" and part.text is None):
            raise invalid(Wrong(f"{where}.content.{place}", f"parts of type {part.type!r} cannot be read; send text"))
    return "\n".join(part.text or "" for part in message.content)


def _within(turns: Sequence[Turn], n: int, filters: FiltersIn, limits: ServeSettings, n_where: str) -> Question:
    wrong = []
    if n > limits.max_n:
        wrong.append(Wrong(n_where, f"must be at most {limits.max_n}"))
    if len(turns) > limits.max_turns:
        wrong.append(Wrong("messages", f"has {len(turns)} turns, at most {limits.max_turns} are taken; send the last"))
    characters = sum(len(turn.text) for turn in turns)
    if characters > limits.max_characters:
        told = f"has {characters} characters, at most {limits.max_characters} are taken; send the last turns only"
        wrong.append(Wrong("messages", told))
    if wrong:
        raise invalid(*wrong)
    return Question(Conversation(tuple(turns)), n, filters.filters(), bounds=filters.bounds())
