"""Recommendations as data."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from rarec.documents import answer_document
from rarec.errors import InputError, UnknownItem
from rarec.service.access import Caller
from rarec.service.admission import admitted, caller_of, parts_of
from rarec.service.asking import asked_of
from rarec.service.parts import Parts
from rarec.service.problems import as_json
from rarec.service.recommend_documents import RecommendIn, RecommendOut
from rarec.service.talking import Question, begin
from rarec.service.turns import while_connected

router = APIRouter(prefix="/v1", tags=["recommend"], dependencies=[Depends(admitted)])


@router.post("/recommend", response_model=RecommendOut)
async def recommend(request: Request, asked: RecommendIn) -> Response:
    """Rank items for a conversation, a history of items, or both.

    Every returned item is in the catalogue, passes the filters and was not mentioned. If the language model is slow or
    down the retriever's order is returned in time, and `degraded` says so. An unknown id in the history is an error,
    since it would otherwise be passed over in silence.
    """
    parts, caller = parts_of(request), caller_of(request)
    question = asked_of(asked, parts.settings)
    catalogue = parts.recommender.engine.catalogue
    if asked.history:
        known = [m.item for m in question.conversation.mentions()]
        try:
            await parts.aside(lambda: catalogue.get_many(known))
        except UnknownItem as error:  # of the body, not of the path: 404 would say that there is no such route
            raise InputError(f"history: {error}") from error
    document = await while_connected(request.receive, lambda: _answer(parts, caller, question))
    return Response(as_json(document), media_type="application/json")


async def _answer(parts: Parts, caller: Caller, question: Question) -> dict[str, Any]:
    ready = await begin(parts, caller, question)
    told = await parts.turns.answer(ready.asked, ready.model)
    return {**answer_document(told.answer), "filters": ready.filters()}
