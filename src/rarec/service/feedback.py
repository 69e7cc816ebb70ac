"""Feedback over HTTP: it changes the next answer of its session, and is there to be learned from."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request

from rarec.service.admission import admitted, caller_of, parts_of
from rarec.service.parts import Parts
from rarec.service.problems import Wrong, invalid
from rarec.service.session_documents import FeedbackIn, FeedbackOut
from rarec.state import Event, add_events
from rarec.types import ItemId

router = APIRouter(prefix="/v1", tags=["sessions"], dependencies=[Depends(admitted)])


@router.post("/feedback")
async def give_feedback(request: Request, body: FeedbackIn) -> FeedbackOut:
    """Say what was done with items of an answer, all events or none; sending them again changes nothing.

    The last of like, refuse and clear of an item counts. Liked, refused and seen items are not shown again in the
    session; what was liked and refused speaks for and against others. An event with the id of another one and other
    content is refused with 409.
    """
    return await store_feedback(parts_of(request), caller_of(request).key, body)


async def store_feedback(parts: Parts, key: str, given: FeedbackIn) -> FeedbackOut:
    """Write the events of a key.

    Raises:
        Problem: 422, more than are taken at once.
        UnknownSession, InputError, Conflict, StoreError: as `add_events`.
    """
    most = parts.settings.max_batch
    if len(given.events) > most:
        raise invalid(
            Wrong("events", f"has {len(given.events)} entries, at most {most} are taken; send several requests")
        )
    new = [Event(e.id, e.session, e.turn, e.kind, ItemId(e.item), e.at) for e in given.events]
    stored = await parts.database.run(lambda database: add_events(database, key, new))
    return FeedbackOut(stored=stored, repeated=len(new) - stored)
