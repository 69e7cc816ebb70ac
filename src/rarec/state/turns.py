"""The turns of a session, in order; they are written at its end and never changed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, insert, select

from rarec.errors import Conflict
from rarec.state.database import StateDatabase
from rarec.state.records import NewTurn, StoredTurn
from rarec.state.sessions import own_session, touched
from rarec.state.tables import turns
from rarec.state.turn_rows import stored_turn, turn_row
from rarec.types import Conversation, Turn


def add_turns(
    database: StateDatabase, key: str, session: str, new: Sequence[NewTurn], *, after: int | None = None
) -> tuple[int, ...]:
    """Write turns at the end of a session, all or none, and touch it; their numbers.

    Args:
        after: how many turns the session has by the caller's knowledge; None takes it as it is.
    Raises:
        UnknownSession: the key has no such session.
        Conflict: the session has another number of turns than `after`: somebody else has written.
    """
    with database.writing() as connection:
        now = touched(connection, key, session)  # holds the row: nobody else numbers turns now
        query = select(func.coalesce(func.max(turns.c.number), 0)).where(turns.c.session_id == session)
        last: int = connection.execute(query).scalar_one()
        if after is not None and after != last:
            raise Conflict(f"the session {session!r} has {last} turns, not {after}; read them and try again")
        numbers = tuple(range(last + 1, last + 1 + len(new)))
        if new:
            rows = [turn_row(session, number, now, turn) for number, turn in zip(numbers, new, strict=True)]
            connection.execute(insert(turns), rows)
    return numbers


def list_turns(
    database: StateDatabase, key: str, session: str, *, after: int = 0, limit: int | None = None
) -> tuple[StoredTurn, ...]:
    """Turns in order, those with a number above `after`, at most `limit`. Raises UnknownSession."""
    with database.reading() as connection:
        own_session(connection, key, session)
        return turns_of(connection, session, after=after, limit=limit)


def conversation_of(session: str, written: Sequence[StoredTurn]) -> Conversation:
    """What was said, as the recommender takes it."""
    return Conversation(tuple(Turn(t.turn.role, t.turn.text, t.turn.mentions) for t in written), session)


def turns_of(
    connection: Connection, session: str, *, after: int = 0, limit: int | None = None
) -> tuple[StoredTurn, ...]:
    """Within a transaction: the turns of a session whose key has been checked."""
    query = select(turns).where(turns.c.session_id == session, turns.c.number > after).order_by(turns.c.number)
    return tuple(stored_turn(row) for row in connection.execute(query if limit is None else query.limit(limit)))
