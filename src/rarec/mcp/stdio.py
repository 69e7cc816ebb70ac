"""The tools over stdin and stdout, for an agent that starts the process itself."""

from __future__ import annotations

import asyncio
import io
import os
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import anyio
from mcp.server.stdio import stdio_server

from rarec.mcp.server import living, tool_server
from rarec.pipeline import Recommender
from rarec.service.access import Caller, Lately
from rarec.service.logs import configure
from rarec.service.parts import Parts
from rarec.state import Key, local_key


def run_stdio(recommender: Recommender) -> None:
    """Serve until stdin ends; logs go to stderr.

    Whoever starts the process can read the store's files, so no key is asked for: sessions and spend are those of the
    service's local key, and the ceilings of `serve.ceilings` hold.
    """
    configure()
    anyio.run(_serve, recommender)


async def _serve(recommender: Recommender) -> None:
    parts = Parts(recommender, recommender.settings, None, flags=None)
    known = Lately[Key](time.monotonic)

    async def who_calls(_: object) -> Caller:
        key = await known.get("", lambda: parts.database.run(local_key))
        return Caller() if key is None else Caller(key.name, key.id, key.limits)

    server = tool_server(parts, who_calls)
    lines: Any = _Lines()
    async with living(parts), stdio_server(stdin=lines) as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


class _Lines:
    """Lines of stdin, read ahead by one, in a thread that does not hold up the end of the process.

    The SDK's own reading cannot be given up: Ctrl-C would wait for the next line. Begins in the running event loop.
    """

    def __init__(self) -> None:
        self._loop, self._read = asyncio.get_running_loop(), asyncio.Queue[str | None](1)
        # A copy: at its end the interpreter waits for whoever reads sys.stdin itself.
        source = open(os.dup(sys.stdin.fileno()), encoding="utf-8", errors="replace")  # noqa: PTH123, SIM115
        threading.Thread(target=self._feed, args=(source,), name="rarec-stdin", daemon=True).start()

    def __aiter__(self) -> _Lines:
        return self

    async def __anext__(self) -> str:
        line = await self._read.get()
        if line is None:
            raise StopAsyncIteration
        return line

    def _feed(self, source: io.TextIOWrapper) -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile
            for line in source:
                asyncio.run_coroutine_threadsafe(self._read.put(line), self._loop).result()
            asyncio.run_coroutine_threadsafe(self._read.put(None), self._loop).result()
