"""A ranking task -> messages and the JSON schema of the answer."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from string import Template
from typing import Any

from rarec.errors import InputError
from rarec.prompt.template import Labels, Limits, PromptTemplate, TextsTemplate, TitlesTemplate
from rarec.prompt.text import ELLIPSIS, middle_cut, one_line
from rarec.types import LINK, Conversation, Item, ItemId, Message, RankingTask, Sentiment

MAX_CHARS = 24_000
"""About 6,000 tokens of English: fits the smallest contexts in use beside the answer."""

_LEAST_TURN = 40


def render(
    task: RankingTask,
    *,
    template: str | Path | PromptTemplate = "default",
    language: str = "",
    max_chars: int = MAX_CHARS,
) -> tuple[Message, ...]:
    """The messages that ask a model to rank `task.candidates` and to reply.

    Candidate i is shown as ``[i + 1] Title (year)`` with a few attributes and the start of its text. All text from
    users and the catalogue stands between fences, on one line, without control characters; it is filled in once and
    never read as a template. To stay within `max_chars` characters in all, candidates lose their texts, then their
    attributes (if the conversation would get less than a quarter), then the oldest turns go, then the middle of the
    last one. Candidates are never dropped.

    Args:
        template: a packaged name, the path of a file, or a template.
        language: of the reply, e.g. ``"French"``; empty means that of the user's last message.
    Raises:
        InputError: no candidates, `n` out of range, or not even the titles fit into `max_chars`.
        SettingsError: the template is missing or not valid.
    """
    check_task(task)
    chosen = PromptTemplate.load(template)
    values = {
        "n": str(task.n),
        "count": str(len(task.candidates)),
        "language": one_line(language, limit=60) or chosen.labels.language,
        "preferences": _preferences(task, chosen) or chosen.labels.nothing,
        "conversation": "",
        "candidates": "",
    }
    spare = max_chars - sum(len(m.content) for m in _fill(chosen, values))
    wanted = _conversation_size(task.conversation, chosen, enough=max_chars)
    for limits in _less_and_less(chosen.limits):
        values["candidates"] = _candidates(task, limits)
        rest = spare - len(values["candidates"])
        if rest >= min(wanted, max_chars // 4):
            break
    if rest < _LEAST_TURN:
        rest += len(values["preferences"])
        values["preferences"] = ""
    if rest < min(wanted, _LEAST_TURN):
        raise InputError(
            f"a prompt with {len(task.candidates)} candidates does not fit into max_chars={max_chars}; "
            f"it needs about {max_chars - rest + _LEAST_TURN}: raise max_chars or offer fewer candidates"
        )
    values["conversation"] = _conversation(task.conversation, chosen, room=rest)
    return _fill(chosen, values)


def render_titles(
    task: RankingTask,
    *,
    kind: str = "items",
    template: str | Path | TitlesTemplate = "default",
    max_chars: int = MAX_CHARS,
) -> tuple[Message, ...]:
    """The messages that ask a model to name `task.n` titles from memory; candidates of the task are not shown.

    The conversation and what is known of the user's taste stand there as in `render`; if `max_chars` is short, the
    oldest turns go, then the preferences.

    Args:
        kind: what is recommended, in the plural, e.g. ``"books"``.
        template: a packaged name, the path of a file, or a template.
    Raises:
        InputError: `n` is less than 1, or the conversation gets no room within `max_chars`.
        SettingsError: the template is missing or not valid.
    """
    if task.n < 1:
        raise InputError(f"n must be at least 1, got {task.n!r}")
    chosen = TitlesTemplate.load(template)
    values = {
        "n": str(task.n),
        "kind": one_line(kind, limit=60) or "items",
        "preferences": _preferences(task, chosen) or chosen.labels.nothing,
        "conversation": "",
    }
    rest = max_chars - sum(len(m.content) for m in _fill(chosen, values))
    wanted = min(_conversation_size(task.conversation, chosen, enough=max_chars), _LEAST_TURN)
    if rest < wanted:
        rest += len(values["preferences"])
        values["preferences"] = ""
    if rest < wanted:
        raise InputError(f"the prompt does not fit into max_chars={max_chars}; it needs {wanted - rest} more")
    values["conversation"] = _conversation(task.conversation, chosen, room=rest)
    return _fill(chosen, values)


def titles_schema(n: int) -> dict[str, Any]:
    """The JSON schema of an answer to `render_titles`: ``recommendations``, exactly n titles.

    Raises:
        InputError: n < 1.
    """
    if n < 1:
        raise InputError(f"n must be at least 1, got {n!r}")
    titles = {"type": "array", "items": {"type": "string"}, "minItems": n, "maxItems": n}
    return {
        "type": "object",
        "properties": {"recommendations": titles},
        "required": ["recommendations"],
        "additionalProperties": False,
    }


def answer_schema(task: RankingTask) -> dict[str, Any]:
    """The JSON schema of the answer: ``ranking``, exactly n numbers from 1 to the number of candidates, and ``reply``.

    The ranking comes first. The model then writes its reply knowing what it ranked, so the reply can speak of it; the
    user waits only for some n numbers before the reply streams; and an answer cut off by the token limit loses the end
    of a sentence and not the ranking. (That numbers differ cannot be said in the subset of JSON schema that providers
    take; `parse` sees to it.)

    Raises:
        InputError: no candidates, or `n` out of range.
    """
    check_task(task)
    number = {"type": "integer", "minimum": 1, "maximum": len(task.candidates)}
    return {
        "type": "object",
        "properties": {
            "ranking": {"type": "array", "items": number, "minItems": task.n, "maxItems": task.n},
            "reply": {"type": "string"},
        },
        "required": ["ranking", "reply"],
        "additionalProperties": False,
    }


def check_task(task: RankingTask) -> None:
    """Refuse a task that no model could answer, before anything is paid for.

    Raises:
        InputError: no candidates, or `n` out of range.
    """
    if not task.candidates:
        raise InputError("a ranking task has no candidates; loosen the filters or add items to the catalogue")
    if not 1 <= task.n <= len(task.candidates):
        raise InputError(f"n must be between 1 and the {len(task.candidates)} candidates, got {task.n!r}")


def label(item: Item, *, title_chars: int = 120) -> str:
    """``Title (year)`` on one safe line; without the parentheses when the year is not known."""
    title = one_line(item.title, limit=title_chars)
    return title if item.year is None else f"{title} ({item.year})"


def _fill(template: TextsTemplate, values: dict[str, str]) -> tuple[Message, ...]:
    return (
        Message("system", Template(template.system).substitute(values)),
        Message("user", Template(template.user).substitute(values)),
    )


def _less_and_less(limits: Limits) -> Iterable[Limits]:
    yield limits
    yield limits.model_copy(update={"text_chars": 0})
    yield limits.model_copy(update={"text_chars": 0, "attributes": 0})
    yield limits.model_copy(update={"text_chars": 0, "attributes": 0, "title_chars": min(limits.title_chars, 60)})


def _candidates(task: RankingTask, limits: Limits) -> str:
    return "\n".join(f"[{i}] {_describe(c.item, limits)}" for i, c in enumerate(task.candidates, start=1))


def _describe(item: Item, limits: Limits) -> str:
    parts = [label(item, title_chars=limits.title_chars)]
    if limits.attributes and limits.values:
        shown = [(name, values) for name, values in item.attributes.items() if values and name != LINK]
        shown = shown[: limits.attributes]
        parts += [_attribute(name, tuple(values[: limits.values]), limits.value_chars) for name, values in shown]
    if text := one_line(item.text, limit=limits.text_chars):
        parts.append(text)
    return " | ".join(parts)


@lru_cache(maxsize=20_000)
def _attribute(name: str, values: tuple[str, ...], value_chars: int) -> str:
    listed = ", ".join(one_line(value, limit=value_chars) for value in values)
    return f"{one_line(name, limit=40)}: {listed}"


def _preferences(task: RankingTask, template: TextsTemplate) -> str:
    """One line for each feeling that somebody showed; the last word on an item counts, the latest items stay."""
    felt: dict[ItemId, Sentiment] = {}
    for mention in task.conversation.mentions():
        before = felt.pop(mention.item, "mentioned")
        felt[mention.item] = before if mention.sentiment == "mentioned" else mention.sentiment
    named: dict[Sentiment, str] = {
        "liked": template.labels.liked,
        "disliked": template.labels.disliked,
        "mentioned": template.labels.mentioned,
    }
    lines = []
    for sentiment, word in named.items():
        ids = [i for i, s in felt.items() if s == sentiment and i in task.mentioned]
        if shown := ids[-template.limits.preferences :] if template.limits.preferences else []:
            titles = "; ".join(label(task.mentioned[i], title_chars=template.limits.title_chars) for i in shown)
            lines.append(f"{word}: {titles}")
    return "\n".join(lines)


def _lines(conversation: Conversation, template: TextsTemplate, *, limit: int) -> Iterable[str]:
    """Turns as lines, the newest first; empty ones are left out."""
    labels: Labels = template.labels
    for turn in reversed(conversation.turns):
        if text := middle_cut(turn.text, limit=limit):
            yield f"{labels.user if turn.role == 'user' else labels.assistant}: {text}"


def _conversation_size(conversation: Conversation, template: TextsTemplate, *, enough: int) -> int:
    """Characters that the whole conversation would take; counting stops at `enough`."""
    size = 0
    for line in _lines(conversation, template, limit=template.limits.turn_chars):
        size += len(line) + 1
        if size >= enough:
            break
    return size or len(template.labels.nothing)


def _conversation(conversation: Conversation, template: TextsTemplate, *, room: int) -> str:
    """As many of the newest turns as fit into `room` characters, oldest first."""
    kept: list[str] = []
    used = len(ELLIPSIS) + 1
    dropped = False
    for line in _lines(conversation, template, limit=template.limits.turn_chars):
        if used + len(line) + 1 > room:
            dropped = True
            break
        kept.append(line)
        used += len(line) + 1
    if dropped and not kept:
        longest = max(len(template.labels.user), len(template.labels.assistant)) + 2
        kept = list(_lines(conversation, template, limit=max(room - longest, 8)))[:1]
        return kept[0][:room]
    if dropped:
        kept.append(ELLIPSIS)
    return "\n".join(reversed(kept)) or template.labels.nothing[:room]
