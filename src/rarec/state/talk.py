"""What a session knows when its next turn begins: what was said, what people felt, what they took back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select, update

from rarec.state.database import StateDatabase
from rarec.state.events import verdicts_of
from rarec.state.sessions import own_session
from rarec.state.stored import document, time_of
from rarec.state.tables import events, sessions, turns
from rarec.state.turn_rows import mentions_of
from rarec.types import ItemId, Sentiment, Turn

MOST_DROPPED = 500
_TITLE_CHARACTERS = 80
_FELT: dict[str, Sentiment] = {"like": "liked", "refuse": "disliked"}


@dataclass(frozen=True, slots=True)
class Felt:
    """The last word on an item that was shown.

    Attributes:
        turn: number of the turn that showed it last among those that something was said of.
        sentiment: None where it is only known that it was seen.
    """

    item: ItemId
    turn: int
    sentiment: Sentiment | None


@dataclass(frozen=True, slots=True)
class Talk:
    """A session as it stands.

    Attributes:
        turns: what was said, in order; the first has number 1.
        felt: liked, refused and seen items, in the order in which that was first said.
        dropped: ids of constraints that were read from words and taken back.
    """

    id: str
    turns: tuple[Turn, ...]
    felt: tuple[Felt, ...]
    dropped: frozenset[str]


@dataclass(frozen=True, slots=True)
class SessionLine:
    """A session in a list.

    Attributes:
        turns: how many.
        title: beginning of the first message of the user; empty if there is none.
    """

    id: str
    created: datetime
    used: datetime
    turns: int
    title: str


def read_talk(database: StateDatabase, key: str, session: str) -> Talk:
    """Everything the next turn of a session hangs on, of one moment. Raises UnknownSession."""
    with database.reading() as connection:
        own = own_session(connection, key, session)
        said = select(turns.c.role, turns.c.text, turns.c.mentions).where(turns.c.session_id == session)
        written = connection.execute(said.order_by(turns.c.number)).all()
        query = select(events).where(events.c.session_id == session).order_by(events.c.number)
        found = connection.execute(query).all()
    spoken = tuple(Turn(row.role, row.text, mentions_of(row.mentions)) for row in written)
    return Talk(own.id, spoken, _felt(found), frozenset(own.dropped or ()))


def drop_constraints(database: StateDatabase, key: str, session: str, ids: Collection[str]) -> None:
    """Remember constraints that were taken back; of more than `MOST_DROPPED` the newest. Raises UnknownSession."""
    with database.writing() as connection:
        own = own_session(connection, key, session, lock=True)
        kept = list(dict.fromkeys((*(own.dropped or ()), *sorted(ids))))[-MOST_DROPPED:]
        connection.execute(update(sessions).where(sessions.c.id == own.id).values(dropped=document(kept)))


def recent_sessions(database: StateDatabase, key: str, *, limit: int) -> tuple[SessionLine, ...]:
    """The sessions of a key, the newest first, at most `limit` (>= 1)."""
    of_it = turns.c.session_id == sessions.c.id
    count = select(func.count()).where(of_it).scalar_subquery()
    first = select(func.substr(turns.c.text, 1, _TITLE_CHARACTERS)).where(of_it, turns.c.role == "user")
    title = first.order_by(turns.c.number).limit(1).scalar_subquery()
    query = select(sessions, count.label("count"), title.label("title")).where(sessions.c.key_id == key)
    newest = query.order_by(sessions.c.created_us.desc(), sessions.c.id.desc()).limit(limit)
    with database.reading() as connection:
        rows = connection.execute(newest).mappings().all()
    return tuple(
        SessionLine(row["id"], time_of(row["created_us"]), time_of(row["used_us"]), row["count"], row["title"] or "")
        for row in rows
    )


def _felt(rows: Sequence[Row[Any]]) -> tuple[Felt, ...]:
    verdicts = verdicts_of(rows)
    last: dict[ItemId, int] = {}
    seen: set[ItemId] = set()
    for row in rows:
        item = ItemId(row.item)
        if row.kind in ("like", "refuse", "seen"):
            last[item] = row.turn
        if row.kind == "seen":
            seen.add(item)
        elif row.kind == "clear":
            seen.discard(item)
    kept = ((item, turn) for item, turn in last.items() if item in verdicts or item in seen)
    return tuple(Felt(item, turn, _FELT.get(verdicts.get(item, ""))) for item, turn in kept)
