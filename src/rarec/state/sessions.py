"""Sessions. Every function takes the key: what another key has is not there."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, insert, select, tuple_, update

from rarec.errors import InputError, UnknownSession
from rarec.state.database import StateDatabase
from rarec.state.records import Session, SessionPage
from rarec.state.stored import now_us, storable, time_of, us_of
from rarec.state.tables import accounts, reservation_accounts, sessions

_FORGOTTEN_AT_ONCE = 100


def create_session(database: StateDatabase, key: str) -> Session:
    """A new session of a key, under an id that cannot be guessed."""
    id, now = secrets.token_urlsafe(18), now_us()
    with database.writing() as connection:
        connection.execute(insert(sessions).values(id=id, key_id=key, created_us=now, used_us=now))
    return Session(id, key, time_of(now), time_of(now))


def find_session(database: StateDatabase, key: str, session: str) -> Session | None:
    """The session of this id, if the key has one."""
    with database.reading() as connection:
        row = connection.execute(_own(key, session)).first()
    return None if row is None else _session(row)


def touch_session(database: StateDatabase, key: str, session: str) -> None:
    """Say that a session is used now. Raises UnknownSession."""
    with database.writing() as connection:
        touched(connection, key, session)


def page_sessions(
    database: StateDatabase, *, key: str | None = None, after: str | None = None, limit: int = 50
) -> SessionPage:
    """Sessions for an administrator, the newest first; those of one key, or of all.

    Args:
        after: `next` of the page before.
        limit: at least 1.
    Raises:
        InputError: `after` or `limit` is none.
    """
    if limit < 1:
        raise InputError(f"limit is {limit}; it is at least 1")
    query = select(sessions).order_by(sessions.c.created_us.desc(), sessions.c.id.desc()).limit(limit + 1)
    if key is not None:
        query = query.where(sessions.c.key_id == key)
    if after is not None:
        created, _, id = after.partition(".")
        if not (created.isascii() and created.isdigit() and len(created) < 19 and id):
            raise InputError(f"after is {after!r}; give `next` of the page before")
        query = query.where(tuple_(sessions.c.created_us, sessions.c.id) < tuple_(int(created), id))
    with database.reading() as connection:
        rows = connection.execute(query).all()
    more = f"{rows[limit - 1].created_us}.{rows[limit - 1].id}" if len(rows) > limit else None
    return SessionPage(tuple(_session(row) for row in rows[:limit]), more)


def forget_session(database: StateDatabase, key: str, session: str) -> None:
    """Delete a session with its turns and events, and its name from the spend; the other sums stay.

    Raises:
        UnknownSession: the key has no such session.
    """
    with database.writing() as connection:
        touched(connection, key, session)
        _forget(connection, [session])


def forget_unused(database: StateDatabase, *, before: datetime) -> int:
    """Forget all sessions that nobody has used since `before`, whoever's they are; how many."""
    total = 0
    while True:
        with database.writing() as connection:  # some at a time, so that nobody waits for all
            query = select(sessions.c.id).where(sessions.c.used_us < us_of(before)).limit(_FORGOTTEN_AT_ONCE)
            found = connection.execute(query.with_for_update()).scalars().all()
            _forget(connection, found)
        total += len(found)
        if len(found) < _FORGOTTEN_AT_ONCE:
            return total


def _forget(connection: Connection, found: Sequence[str]) -> None:
    connection.execute(delete(sessions).where(sessions.c.id.in_(found)))
    for table in (reservation_accounts, accounts):
        connection.execute(delete(table).where(table.c.scope == "session", table.c.name.in_(found)))


def _own(key: str, session: str) -> Select[Any]:
    return select(sessions).where(sessions.c.id == storable(session), sessions.c.key_id == key)


def own_session(connection: Connection, key: str, session: str, *, lock: bool = False) -> Row[Any]:
    """Within a transaction: the row of a session. Raises UnknownSession."""
    row = connection.execute(_own(key, session).with_for_update() if lock else _own(key, session)).first()
    if row is None:
        raise unknown(session)
    return row


def touched(connection: Connection, key: str, session: str) -> int:
    """Within a transaction: say that a session is used now; the time. Holds its row. Raises UnknownSession."""
    now = now_us()
    own = (sessions.c.id == storable(session)) & (sessions.c.key_id == key)
    if not connection.execute(update(sessions).where(own).values(used_us=now)).rowcount:
        raise unknown(session)
    return now


def unknown(session: str) -> UnknownSession:
    """The error of a session that is not there, or not the key's."""
    return UnknownSession(f"no session {session!r}; it was forgotten, or never made: start a new one")


def _session(row: Row[Any]) -> Session:
    return Session(row.id, row.key_id, time_of(row.created_us), time_of(row.used_us))
