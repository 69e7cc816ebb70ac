"""Simulated users of the service: each holds one conversation after another, and thinks between two messages."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
from openai import DefaultAsyncHttpxClient

from large_store import talk

TURNS = 6
"""Messages of a user in one conversation."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One turn.

    Attributes:
        begun: `time.perf_counter` when it was sent.
        wall_ms: until the last byte.
        first_ms: until the first words of the reply, if they were streamed.
        status: of HTTP; 0 if there was no answer.
        asked: whether the model was asked; it is not where its answer to the same prompt is remembered.
        reason: why the answer is without the model, as the service says.
        timings_ms: stages, as the service says.
    """

    begun: float
    wall_ms: float
    status: int
    asked: bool = False
    reason: str = ""
    first_ms: float | None = None
    timings_ms: dict[str, float] = field(default_factory=dict[str, float])


class Users:
    """So many at once, until they are told to stop.

    Args:
        titles: that messages name.
        think_s: mean time between an answer and the next message.
        streamed: share of conversations whose answers are streamed.
    """

    def __init__(self, url: str, titles: Sequence[str], *, think_s: float, streamed: float, seed: int) -> None:
        self._url, self._titles, self._think_s, self._streamed = url, titles, think_s, streamed
        self._rng = random.Random(seed)

    def run(self, users: int, seconds: float) -> list[Taken]:
        """Turns that began within so many seconds; each is waited for."""
        return asyncio.run(self._all(users, time.perf_counter() + seconds))

    async def _all(self, users: int, end: float) -> list[Taken]:
        taken: list[Taken] = []
        async with DefaultAsyncHttpxClient(base_url=self._url, timeout=120, trust_env=False) as client:
            await asyncio.gather(*(self._user(client, taken, end) for _ in range(users)))
        return taken

    async def _user(self, client: Any, taken: list[Taken], end: float) -> None:
        await self._think(self._rng.uniform(0, self._think_s), end)  # else all would speak at once for ever
        while time.perf_counter() < end:
            begun = time.perf_counter()
            made = await _session(client)
            if isinstance(made, int):
                taken.append(Taken(begun, 1000 * (time.perf_counter() - begun), made))
                await self._think(self._think_s, end)
                continue
            streamed = self._rng.random() < self._streamed
            for _ in range(TURNS):
                if time.perf_counter() >= end:
                    return
                text = talk(self._titles, 1, self._rng.getrandbits(32)).turns[0].text
                taken.append(await _turn(client, text, made, streamed=streamed))
                await self._think(self._think_s * self._rng.uniform(0.5, 1.5), end)

    async def _think(self, seconds: float, end: float) -> None:
        await asyncio.sleep(max(0.0, min(seconds, end - time.perf_counter())))


async def _session(client: Any) -> str | int:
    """A new one, or the status of HTTP that refused it; 0 if the connection broke."""
    try:
        made = await client.post("/v1/sessions")
    except httpx2.TransportError as error:
        print(f"no session: {error!r}", file=sys.stderr, flush=True)
        return 0
    if made.is_success:
        return str(made.json()["id"])
    print(f"no session: {made.status_code} {made.text[:300]}", file=sys.stderr, flush=True)
    return int(made.status_code)


async def _turn(client: Any, text: str, session: str, *, streamed: bool) -> Taken:
    start = time.perf_counter()
    try:
        return await _answered(client, text, session, start, streamed=streamed)
    except httpx2.TransportError as error:
        print(f"no answer: {error!r}", file=sys.stderr, flush=True)
        return Taken(start, 1000 * (time.perf_counter() - start), 0)


async def _answered(client: Any, text: str, session: str, start: float, *, streamed: bool) -> Taken:
    body: dict[str, Any] = {
        "model": "rarec", "messages": [{"role": "user", "content": text}], "stream": streamed,
        "rarec": {"session": session},
    }  # fmt: skip
    first, facts = None, None
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        if response.status_code != 200:
            await response.aread()
            return Taken(start, 1000 * (time.perf_counter() - start), response.status_code)
        if streamed:
            async for line in response.aiter_lines():
                if not line.startswith("data: {"):
                    continue
                event = json.loads(line.removeprefix("data: "))
                if first is None and event["choices"] and event["choices"][0]["delta"].get("content"):
                    first = 1000 * (time.perf_counter() - start)
                facts = event.get("rarec", facts)
        else:
            facts = json.loads(await response.aread())["rarec"]
    wall_ms = 1000 * (time.perf_counter() - start)
    if facts is None:  # the stream broke off
        return Taken(start, wall_ms, 0)
    timings = dict(facts["timings_ms"])
    reason = str(facts["reason"]) if facts["degraded"] else ""
    return Taken(start, wall_ms, 200, not reason and "llm" in timings, reason, first, timings)
