"""What an owner wants to know about all keys together: figures, days, and the last answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, case, func, select

from rarec.llm.budget import Spend
from rarec.state.database import StateDatabase
from rarec.state.records import StoredTurn
from rarec.state.stored import us_of
from rarec.state.tables import accounts, events, sessions, turns
from rarec.state.turn_rows import stored_turn

_DAY_US = 86_400_000_000
_MOST_TIMED = 5000
"""Latencies are of so many answers, the newest."""


@dataclass(frozen=True, slots=True)
class DayFigures:
    """One day, in UTC.

    Attributes:
        turns: answers that are kept, those of sessions.
        degraded: those without a language model.
        spend: of all turns, kept or not.
    """

    day: str
    turns: int
    degraded: int
    spend: Spend
    likes: int
    refuses: int


@dataclass(frozen=True, slots=True)
class Overview:
    """Figures since a moment; `sessions` is how many there are at all.

    Attributes:
        latency_ms: of whole turns: 50 and 99 in a hundred took no longer; None without turns.
        days: those with an answer, a call of a model or feedback, oldest first.
    """

    sessions: int
    latency_ms: tuple[float, float] | None
    days: tuple[DayFigures, ...]


@dataclass(frozen=True, slots=True)
class AnswerOf:
    """An answer, with whose it is."""

    session: str
    key: str
    stored: StoredTurn


def read_overview(database: StateDatabase, *, since: datetime) -> Overview:
    """All keys together."""
    after = us_of(since)
    with database.reading() as connection:
        number: int = connection.execute(select(func.count()).select_from(sessions)).scalar_one()
        answered, felt = _answered(connection, after), _felt(connection, after)
        booked = _booked(connection, since.astimezone(UTC).date().isoformat())
        newest = select(turns.c.timings_ms).where(turns.c.role == "assistant", turns.c.created_us >= after)
        timings = connection.execute(newest.order_by(turns.c.created_us.desc()).limit(_MOST_TIMED)).scalars().all()
    found = []
    for day in sorted({*answered, *felt, *booked}):
        counts, likes = answered.get(day, (0, 0)), felt.get(day, {})
        spend = booked.get(day, Spend())
        found.append(DayFigures(day, *counts, spend, likes.get("like", 0), likes.get("refuse", 0)))
    return Overview(number, _latency(timings), tuple(found))


def recent_answers(database: StateDatabase, *, limit: int) -> tuple[AnswerOf, ...]:
    """The last answers of all keys, the newest first, at most `limit`."""
    query = select(turns, sessions.c.key_id).join(sessions, turns.c.session_id == sessions.c.id)
    newest = query.where(turns.c.role == "assistant").order_by(turns.c.created_us.desc(), turns.c.session_id)
    with database.reading() as connection:
        rows = connection.execute(newest.limit(limit)).all()
    return tuple(AnswerOf(row.session_id, row.key_id, stored_turn(row)) for row in rows)


def _answered(connection: Connection, after: int) -> dict[str, tuple[int, int]]:
    day = (turns.c.created_us // _DAY_US).label("day")
    degraded = func.sum(case((turns.c.degraded, 1), else_=0)).label("degraded")
    query = select(day, func.count().label("turns"), degraded)
    kept = query.where(turns.c.role == "assistant", turns.c.created_us >= after).group_by(day)
    return {_date(row.day): (row.turns, int(row.degraded)) for row in connection.execute(kept)}


def _booked(connection: Connection, first: str) -> dict[str, Spend]:
    """What all keys together took; see `service_day`, whose accounts are named by the date alone."""
    spent = (accounts.c[f"spent_{unit}"] for unit in ("calls", "tokens", "picodollars"))
    query = select(accounts.c.name, *spent).where(
        accounts.c.scope == "day", accounts.c.name >= first, func.length(accounts.c.name) == len(first)
    )
    return {name: Spend(*units) for name, *units in connection.execute(query) if any(units)}


def _felt(connection: Connection, after: int) -> dict[str, dict[str, int]]:
    day = (events.c.received_us // _DAY_US).label("day")
    query = select(day, events.c.kind, func.count().label("events")).where(
        events.c.received_us >= after, events.c.kind.in_(("like", "refuse"))
    )
    found: dict[str, dict[str, int]] = {}
    for row in connection.execute(query.group_by(day, events.c.kind)):
        found.setdefault(_date(row.day), {})[row.kind] = row.events
    return found


def _date(day: int) -> str:
    """Of a day, counted since 1970."""
    return datetime.fromtimestamp(day * _DAY_US // 1_000_000, UTC).date().isoformat()


def _latency(timings: Sequence[Mapping[str, float]]) -> tuple[float, float] | None:
    """By the nearest rank."""
    took = sorted(t["total"] for t in timings if t.get("total") is not None)
    if not took:
        return None
    return took[math.ceil(0.5 * len(took)) - 1], took[math.ceil(0.99 * len(took)) - 1]
