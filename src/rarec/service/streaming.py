"""Server-sent events to a client that may be slow or gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rarec.service.turns import ClientGone, while_connected


class EventStream(Response):
    """Sends events as they come; closes their source when the client goes away, or does not read for too long.

    Args:
        patience_s: how long one piece may wait for the client.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes, None], *, patience_s: float) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._events, self._patience_s = events, patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's

        async def body(piece: bytes, *, more: bool) -> None:
            try:
                async with asyncio.timeout(self._patience_s):
                    await send({"type": "http.response.body", "body": piece, "more_body": more})
            except TimeoutError:
                raise ClientGone from None

        async def write() -> None:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for event in self._events:
                await body(event, more=True)
            await body(b"", more=False)

        try:
            await while_connected(receive, write)
        finally:
            await self._events.aclose()
