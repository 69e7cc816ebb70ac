"""A conversation -> constraints, by rules."""

from __future__ import annotations

from rarec.constraints.atoms import MAX_CHARACTERS
from rarec.constraints.merging import merged
from rarec.constraints.reading import TurnReader
from rarec.constraints.result import Constraints
from rarec.constraints.vocabulary import Vocabulary
from rarec.types import Conversation

MOST_CHARACTERS = 60_000
"""Of a conversation the newest user turns are read until so many characters are reached; the one that passes it is."""


def understand(conversation: Conversation, vocabulary: Vocabulary) -> Constraints:
    """What the user turns of a conversation ask for, refuse and take back, in order.

    What the assistant says never constrains. Spans of linked mentions are titles and are not read; of a turn that is
    not linked everything is. A text is read up to its first 20,000 characters, in time linear in them, and of a long
    conversation the newest `MOST_CHARACTERS` or so; any text is allowed, and an empty conversation asks for nothing.
    What cannot be enforced is told of the newest user turn only: it belongs to the answer to it.
    Values are the vocabulary's, so that the filters are valid for the catalogue that it was made of.
    """
    reader = TurnReader(vocabulary)
    events = []
    first = _first_read(conversation)
    for number, turn in enumerate(conversation.turns):
        if turn.role == "user" and number >= first:
            titles = [mention.span for mention in turn.mentions or () if mention.span is not None]
            events += reader.read(turn.text, number, titles)
    return merged(events).of_turn(newest_turn(conversation))


def newest_turn(conversation: Conversation) -> int:
    """The index of the user's last turn; -1 if there is none."""
    numbers = range(len(conversation.turns) - 1, -1, -1)
    return next((number for number in numbers if conversation.turns[number].role == "user"), -1)


def _first_read(conversation: Conversation) -> int:
    """The oldest turn that is read."""
    left = MOST_CHARACTERS
    for number in range(len(conversation.turns) - 1, -1, -1):
        if conversation.turns[number].role == "user":
            left -= min(len(conversation.turns[number].text), MAX_CHARACTERS)
            if left <= 0:
                return number
    return 0
