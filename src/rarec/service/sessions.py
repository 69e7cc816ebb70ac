"""Sessions over HTTP: start one, list, export, forget, and why an answer was given."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from rarec.errors import UnknownSession
from rarec.service.admission import admitted, caller_of, parts_of
from rarec.service.problems import as_json
from rarec.service.session_documents import ExportOut, SessionOut, SessionsOut, TurnOut
from rarec.service.tracing import traced_turn
from rarec.state import create_session, export_session, forget_session, list_turns, recent_sessions

router = APIRouter(prefix="/v1/sessions", tags=["sessions"], dependencies=[Depends(admitted)])

MOST_LISTED = 200


@router.post("", status_code=201, response_model=SessionOut)
async def start_session(request: Request) -> Response:
    """Start a session: a conversation that is kept, of the caller's key."""
    key = caller_of(request).key
    new = await parts_of(request).database.run(lambda database: create_session(database, key))
    return _json(_line(new.id, new.created, new.used, 0), status=201)


@router.get("", response_model=SessionsOut)
async def list_sessions(
    request: Request, limit: Annotated[int, Query(ge=1, le=MOST_LISTED, description="How many at most.")] = 50
) -> Response:
    """The caller's sessions, the newest first."""
    key = caller_of(request).key
    found = await parts_of(request).database.run(lambda database: recent_sessions(database, key, limit=limit))
    lines = [{**_line(s.id, s.created, s.used, s.turns), "title": s.title} for s in found]
    return _json({"sessions": lines})


@router.get("/{session}", response_model=ExportOut)
async def export(request: Request, session: str) -> Response:
    """All that is kept of a session."""
    key = caller_of(request).key
    return _json(await parts_of(request).database.run(lambda database: export_session(database, key, session)))


@router.delete("/{session}", status_code=204)
async def forget(request: Request, session: str) -> Response:
    """Forget a session with its turns and feedback."""
    key = caller_of(request).key
    await parts_of(request).database.run(lambda database: forget_session(database, key, session))
    return Response(status_code=204)


@router.get("/{session}/turns/{number}", response_model=TurnOut)
async def get_turn(request: Request, session: str, number: Annotated[int, Path(ge=1, lt=2**31)]) -> Response:
    """One turn with its trace: what was linked, what was proposed, and what the model made of it."""
    key = caller_of(request).key
    found = await parts_of(request).database.run(
        lambda database: list_turns(database, key, session, after=number - 1, limit=1)
    )
    if not found or found[0].number != number:
        raise UnknownSession(f"the session {session[:100]!r} has no turn {number}; turns count from 1")
    return _json(traced_turn(found[0]))


def _line(id: str, created: datetime, used: datetime, turns: int) -> dict[str, Any]:
    return {"id": id, "created_at": _iso(created), "used_at": _iso(used), "turns": turns}


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _json(document: Any, *, status: int = 200) -> Response:
    return Response(as_json(document), status, media_type="application/json")
