"""The state of the service in a database: keys, sessions, turns, feedback and spend; see docs/state.md."""

from rarec.state.database import StateDatabase
from rarec.state.events import add_events, events_of
from rarec.state.exporting import export_session
from rarec.state.keys import LOCAL, add_key, find_key, has_keys, list_keys, local_key, revoke_key
from rarec.state.ledger import (
    Account,
    CeilingReached,
    ceilings_for,
    expire,
    release,
    reserve,
    reserved,
    service_day,
    settle,
    spent,
    tidy,
)
from rarec.state.limits import in_money, lower, parse_limits
from rarec.state.overview import AnswerOf, DayFigures, Overview, read_overview, recent_answers
from rarec.state.records import (
    Ceiling,
    Event,
    Key,
    Kind,
    Limits,
    NewTurn,
    Session,
    SessionPage,
    ShownItem,
    StoredTurn,
)
from rarec.state.sessions import (
    create_session,
    find_session,
    forget_session,
    forget_unused,
    page_sessions,
    touch_session,
)
from rarec.state.talk import Felt, SessionLine, Talk, drop_constraints, read_talk, recent_sessions
from rarec.state.turn_rows import turn_document
from rarec.state.turns import add_turns, conversation_of, list_turns

__all__ = [
    "LOCAL",
    "Account",
    "AnswerOf",
    "Ceiling",
    "CeilingReached",
    "DayFigures",
    "Event",
    "Felt",
    "Key",
    "Kind",
    "Limits",
    "NewTurn",
    "Overview",
    "Session",
    "SessionLine",
    "SessionPage",
    "ShownItem",
    "StateDatabase",
    "StoredTurn",
    "Talk",
    "add_events",
    "add_key",
    "add_turns",
    "ceilings_for",
    "conversation_of",
    "create_session",
    "drop_constraints",
    "events_of",
    "expire",
    "export_session",
    "find_key",
    "find_session",
    "forget_session",
    "forget_unused",
    "has_keys",
    "in_money",
    "list_keys",
    "list_turns",
    "local_key",
    "lower",
    "page_sessions",
    "parse_limits",
    "read_overview",
    "read_talk",
    "recent_answers",
    "recent_sessions",
    "release",
    "reserve",
    "reserved",
    "revoke_key",
    "service_day",
    "settle",
    "spent",
    "tidy",
    "touch_session",
    "turn_document",
]
