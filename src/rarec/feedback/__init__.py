"""What people did with what they were shown: events from a file or a database, made ready to learn from."""

from rarec.feedback.collecting import Collected, UsableEvent, collect_events
from rarec.feedback.event import FeedbackEvent
from rarec.feedback.lines import event_document, event_line, read_events

__all__ = [
    "Collected",
    "FeedbackEvent",
    "UsableEvent",
    "collect_events",
    "event_document",
    "event_line",
    "read_events",
]
