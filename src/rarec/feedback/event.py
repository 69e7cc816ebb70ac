"""The noun of this room: one shown set and what somebody did with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite

from rarec.errors import InputError
from rarec.reward import Feedback
from rarec.types import Conversation


@dataclass(frozen=True, slots=True)
class FeedbackEvent:
    """One set that was shown in a conversation. A row of any table that has these columns can be one.

    Attributes:
        id: names the shown set; a later event of the same id is the same set with newer feedback.
        conversation: what was said before, mentions linked; its id is not empty, since splits and intervals go by it.
        feedback: the items in the order in which they were shown, and what was done with them.
        time: ISO 8601; empty if unknown. It is kept, not used: the order of events is that in which they come.
        policy: what chose and ordered the set, e.g. a bundle's name; empty if unknown.
        log_prob: log-probability of showing these items in this order, in nats, where a set was drawn; None if unknown.
        origin: where the event was read, for messages.
    Raises:
        InputError: an empty id, a time that is none, or a log-probability that is none.
    """

    id: str
    conversation: Conversation
    feedback: Feedback
    time: str = ""
    policy: str = ""
    log_prob: float | None = None
    origin: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.id.strip():
            raise InputError("the id of a feedback event is empty; give every shown set an id of its own")
        if not self.conversation.id.strip():
            raise InputError(f"the conversation of the feedback event {self.id!r} has no id; give it one")
        if self.log_prob is not None and not (isfinite(self.log_prob) and self.log_prob <= 0):
            raise InputError(
                f"the log_prob of the feedback event {self.id!r} is {self.log_prob!r}; it is a number up to 0, in "
                "nats, or left out"
            )
        if self.time:
            try:
                datetime.fromisoformat(self.time)
            except ValueError:
                raise InputError(
                    f"the time of the feedback event {self.id!r} is {self.time!r}; write it as 2026-11-20T18:30:00Z"
                ) from None

    @property
    def named(self) -> str:
        """For messages."""
        return f"{self.origin}, event {self.id!r}" if self.origin else f"event {self.id!r}"
