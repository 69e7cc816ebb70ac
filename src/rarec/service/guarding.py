"""What is refused before a request is read: strange hosts, too many requests, other formats, long bodies."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rarec.service.limits import Buckets
from rarec.service.problems import Problem, response
from rarec.service.watching import request_id_of
from rarec.settings import ServeSettings

PROBES = frozenset(("/healthz", "/readyz", "/metrics"))
"""Asked by machines, often: not counted."""
_LINGER_BYTES, _LINGER_S = 16 << 20, 2.0
"""How much of a refused body is read and thrown away. To close on a client that still sends resets its connection, and
it never sees the reason."""


class Guarding:
    """ASGI middleware around the routes."""

    def __init__(self, app: ASGIApp, *, settings: ServeSettings) -> None:
        self._app, self._settings = app, settings
        self._buckets = Buckets(settings.requests_per_minute, settings.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http":
            came, receive = receive, _Body(receive, self._settings).receive
            try:
                self._check(scope, headers := Headers(scope=scope))
            except Problem as problem:
                if "expect" in headers:  # who asks first has sent nothing, and what follows is not that body
                    problem.headers = {**problem.headers, "Connection": "close"}
                else:
                    await _throw_away(came)
                app = response(problem, request_id=request_id_of(scope), path=scope["path"])
        await app(scope, receive, send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        if "*" not in self._settings.hosts and (name := _host(headers.get("host", ""))) not in self._settings.hosts:
            raise Problem(
                421, "wrong-host", "This service has another name",
                f"the Host header names {name!r}; ask for one of {', '.join(self._settings.hosts)}, or add the name to "
                "serve.hosts of rarec.toml",
            )  # fmt: skip
        address = (scope.get("client") or ("",))[0]
        if scope["path"] not in PROBES and (wait_s := self._buckets.take(address)) > 0:
            raise Problem(
                429, "too-many-requests", "Too many requests",
                f"at most {self._settings.requests_per_minute:g} requests a minute; the next one in {wait_s:.1f} s",
                headers={"Retry-After": str(math.ceil(wait_s))},
            )  # fmt: skip
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._settings.max_body_bytes:
            raise too_long(self._settings.max_body_bytes)
        has_body = length.strip("0") != "" or "transfer-encoding" in headers
        if has_body and scope["method"] in ("POST", "PUT", "PATCH") and not _is_json(headers.get("content-type", "")):
            raise Problem(
                415, "unsupported-media-type", "Only JSON is read",
                "send the body as JSON in UTF-8, with the header Content-Type: application/json",
            )  # fmt: skip


class _Body:
    """Reads a body as far as it may go, and as slowly as it may come."""

    def __init__(self, receive: Receive, settings: ServeSettings) -> None:
        self._receive, self._most, self._patience_s = receive, settings.max_body_bytes, settings.client_timeout_s
        self._read, self._whole = 0, False

    async def receive(self) -> Message:
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout(self._patience_s):
                message = await self._receive()
        except TimeoutError:
            raise _Refused(
                Problem(
                    408, "request-timeout", "The request came too slowly",
                    f"nothing came for {self._patience_s:g} s; send the body without a pause",
                )
            ) from None  # fmt: skip
        if message["type"] == "http.request":
            self._read += len(message.get("body", b""))
            self._whole = not message.get("more_body", False)
            if self._read > self._most:
                if not self._whole:
                    await _throw_away(self._receive)
                raise _Refused(too_long(self._most))
        else:
            self._whole = True
        return message


async def _throw_away(receive: Receive) -> None:
    """The rest of a body, within bounds."""
    read = 0
    try:
        async with asyncio.timeout(_LINGER_S):
            while read < _LINGER_BYTES:
                message = await receive()
                if not message.get("more_body", False):
                    return
                read += len(message.get("body", b""))
    except TimeoutError:
        return


class _Refused(HTTPException):
    """A problem in the form in which FastAPI lets it through while it reads a body."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.status, detail=problem.detail)
        self.problem = problem


def refused_with(error: HTTPException) -> Problem | None:
    """The problem behind an error of reading a body."""
    found: Any = getattr(error, "problem", None)
    return found if isinstance(found, Problem) else None


def too_long(most: int) -> Problem:
    return Problem(
        413, "body-too-long", "The body is too long",
        f"at most {most} bytes; send fewer turns or items at once, or raise serve.max_body_bytes of rarec.toml",
        headers={"Connection": "close"},
    )  # fmt: skip


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"


def _host(header: str) -> str:
    """The name without the port."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()
