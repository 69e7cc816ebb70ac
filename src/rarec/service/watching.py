"""The outermost layer: request ids, one log line and the figures of every request, and the last resort for faults."""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rarec.service.logs import log, log_error
from rarec.service.metrics import Metrics
from rarec.service.problems import INTERNAL, problem_of, response
from rarec.service.turns import ClientGone
from rarec.telemetry import Noted, span

_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
CLIENT_GONE = 499
"""The status under which a request is logged and counted whose client did not wait for the answer."""


class Watching:
    """ASGI middleware. ``X-Request-ID`` is taken over if it is a plain word, else made, and always sent back."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        started, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        self._metrics.in_flight.inc()
        with span("request", kind="server", headers=Headers(scope=scope)) as noted:
            try:
                await self._app(scope, receive, sending)
            except ClientGone:
                status = CLIENT_GONE
            except Exception as error:
                log_error("fault", error, request_id=request_id)
                problem = problem_of(error)
                if status == 0:
                    await response(problem, request_id=request_id, path=scope["path"])(scope, receive, sending)
                status = INTERNAL.status if status < INTERNAL.status else status
            finally:
                self._metrics.in_flight.dec()
                self._note(scope, status or CLIENT_GONE, time.perf_counter() - started, request_id, noted)

    def _note(self, scope: Scope, status: int, seconds: float, request_id: str, noted: Noted) -> None:
        route = route_of(scope)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        noted.name(f"{method} {route}")
        noted.put({"http.request.method": method, "http.route": route, "http.response.status_code": status})
        noted.put({"rarec.request_id": request_id})
        if status >= INTERNAL.status:
            noted.fail(str(status))
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        level = logging.WARNING if status >= INTERNAL.status else logging.INFO
        told = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000, 1)}
        log(level, "request", request_id=request_id, **told)


_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


def route_of(scope: Scope) -> str:
    """The template of the path that was met; what people send into a path stays out of figures and logs."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else "none"


def request_id_of(scope: Scope) -> str:
    """The id that this layer gave."""
    return str(scope.get("state", {}).get("request_id", ""))


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ID.fullmatch(text := value.decode("latin-1")):
            return str(text)
    return uuid.uuid4().hex
