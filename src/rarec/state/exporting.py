"""All that is kept of a session, for whom it is about."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from rarec.state.database import StateDatabase
from rarec.state.sessions import own_session
from rarec.state.stored import iso
from rarec.state.tables import events
from rarec.state.turn_rows import turn_document
from rarec.state.turns import turns_of

EXPORT_FORMAT = 1


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
