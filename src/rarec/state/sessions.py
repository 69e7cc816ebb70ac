"""Sessions and their turns. Every function takes the key: what another key has is not there."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, tuple_, update

from rarec.errors import Conflict, InputError, UnknownSession
from rarec.llm.budget import Spend
from rarec.state.database import StateDatabase
from rarec.state.records import NewTurn, Session, SessionPage, ShownItem, StoredTurn
from rarec.state.stored import document, iso, now_us, storable, time_of, us_of
from rarec.state.tables import accounts, events, reservation_accounts, sessions, turns
from rarec.types import Conversation, ItemId, Mention, Turn

EXPORT_FORMAT = 1
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
        _touch(connection, key, session)


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
        now = _touch(connection, key, session)  # holds the row: nobody else numbers turns now
        query = select(func.coalesce(func.max(turns.c.number), 0)).where(turns.c.session_id == session)
        last: int = connection.execute(query).scalar_one()
        if after is not None and after != last:
            raise Conflict(f"the session {session!r} has {last} turns, not {after}; read them and try again")
        numbers = tuple(range(last + 1, last + 1 + len(new)))
        if new:
            rows = [_turn_row(session, number, now, turn) for number, turn in zip(numbers, new, strict=True)]
            connection.execute(insert(turns), rows)
    return numbers


def list_turns(
    database: StateDatabase, key: str, session: str, *, after: int = 0, limit: int | None = None
) -> tuple[StoredTurn, ...]:
    """Turns in order, those with a number above `after`, at most `limit`. Raises UnknownSession."""
    with database.reading() as connection:
        own_session(connection, key, session)
        return turns_of(connection, session, after=after, limit=limit)


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


def export_session(database: StateDatabase, key: str, session: str) -> dict[str, Any]:
    """All that is kept of a session, as a JSON document. Raises UnknownSession."""
    with database.reading() as connection:
        own = own_session(connection, key, session)
        written = turns_of(connection, session)
        found = connection.execute(select(events).where(events.c.session_id == session).order_by(events.c.number)).all()
    return {
        "format": EXPORT_FORMAT,
        "session": own.id,
        "created": iso(own.created_us),
        "used": iso(own.used_us),
        "turns": [turn_document(turn) for turn in written],
        "events": [
            {
                "id": row.id,
                "turn": row.turn,
                "kind": row.kind,
                "item": row.item,
                "at": None if row.at_us is None else iso(row.at_us),
                "received": iso(row.received_us),
            }
            for row in found
        ],
    }


def forget_session(database: StateDatabase, key: str, session: str) -> None:
    """Delete a session with its turns and events, and its name from the spend; the other sums stay.

    Raises:
        UnknownSession: the key has no such session.
    """
    with database.writing() as connection:
        _touch(connection, key, session)
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


def conversation_of(session: str, written: Sequence[StoredTurn]) -> Conversation:
    """What was said, as the recommender takes it."""
    return Conversation(tuple(Turn(t.turn.role, t.turn.text, t.turn.mentions) for t in written), session)


def turns_of(
    connection: Connection, session: str, *, after: int = 0, limit: int | None = None
) -> tuple[StoredTurn, ...]:
    """Within a transaction: the turns of a session whose key has been checked."""
    query = select(turns).where(turns.c.session_id == session, turns.c.number > after).order_by(turns.c.number)
    return tuple(stored_turn(row) for row in connection.execute(query if limit is None else query.limit(limit)))


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


def _touch(connection: Connection, key: str, session: str) -> int:
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


def _turn_row(session: str, number: int, now: int, turn: NewTurn) -> dict[str, Any]:
    return {
        "session_id": session,
        "number": number,
        "created_us": now,
        "role": turn.role,
        "text": storable(turn.text),
        "mentions": None if turn.mentions is None else document([_mention_document(m) for m in turn.mentions]),
        "items": document([_item_document(shown) for shown in turn.items]),
        "filters": document(turn.filters),
        "trace": document(turn.trace),
        "timings_ms": document(turn.timings_ms),
        "calls": turn.spend.calls,
        "tokens": turn.spend.tokens,
        "picodollars": turn.spend.picodollars,
        "model": storable(turn.model),
        "degraded": turn.degraded,
        "reason": storable(turn.reason),
        "bundle": storable(turn.bundle),
    }


def stored_turn(row: Row[Any]) -> StoredTurn:
    """A row of the turns."""
    # "items" is a method of a row
    shown = tuple(
        ShownItem(ItemId(i["item"]), _number(i["score"]), i["why"], i["retriever_rank"]) for i in row._mapping["items"]
    )
    turn = NewTurn(
        row.role, row.text, mentions_of(row.mentions), shown, row.filters, row.trace, row.timings_ms,
        Spend(row.calls, row.tokens, row.picodollars), row.model, row.degraded, row.reason, row.bundle,
    )  # fmt: skip
    return StoredTurn(row.number, time_of(row.created_us), turn)


def mentions_of(kept: Sequence[Mapping[str, Any]] | None) -> tuple[Mention, ...] | None:
    """The mentions of a turn as its row has them."""
    if kept is None:
        return None
    return tuple(
        Mention(ItemId(m["item"]), m["sentiment"], None if m["span"] is None else (m["span"][0], m["span"][1]))
        for m in kept
    )


def _number(value: float | None) -> float:
    """A number that was not finite is kept as null."""
    return float("nan") if value is None else value


def turn_document(stored: StoredTurn) -> dict[str, Any]:
    """A turn as JSON values."""
    turn = stored.turn
    return {
        "number": stored.number,
        "created": stored.created.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "role": turn.role,
        "text": turn.text,
        "mentions": None if turn.mentions is None else [_mention_document(m) for m in turn.mentions],
        "items": document([_item_document(shown) for shown in turn.items]),
        "filters": turn.filters,
        "trace": turn.trace,
        "timings_ms": turn.timings_ms,
        "spend": {"calls": turn.spend.calls, "tokens": turn.spend.tokens, "usd": turn.spend.usd},
        "model": turn.model,
        "degraded": turn.degraded,
        "reason": turn.reason,
        "bundle": turn.bundle,
    }


def _mention_document(mention: Mention) -> dict[str, Any]:
    span = None if mention.span is None else list(mention.span)
    return {"item": mention.item, "sentiment": mention.sentiment, "span": span}


def _item_document(shown: ShownItem) -> dict[str, Any]:
    return {"item": shown.item, "score": shown.score, "why": shown.why, "retriever_rank": shown.retriever_rank}
