"""Feedback events as JSON lines; see docs/feedback.md."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rarec.conversations.lines import Progress, Record, json_records
from rarec.conversations.own_format import conversation_of
from rarec.conversations.own_writing import conversation_document
from rarec.errors import InputError
from rarec.feedback.event import FeedbackEvent
from rarec.reward import Feedback
from rarec.types import ItemId

log = logging.getLogger(__name__)

FIELDS = ("id", "conversation", "shown", "clicked", "liked", "refused", "time", "policy", "log_prob")


def read_events(path: str | Path, *, progress: Progress | None = None) -> Iterator[FeedbackEvent]:
    """The events of a file (.jsonl, .zst and .gz too) in order, one a line; blank lines are skipped.

    Items may be of any catalogue, and an id may come again: `collect_events` sees to both. A last line that a kill cut
    off is passed over with a warning in the log.

    Args:
        progress: called with (bytes read, bytes in all).
    Raises:
        InputError: there is no such file, or a line is wrong: no JSON, an unknown or missing field, an item that is
            clicked, liked or refused but not shown, or is shown twice; file, line and field are named.
    """

    def torn(line: int) -> None:
        log.warning("%s line %d has no end and is no event: a kill cut it off; it is passed over", path, line)

    for record in json_records(path, progress=progress, on_torn=torn):
        yield _event(record)


def event_document(event: FeedbackEvent) -> dict[str, Any]:
    """An event as `read_events` reads it; what is empty or unknown is left out, sets of items are sorted.

    Raises:
        InputError: a mention has a span outside its text.
    """
    feedback = event.feedback
    document: dict[str, Any] = {
        "id": event.id,
        "conversation": conversation_document(event.conversation),
        "shown": list(feedback.shown),
    }
    for name in ("clicked", "liked", "refused"):
        if items := getattr(feedback, name):
            document[name] = sorted(items)
    if event.time:
        document["time"] = event.time
    if event.policy:
        document["policy"] = event.policy
    if event.log_prob is not None:
        document["log_prob"] = event.log_prob
    return document


def event_line(event: FeedbackEvent) -> str:
    """One line, in ASCII, without its end; the same event gives the same line. Raises as `event_document`."""
    return json.dumps(event_document(event), ensure_ascii=True, allow_nan=False)


def _event(record: Record) -> FeedbackEvent:
    record.only(FIELDS)
    name = record.name("id")
    conversation = conversation_of(record.record("conversation"))
    shown = tuple(_items(record, "shown"))
    clicked, liked, refused = (
        frozenset(_items(record, field)) if record.has(field) else frozenset[ItemId]()
        for field in ("clicked", "liked", "refused")
    )
    time, policy = (record.text(field) if record.has(field) else "" for field in ("time", "policy"))
    log_prob = _number(record, "log_prob") if record.has("log_prob") else None
    origin = f"{str(record.path)!r} {record.unit} {record.line}"
    try:
        feedback = Feedback(shown, clicked, liked, refused)
        return FeedbackEvent(name, conversation, feedback, time, policy, log_prob, origin)
    except InputError as error:
        raise InputError(f"{origin}: {error}") from None


def _items(record: Record, field: str) -> Iterator[ItemId]:
    for at, item in enumerate(record.items(field)):
        if item is None:
            raise record.error(f"{field}[{at}]", "is null, and no item")
        yield item


def _number(record: Record, field: str) -> float:
    value = record.get(field)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise record.error(field, f"is not a number: {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise record.error(field, "is too large a number") from None
