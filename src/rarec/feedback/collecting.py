"""From events as they come, from any source, to those that say something about items of the catalogue."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from rarec.errors import InputError
from rarec.feedback.event import FeedbackEvent
from rarec.feedback.lines import event_line
from rarec.reward import Feedback
from rarec.types import ItemId

log = logging.getLogger(__name__)

AGAIN = "the same id again"
NO_PREFERENCE = "no preference among what was shown"
TOO_FEW = "fewer than two items left"
GONE = "shown items that the catalogue lacks"
NAMED = "shown items that the conversation names"


@dataclass(frozen=True, slots=True)
class UsableEvent:
    """An event that prefers some item of the catalogue to another.

    Attributes:
        event: as it came.
        feedback: on the items of the catalogue that the conversation does not name.
        places: where each of these was shown, from 1, rising; there may be gaps.
    """

    event: FeedbackEvent
    feedback: Feedback
    places: tuple[int, ...]

    @property
    def log_prob(self) -> float | None:
        """As logged; None also where an item was taken out, since it was another set that was drawn."""
        return self.event.log_prob if self.feedback.shown == self.event.feedback.shown else None


@dataclass(frozen=True, slots=True)
class Collected:
    """Events that can be learned from.

    Attributes:
        events: in the order of their first coming.
        left_out: why events were left out -> how many.
        taken_out: why items were taken out of events -> how many.
        total: events that came, repeated ones included.
        digest: sha256 over all that came, in order.
    """

    events: tuple[UsableEvent, ...]
    left_out: Mapping[str, int]
    taken_out: Mapping[str, int]
    total: int
    digest: str


def collect_events(events: Iterable[FeedbackEvent], *, items: Collection[ItemId]) -> Collected:
    """Keep the last of each id, take out items that cannot be recommended, and leave out what expresses no preference.

    Args:
        events: from `read_events`, a database, or anywhere; gone through once.
        items: ids of the catalogue.
    Raises:
        InputError: an id comes again with another conversation or other shown items, so that it names two sets.
    """
    known = items if isinstance(items, (set, frozenset)) else frozenset(items)
    last: dict[str, FeedbackEvent] = {}
    hashed, total = hashlib.sha256(), 0
    for event in events:
        hashed.update(event_line(event).encode("ascii") + b"\n")
        total += 1
        _check_same_set(last.get(event.id), event)
        last[event.id] = event
    left_out, taken_out = Counter({AGAIN: total - len(last)}), Counter[str]()
    usable: list[UsableEvent] = []
    for event in last.values():
        found = _usable(event, known, taken_out)
        if len(found.feedback.shown) < 2:
            left_out[TOO_FEW] += 1
        elif len({found.feedback.grade(item) for item in found.feedback.shown}) < 2:
            left_out[NO_PREFERENCE] += 1
        else:
            usable.append(found)
    if taken_out:
        log.warning("taken out of feedback events: %s", _counted(taken_out))
    return Collected(tuple(usable), +left_out, +taken_out, total, hashed.hexdigest())


def _check_same_set(before: FeedbackEvent | None, event: FeedbackEvent) -> None:
    if before is None:
        return
    what = "conversation" if before.conversation != event.conversation else "shown"
    if before.conversation != event.conversation or before.feedback.shown != event.feedback.shown:
        raise InputError(
            f"{event.named}: the id is already that of {before.named}, which has another {what!r}; an id names one "
            "shown set, and comes again only with newer feedback on it: give each set an id of its own"
        )


def _usable(event: FeedbackEvent, known: Collection[ItemId], taken_out: Counter[str]) -> UsableEvent:
    named = {mention.item for mention in event.conversation.mentions()}
    places: list[int] = []
    for place, item in enumerate(event.feedback.shown, start=1):
        if item not in known:
            taken_out[GONE] += 1
        elif item in named:
            taken_out[NAMED] += 1
        else:
            places.append(place)
    if len(places) == len(event.feedback.shown):
        return UsableEvent(event, event.feedback, tuple(places))
    kept = tuple(event.feedback.shown[place - 1] for place in places)
    own = frozenset(kept)
    whole = event.feedback
    feedback = replace(
        whole, shown=kept, clicked=whole.clicked & own, liked=whole.liked & own, refused=whole.refused & own
    )
    return UsableEvent(event, feedback, tuple(places))


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in counts.items())
