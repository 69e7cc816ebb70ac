"""What people did with what they were shown: written once an id, and read back to learn from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, exists, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from rarec.errors import Conflict, InputError, UnknownSession
from rarec.feedback import FeedbackEvent
from rarec.reward import Feedback
from rarec.state.database import StateDatabase
from rarec.state.records import ALL, Event, StoredTurn
from rarec.state.sessions import unknown
from rarec.state.stored import now_us, storable, time_of, us_of
from rarec.state.tables import events, sessions, turns
from rarec.state.turns import conversation_of, turns_of
from rarec.types import ItemId

_AT_ONCE = 100
"""Sessions that one transaction reads."""


def add_events(database: StateDatabase, key: str, new: Sequence[Event]) -> int:
    """Write events, all or none; how many were not there before. One that is sent again changes nothing.

    Raises:
        UnknownSession: the key has no such session, or the session no such turn.
        InputError: an item is not among those that the turn shows.
        Conflict: the key has an event of this id with other content.
    """
    written = 0
    with database.writing() as connection:
        own = _locked(connection, key, {storable(event.session) for event in new})
        shown: dict[tuple[str, int], frozenset[str]] = {}
        for event in new:
            row = _row(key, event)
            before = _stored(connection, row)
            if before is None:  # what stands is not checked again: sent twice it says the same twice
                _check_shown(connection, event, own, shown)
                if _insert(connection, row):
                    written += 1
                    continue
                before = _stored(connection, row)  # another process wrote it just now
            if before is None or any(before[name] != row[name] for name in _CONTENT):
                raise Conflict(
                    f"the event {event.id!r} stands already with other content; give what is new an id of its own"
                )
    return written


def events_of(database: StateDatabase, *, key: str | None = None) -> Iterator[FeedbackEvent]:
    """Every shown set that somebody reacted to, for `rarec.feedback.collect_events` and `rarec align`.

    A turn with items and at least one event gives one event, named after session and turn. The conversation is what was
    said before the turn. Shown are the turn's items; where the client said which ones it showed, only those and what
    was reacted to. The last of like, refuse and clear of one item counts; `seen` is no verdict. `policy` is the hash of
    the bundle. The oldest session comes first; each hundred is read in a transaction of its own.

    Args:
        key: of one key only.
    """
    last: tuple[int, str] | None = None
    while True:
        with database.reading() as connection:
            query = select(sessions.c.created_us, sessions.c.id).where(
                exists().where(events.c.session_id == sessions.c.id)
            )
            if key is not None:
                query = query.where(sessions.c.key_id == key)
            if last is not None:
                query = query.where(tuple_(sessions.c.created_us, sessions.c.id) > tuple_(*last))
            found = connection.execute(query.order_by(sessions.c.created_us, sessions.c.id).limit(_AT_ONCE)).all()
            reactions = [event for row in found for event in _of_session(connection, row.id)]
        yield from reactions
        if len(found) < _AT_ONCE:
            return
        last = (found[-1].created_us, found[-1].id)


def verdicts_of(rows: Iterable[Row[Any]]) -> dict[ItemId, str]:
    """Item -> like or refuse, whichever was said last and not taken back; of rows in the order in which they came."""
    found: dict[ItemId, str] = {}
    for row in rows:
        if row.kind in ("like", "refuse"):
            found[ItemId(row.item)] = row.kind
        elif row.kind == "clear":
            found.pop(ItemId(row.item), None)
    return found


_CONTENT = ("session_id", "turn", "kind", "item", "at_us")


def _row(key: str, event: Event) -> dict[str, Any]:
    return {
        "key_id": key,
        "id": event.id,
        "session_id": storable(event.session),
        "turn": event.turn,
        "kind": event.kind,
        "item": storable(event.item),
        "at_us": None if event.at is None else us_of(event.at),
        "received_us": now_us(),
    }


def _stored(connection: Connection, row: dict[str, Any]) -> dict[str, Any] | None:
    query = select(events).where(events.c.key_id == row["key_id"], events.c.id == row["id"])
    found = connection.execute(query).mappings().first()
    return None if found is None else dict(found)


def _insert(connection: Connection, row: dict[str, Any]) -> bool:
    """Whether it was not there; waits for another transaction that writes the same one."""
    kind = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = kind.insert(events).values(row).on_conflict_do_nothing(index_elements=["key_id", "id"])
    return connection.execute(statement.returning(events.c.number)).first() is not None


def _locked(connection: Connection, key: str, named: Collection[str]) -> frozenset[str]:
    """Those sessions that are the key's; none of them is forgotten, or gets events from elsewhere, until the end."""
    query = select(sessions.c.id).where(sessions.c.id.in_(named), sessions.c.key_id == key)
    return frozenset(connection.execute(query.order_by(sessions.c.id).with_for_update()).scalars())


def _check_shown(
    connection: Connection, event: Event, own: Collection[str], shown: dict[tuple[str, int], frozenset[str]]
) -> None:
    session = storable(event.session)
    if session not in own:
        raise unknown(event.session)
    if (session, event.turn) not in shown:
        query = select(turns.c["items"]).where(turns.c.session_id == session, turns.c.number == event.turn)
        row = connection.execute(query).first()
        if row is None:
            raise UnknownSession(f"the session {event.session!r} has no turn {event.turn}; turns count from 1")
        shown[session, event.turn] = frozenset(line["item"] for line in row[0])
    if event.item and storable(event.item) not in shown[session, event.turn]:
        raise InputError(
            f"the event {event.id!r} is about {event.item!r}, which turn {event.turn} of the session "
            f"{event.session!r} does not show; name an item of that turn"
        )


def _of_session(connection: Connection, session: str) -> Iterator[FeedbackEvent]:
    written = turns_of(connection, session)
    found = connection.execute(select(events).where(events.c.session_id == session).order_by(events.c.number)).all()
    for at, stored in enumerate(written):
        own = [row for row in found if row.turn == stored.number]
        if own and stored.turn.items:
            yield FeedbackEvent(
                f"{session}-{stored.number}",
                conversation_of(session, written[:at]),
                _feedback(stored, own),
                time_of(max(row.received_us if row.at_us is None else row.at_us for row in own)).isoformat(),
                stored.turn.bundle,
                origin="the service's database",
            )


def _feedback(stored: StoredTurn, own: Sequence[Row[Any]]) -> Feedback:
    """The turn's items and the last verdict on each, by the order in which events came."""
    named = {kind: {ItemId(row.item) for row in own if row.kind == kind} for kind in ("shown", "click")}
    verdicts = verdicts_of(own)
    told = named["shown"] - {ALL}
    whole = not told or ALL in named["shown"]
    touched = {ItemId(row.item) for row in own}
    return Feedback(
        tuple(shown.item for shown in stored.turn.items if whole or shown.item in touched),
        clicked=frozenset(named["click"]),
        liked=frozenset(item for item, kind in verdicts.items() if kind == "like"),
        refused=frozenset(item for item, kind in verdicts.items() if kind == "refuse"),
    )
