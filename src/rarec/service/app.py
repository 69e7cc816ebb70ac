"""Puts the service together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from rarec import telemetry
from rarec.complaints import models_in
from rarec.errors import InputError, RarecError
from rarec.pipeline import Recommender
from rarec.service import admin, chat, feedback, front, items, probes, recommend, sessions
from rarec.service.access import Access
from rarec.service.guarding import Guarding, refused_with
from rarec.service.housekeeping import keep_house
from rarec.service.logs import log, log_error
from rarec.service.page import docs_page
from rarec.service.parts import Parts
from rarec.service.problems import (
    MEDIA_TYPE,
    Problem,
    Wrong,
    invalid,
    of_status,
    problem_of,
    response,
    wrong_values,
)
from rarec.service.site import site
from rarec.service.watching import Watching, request_id_of
from rarec.settings import ServeSettings, read_settings

DESCRIPTION = (
    "Conversational recommendation over a catalogue. Every recommended item exists and passes the filters. "
    "Errors are problem documents (RFC 9457): type, title, status, detail, request_id, and errors with what is wrong "
    "where. `X-Request-ID` is sent back with every answer."
)
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened, and what to do."},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["where", "detail"],
                "properties": {"where": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
_PROBLEM_RESPONSE: dict[str, Any] = {
    "description": "What went wrong and what to do (RFC 9457).",
    "content": {MEDIA_TYPE: {"schema": _PROBLEM}},
}

NO_OTHER_TELEMETRY: Any = dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)
"""FastAPI's own would write paths, queries and refused values into spans and logs; see `rarec.telemetry`."""


def create_app(
    source: Recommender | str | Path,
    settings: ServeSettings | None = None,
    *,
    access: Access | None = None,
    flags: Mapping[str, Any] | None = None,
) -> FastAPI:
    """The service as an ASGI application.

    Args:
        source: an open recommender, which its maker closes, or the folder of a store. A folder is opened when the
            application starts, while `/healthz` answers already; `/readyz` says when it is done, or what went wrong.
        settings: the limits; None takes them from the store.
        access: who may call; None asks for the keys of the service's database.
        flags: settings that override those of the folder.
    Raises:
        StoreError, SettingsError: there is no store in the folder, or its settings are wrong.
        MissingExtra: `telemetry` is set, and its packages are not installed.
    """
    path = Path(source) if isinstance(source, str) else source
    own = path.settings if isinstance(path, Recommender) else read_settings(path, flags)
    limits = settings or own.serve
    if limits.telemetry:
        telemetry.check()
    parts = Parts(path, own.model_copy(update={"serve": limits}), access, flags=flags)

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        end_telemetry = telemetry.start() if limits.telemetry else _nothing
        parts.start()
        tasks = [asyncio.create_task(_open(parts)), asyncio.create_task(keep_house(parts))]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(parts.close)
            await asyncio.to_thread(end_telemetry)

    app = FastAPI(
        title="rarec", version=metadata.version("rarec"), description=DESCRIPTION, lifespan=living,
        docs_url=None, redoc_url=None, telemetry=NO_OTHER_TELEMETRY,
        responses={"default": _PROBLEM_RESPONSE, 422: _PROBLEM_RESPONSE},
    )  # fmt: skip
    app.state.parts = parts
    for module in (chat, recommend, sessions, feedback, items, front, admin, probes):
        app.include_router(module.router)
    _pages(app)
    answer_errors(app)
    app.add_middleware(Guarding, settings=limits)
    app.add_middleware(Watching, metrics=parts.metrics)
    if limits.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=list(limits.cors_origins), allow_methods=["*"], allow_headers=["*"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )  # fmt: skip
    return app


def _nothing() -> None:
    """There is no telemetry to end."""


async def _open(parts: Parts) -> None:
    try:
        await parts.open()
    except Exception as error:  # /readyz and the log tell; the process goes on answering that it is not ready
        log_error("the store could not be opened", error, cause=str(error))


def _pages(app: FastAPI) -> None:
    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return docs_page(app.openapi())

    app.include_router(site())


def answer_errors(app: FastAPI) -> None:
    """Whatever ends a request becomes a problem document."""

    @app.exception_handler(RarecError)
    async def ours(request: Request, error: RarecError) -> Response:
        problem = problem_of(error)
        if problem.status >= 500 and not isinstance(error, InputError):
            log(logging.ERROR, "failed", request_id=request_id_of(request.scope), cause=str(error))
        return _answer(request, problem)

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        return _answer(request, error)

    @app.exception_handler(RequestValidationError)
    async def wrong(request: Request, error: RequestValidationError) -> Response:
        return _answer(request, _wrong(error, request))

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> Response:
        known = refused_with(error)
        return _answer(request, known or of_status(error.status_code, str(error.detail), error.headers))


def _wrong(error: RequestValidationError, request: Request) -> Problem:
    found = error.errors()
    if found and found[0]["type"] == "json_invalid":
        place = found[0]["loc"][-1]
        told = f"the body is not JSON: {found[0]['ctx']['error']} at character {place}"
        return Problem(400, "malformed-json", "The body is not JSON", told, errors=(Wrong(f"body.{place}", told),))
    body = getattr(request.scope.get("route"), "body_field", None)
    models = [] if body is None else models_in(body.field_info.annotation)
    return invalid(*wrong_values(found, models[0] if len(models) == 1 else None))


def _answer(request: Request, problem: Problem) -> Response:
    return response(problem, request_id=request_id_of(request.scope), path=request.scope["path"])
