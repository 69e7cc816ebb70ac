"""OpenAI's chat API: any of their clients, and front ends made for it, work unchanged."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from rarec.documents import rounded
from rarec.service.access import Caller
from rarec.service.admission import admitted, caller_of, parts_of
from rarec.service.asking import chat_asked
from rarec.service.chat_documents import ChatIn, ChatOut, ModelOut, ModelsOut
from rarec.service.logs import log_error
from rarec.service.parts import Parts
from rarec.service.problems import Problem, as_json, problem_of
from rarec.service.streaming import EventStream
from rarec.service.talking import Question, begin, keep
from rarec.service.turns import while_connected
from rarec.service.watching import request_id_of
from rarec.types import Recommendation

router = APIRouter(prefix="/v1", tags=["chat"], dependencies=[Depends(admitted)])
OWNER = "rarec"
_STREAM = {"content": {"text/event-stream": {}}, "description": "The answer; as events if `stream` is true."}


@router.post("/chat/completions", response_model=ChatOut, responses={200: _STREAM})
async def create_chat_completion(request: Request, asked: ChatIn) -> Response:
    """Answer a conversation as OpenAI's API does.

    The reply is the content of the message; the recommended items are in the field `rarec`. With `stream` the reply
    comes as events while it is written, and `rarec` is in the last chunk with a choice. If a model behind fails in
    the middle, what was sent stays, and the whole reply follows on a new line.
    """
    parts, caller = parts_of(request), caller_of(request)
    _check_model(asked.model, parts)
    question, ignored = chat_asked(asked, parts.settings)
    head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": parts.settings.model_name}
    if not asked.stream:
        answer, facts = await while_connected(request.receive, lambda: _answer(parts, caller, question, ignored))
        return Response(as_json(_completion(head, answer, facts)), media_type="application/json")
    usage = asked.stream_options is not None and asked.stream_options.include_usage
    turn = _told(parts, caller, question, ignored)
    events = _events(turn, head, usage=usage, request_id=request_id_of(request.scope))
    first = await while_connected(request.receive, lambda: anext(events))  # what goes wrong by now has a status
    return EventStream(_behind(first, events), patience_s=parts.settings.client_timeout_s)


@router.get("/models")
async def list_models(request: Request) -> ModelsOut:
    """The only model: the recommender."""
    return ModelsOut(object="list", data=[_model(parts_of(request))])


@router.get("/models/{model}")
async def get_model(request: Request, model: str) -> ModelOut:
    """The model of that name."""
    parts = parts_of(request)
    _check_model(model, parts)
    return _model(parts)


def _model(parts: Parts) -> ModelOut:
    return ModelOut(id=parts.settings.model_name, object="model", created=0, owned_by=OWNER)


def _check_model(name: str, parts: Parts) -> None:
    served = parts.settings.model_name
    if name != served:
        raise Problem(404, "unknown-model", "No such model", f"there is no model {name[:100]!r}; use {served!r}")


async def _answer(
    parts: Parts, caller: Caller, question: Question, ignored: list[str]
) -> tuple[Recommendation, dict[str, Any]]:
    """The whole answer and what stands in its `rarec`; the turn is kept."""
    ready = await begin(parts, caller, question)
    told = await parts.turns.answer(ready.asked, ready.model)
    return told.answer, _facts(told.answer, ignored) | await keep(parts, caller, ready, told)


async def _told(
    parts: Parts, caller: Caller, question: Question, ignored: list[str]
) -> AsyncGenerator[str | tuple[Recommendation, dict[str, Any]], None]:
    """The same in pieces: those of the reply, then all."""
    ready = await begin(parts, caller, question)
    turn = parts.turns.stream(ready.asked, ready.model)
    try:
        async for piece in turn:
            if isinstance(piece, str):
                yield piece
            else:
                yield piece.answer, _facts(piece.answer, ignored) | await keep(parts, caller, ready, piece)
    finally:
        await turn.aclose()


def _completion(head: dict[str, Any], answer: Recommendation, facts: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer.reply, "refusal": None}
    return {
        **head,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": _usage(answer),
        "rarec": facts,
    }


async def _events(
    turn: AsyncGenerator[str | tuple[Recommendation, dict[str, Any]], None],
    head: dict[str, Any],
    *,
    usage: bool,
    request_id: str,
) -> AsyncGenerator[bytes, None]:
    """The chunks of a stream. An error before the first is raised, a later one is an event."""
    chunk = {**head, "object": "chat.completion.chunk"} | ({"usage": None} if usage else {})
    begun = False
    try:
        async for piece in turn:
            if not begun:
                begun = True
                yield _event(chunk | {"choices": [_delta({"role": "assistant", "content": ""})]})
            if isinstance(piece, str):
                yield _event(chunk | {"choices": [_delta({"content": piece})]})
                continue
            answer, facts = piece
            yield _event(chunk | {"choices": [_delta({}, finish="stop")], "rarec": facts})
            if usage:
                yield _event(chunk | {"choices": [], "usage": _usage(answer)})
            yield b"data: [DONE]\n\n"
    except Exception as error:
        if not begun:
            raise
        log_error("a stream broke off", error, request_id=request_id)
        problem = problem_of(error)
        told = {"message": problem.detail, "type": "server_error", "param": None, "code": problem.name}
        yield _event({"error": told, "request_id": request_id})
    finally:
        await turn.aclose()


async def _behind(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    try:
        yield first
        async for event in rest:
            yield event
    finally:
        await rest.aclose()


def _event(document: dict[str, Any]) -> bytes:
    return b"data: " + as_json(document) + b"\n\n"


def _delta(delta: dict[str, Any], *, finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _usage(answer: Recommendation) -> dict[str, int]:
    read, written = answer.usage.prompt_tokens, answer.usage.completion_tokens
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _facts(answer: Recommendation, ignored: list[str]) -> dict[str, Any]:
    return {
        "items": [
            {
                "id": ranked.item.id,
                "title": ranked.item.title,
                "year": ranked.item.year,
                "score": ranked.score,
                "why": ranked.why,
                "retriever_rank": ranked.retriever_rank,
            }
            for ranked in answer.items
        ],
        "degraded": answer.degraded,
        "reason": answer.reason,
        "timings_ms": rounded(answer.timings_ms),
        "ignored": ignored,
    }
