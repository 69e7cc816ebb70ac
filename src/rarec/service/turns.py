"""Runs turns beside the event loop of the service, and ends those that nobody waits for any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from starlette.types import Message, Receive

from rarec.background import BackgroundLoop
from rarec.constraints import Constraints, Vocabulary, understand_with
from rarec.llm.protocol import LLM, OnText
from rarec.pipeline import Recommender
from rarec.service.limits import Places
from rarec.service.metrics import Metrics
from rarec.service.money import TurnModel
from rarec.telemetry import Value, span
from rarec.types import Conversation, Filters, Recommendation, Usage

T = TypeVar("T")


class ClientGone(Exception):
    """The client closed the connection, or does not read; nobody is there to be answered."""


@dataclass(frozen=True, slots=True)
class WordsRead:
    """What a model made of the words of a conversation, and what that took."""

    found: Constraints
    ms: float
    usage: Usage


@dataclass(frozen=True, slots=True)
class Asked:
    """One question to the recommender, within all limits.

    Attributes:
        read: if a model read the words; its time is taken from the turn's.
    """

    conversation: Conversation
    n: int
    filters: Filters
    read: WordsRead | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """How a question was answered.

    Attributes:
        model: with what the answer took.
        bundle: sha256 of the retriever's weights.
    """

    answer: Recommendation
    model: TurnModel
    bundle: str


class Turns:
    """Answers questions, some at a time.

    A turn runs in a loop of its own thread, so whatever a model or the catalogue does there, the loop that serves
    requests goes on. A turn that is given up frees its place when it has really ended.

    Attributes:
        recommender: answers the turns that begin from now on.
    """

    def __init__(self, recommender: Recommender, places: Places, metrics: Metrics) -> None:
        self.recommender = recommender
        self._places, self._metrics = places, metrics
        self._loop = BackgroundLoop()

    async def read(
        self, linked: Conversation, vocabulary: Vocabulary, model: TurnModel, *, deadline_s: float
    ) -> WordsRead:
        """What the words ask for, by the model if it is one that reads; else, and if it fails, by the rules.

        Raises:
            Problem: there is no place.
        """
        model.llm = self.recommender.llm

        async def reading() -> WordsRead:
            start = time.perf_counter()
            with span("words") as noted:
                found = await understand_with(model, linked, vocabulary, deadline_s=deadline_s)
                noted.put({"rarec.words.read_by": found.source, "rarec.words.found": len(found.parts)})
            if found.source == "model":
                model.remember()
            return WordsRead(found, (time.perf_counter() - start) * 1000, model.usage)

        async with self._begun(reading) as read:
            return await read

    async def answer(self, asked: Asked, model: TurnModel) -> Told:
        """The whole answer. Raises: as `Recommender.areply`; Problem if there is no place."""
        async with self._begun(self._turn(asked, model, None)) as answer:
            answer.add_done_callback(self._count)
            return await answer

    async def stream(self, asked: Asked, model: TurnModel) -> AsyncGenerator[str | Told, None]:
        """Pieces of the reply as they come, then the whole answer. Closing it ends the turn."""
        pieces: asyncio.Queue[str | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def put(piece: str) -> None:
            with suppress(RuntimeError):  # the service has been stopped meanwhile
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        async with self._begun(self._turn(asked, model, put)) as answer:
            answer.add_done_callback(self._count)
            answer.add_done_callback(lambda _: pieces.put_nowait(None))
            while (piece := await pieces.get()) is not None:
                yield piece
            yield answer.result()

    def close(self) -> None:
        """End all turns and the connections of the model; blocks."""
        aclose = getattr(self.recommender.llm, "aclose", None)
        if aclose is not None:
            self._loop.start(aclose).result()
        self._loop.close()

    def _turn(self, asked: Asked, model: TurnModel, on_text: OnText | None) -> Callable[[], Awaitable[Told]]:
        """One turn of the recommender that answers now, to be begun in the turns' loop."""
        recommender, read = self.recommender, asked.read
        model.llm = recommender.llm
        deadline_s = recommender.settings.recommend.deadline_s - (read.ms / 1000 if read else 0.0)

        async def turn() -> Told:
            with span("turn", {"rarec.turns": len(asked.conversation.turns), "rarec.n": asked.n}) as noted:
                answer = await recommender.areply(
                    asked.conversation, n=asked.n, filters=asked.filters, words=False, on_text=on_text,
                    llm=model, deadline_s=deadline_s,
                )  # fmt: skip
                if not answer.degraded and not answer.report.repaired:
                    model.remember()
                await model.end()
                noted.put(_figures(answer, model, recommender.engine.bundle))
            return Told(_with_reading(answer, read), model, recommender.engine.bundle)

        return turn

    @asynccontextmanager
    async def _begun(self, work: Callable[[], Awaitable[T]]) -> AsyncIterator[asyncio.Future[T]]:
        """Work in the turns' loop, once there is a place; the end of the block gives up what still runs."""
        await self._places.enter()
        loop, begun = asyncio.get_running_loop(), False
        place = _Place(self._places)

        def leave(_: object = None) -> None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(place.leave)

        async def in_place() -> T:
            nonlocal begun
            begun = True
            try:
                return await work()
            finally:
                leave()

        running = self._loop.start(in_place)
        # One that is cancelled before its first step never gets to its end.
        running.add_done_callback(lambda _: None if begun else leave())
        result = asyncio.wrap_future(running)
        try:
            yield result
        finally:
            result.cancel()

    def _count(self, answer: asyncio.Future[Told]) -> None:
        if answer.cancelled():
            self._metrics.cancelled.inc()
        elif answer.exception() is None:
            self._metrics.answered(answer.result().answer)


def reads(llm: LLM | None) -> bool:
    """Whether a model reads messages; the embedded ranker does not."""
    return llm is not None and not getattr(llm, "free", False)


def _with_reading(answer: Recommendation, read: WordsRead | None) -> Recommendation:
    """The answer with what reading the words took before it."""
    if read is None:
        return answer
    timings = {"words": read.ms, **answer.timings_ms}
    timings["total"] = timings.get("total", 0.0) + read.ms
    return replace(answer, timings_ms=timings, usage=read.usage + answer.usage)


def _figures(answer: Recommendation, model: TurnModel, bundle: str) -> dict[str, Value]:
    """What a span of a turn says: numbers, and nothing that anybody wrote."""
    return {
        "rarec.items": len(answer.items),
        "rarec.candidates": len(answer.candidates),
        "rarec.degraded": answer.degraded,
        "rarec.cached": model.cached,
        "rarec.calls": model.spend.calls,
        "rarec.bundle": bundle,
    }


class _Place:
    """A place that is given back once."""

    def __init__(self, places: Places) -> None:
        self._places: Places | None = places

    def leave(self) -> None:
        places, self._places = self._places, None
        if places is not None:
            places.leave()


async def while_connected(receive: Receive, work: Callable[[], Coroutine[Any, Any, T] | Awaitable[T]]) -> T:
    """The result of `work`, which is cancelled if the client goes away first.

    Args:
        receive: of a request whose body has been read.
    Raises:
        ClientGone: it went.
    """
    task = asyncio.ensure_future(work())
    gone = asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGone
    finally:
        for other in (task, gone):
            other.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _until_gone(receive: Receive) -> None:
    message: Message = {"type": ""}
    while message["type"] != "http.disconnect":
        message = await receive()
