"""The tools over streamable HTTP, behind the same guards as the HTTP API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from mcp.server.context import ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from rarec.errors import RarecError
from rarec.mcp.server import living, tool_server
from rarec.pipeline import Recommender
from rarec.service.access import Access, Caller
from rarec.service.app import NO_OTHER_TELEMETRY, answer_errors
from rarec.service.guarding import Guarding
from rarec.service.parts import Parts
from rarec.service.problems import Problem, problem_of, response
from rarec.service.watching import Watching, request_id_of
from rarec.settings import ServeSettings

PATH = "/mcp"


def http_app(recommender: Recommender, settings: ServeSettings) -> FastAPI:
    """An ASGI application that answers at ``/mcp``, without sessions of the protocol and in JSON.

    Args:
        settings: the limits.
    """
    parts = Parts(recommender, recommender.settings.model_copy(update={"serve": settings}), None, flags=None)
    server = tool_server(parts, _admitted)
    manager = StreamableHTTPSessionManager(
        server,
        json_response=True,
        stateless=True,
        security_settings=_origins(settings),
        max_request_body_size=settings.max_body_bytes,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with living(parts), manager.run():
            yield

    app = FastAPI(lifespan=lifespan, openapi_url=None, telemetry=NO_OTHER_TELEMETRY)
    app.state.parts = parts
    app.router.routes.append(Route(PATH, endpoint=StreamableHTTPASGIApp(manager)))
    answer_errors(app)
    app.add_middleware(_Admitting, access=parts.access)
    app.add_middleware(Guarding, settings=settings)
    app.add_middleware(Watching, metrics=parts.metrics)
    return app


class _Admitting:
    """Asks for a key where one is needed, before anything of the request is read."""

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http":
            try:
                scope["state"]["caller"] = await self._access.admit(Request(scope))
            except (Problem, RarecError) as error:
                app = response(problem_of(error), request_id=request_id_of(scope), path=scope["path"])
        await app(scope, receive, send)


async def _admitted(context: ServerRequestContext[Any, Request]) -> Caller:
    assert context.request is not None
    caller: Caller = context.request.state.caller
    return caller


def _origins(settings: ServeSettings) -> TransportSecuritySettings:
    """Pages of this service's own names and of `cors_origins` may call, others not; hosts as `Guarding` has them."""
    if "*" in settings.hosts:
        return TransportSecuritySettings(enable_dns_rebinding_protection=False)
    names = [f"[{name}]" if ":" in name else name for name in settings.hosts]
    schemes = [f"{scheme}://{name}" for name in names for scheme in ("http", "https")]
    return TransportSecuritySettings(
        allowed_hosts=[*_with_ports(names)], allowed_origins=[*_with_ports(schemes), *settings.cors_origins]
    )


def _with_ports(names: Iterable[str]) -> Iterable[str]:
    for name in names:
        yield from (name, f"{name}:*")
