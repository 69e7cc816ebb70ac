"""A conversation as a sequence of tokens: START, then each message followed by the items it mentions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rarec.types import Conversation, ItemId, Role, Sentiment, Turn

ITEM, MESSAGE, START = 0, 1, 2
"""Kinds of token; every sequence opens with START, so an empty conversation has a query too."""
ROLE_CODE: dict[Role, int] = {"user": 0, "assistant": 1}
SENTIMENT_CODE: dict[Sentiment, int] = {"mentioned": 0, "liked": 1, "disliked": 2}
MESSAGE_CHARACTERS = 1000
STAND_IN = "it"


@dataclass(frozen=True, slots=True)
class Event:
    """One token before its vector is known; `item` is set for items, `text` for messages."""

    kind: int
    role: int = 0
    sentiment: int = 0
    item: ItemId | None = None
    text: str = ""


OPENING = Event(START)


def message_text(turn: Turn) -> str:
    """A turn's words with every linked title replaced by "it"; titles that overlap count as one.

    The items enter as tokens of their own; what is left says how they are spoken of. Long messages keep
    their last 1,000 characters, where the request usually is. May be empty.
    """
    parts: list[str] = []
    done = 0
    for start, end in sorted(m.span for m in turn.mentions or () if m.span is not None):
        if start >= done:
            parts += [turn.text[done:start], STAND_IN]
        done = max(done, end)
    text = " ".join([*parts, turn.text[done:]])
    return " ".join(text.split())[-MESSAGE_CHARACTERS:]


def turn_events(turn: Turn) -> list[Event]:
    """The tokens of one turn; none for an empty one."""
    role = ROLE_CODE[turn.role]
    text = message_text(turn)
    events = [Event(MESSAGE, role, text=text)] if text else []
    return events + [Event(ITEM, role, SENTIMENT_CODE[m.sentiment], m.item) for m in turn.mentions or ()]


def felt_about(conversation: Conversation) -> dict[ItemId, Sentiment]:
    """Each mentioned item, in order of first mention, with what was last felt about it; "mentioned" if nothing was."""
    felt: dict[ItemId, Sentiment] = {}
    for mention in conversation.mentions():
        if mention.sentiment != "mentioned" or mention.item not in felt:
            felt[mention.item] = mention.sentiment
    return felt


def recommending_turns(
    conversations: Iterable[Conversation],
) -> Iterator[tuple[Conversation, tuple[ItemId, ...]]]:
    """What was said before each assistant's turn with new items, and those items."""
    for conversation in conversations:
        seen: set[ItemId] = set()
        for at, turn in enumerate(conversation.turns):
            mentioned = dict.fromkeys(m.item for m in turn.mentions or ())
            new = tuple(i for i in mentioned if i not in seen)
            if new and turn.role == "assistant":
                yield Conversation(conversation.turns[:at], id=conversation.id), new
            seen |= mentioned.keys()


def conversation_events(conversation: Conversation) -> list[Event]:
    """The tokens of a conversation; an empty one is just START."""
    return [OPENING, *(event for turn in conversation.turns for event in turn_events(turn))]


def by_length(lengths: Sequence[int], batch: int) -> Iterator[list[int]]:
    """Places of sequences in batches of neighbours in length, the shortest first, so that little is padding.

    >>> list(by_length([5, 1, 4], 2))
    [[1, 2], [0]]
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    for start in range(0, len(order), batch):
        yield order[start : start + batch]
