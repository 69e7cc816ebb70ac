"""Runs turns beside the event loop of the service, and ends those that nobody waits for any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.types import Message, Receive

from rarec.background import BackgroundLoop
from rarec.llm.protocol import OnText
from rarec.pipeline import Recommender
from rarec.service.limits import Places
from rarec.service.metrics import Metrics
from rarec.service.money import Books, Payer, TurnModel
from rarec.types import Conversation, Filters, Recommendation

T = TypeVar("T")


class ClientGone(Exception):
    """The client closed the connection, or does not read; nobody is there to be answered."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question to the recommender, within all limits."""

    conversation: Conversation
    n: int
    filters: Filters


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

    def __init__(self, recommender: Recommender, places: Places, metrics: Metrics, books: Books) -> None:
        self.recommender = recommender
        self._places, self._metrics, self._books = places, metrics, books
        self._loop = BackgroundLoop()

    async def answer(self, asked: Asked, payer: Payer) -> Told:
        """The whole answer. Raises: as `Recommender.areply`; Problem if there is no place."""
        async with self._begun(asked, payer, None) as answer:
            return await answer

    async def stream(self, asked: Asked, payer: Payer) -> AsyncGenerator[str | Told, None]:
        """Pieces of the reply as they come, then the whole answer. Closing it ends the turn."""
        pieces: asyncio.Queue[str | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def put(piece: str) -> None:
            with suppress(RuntimeError):  # the service has been stopped meanwhile
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        async with self._begun(asked, payer, put) as answer:
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

    @asynccontextmanager
    async def _begun(self, asked: Asked, payer: Payer, on_text: OnText | None) -> AsyncIterator[asyncio.Future[Told]]:
        await self._places.enter()
        loop, begun = asyncio.get_running_loop(), False
        recommender = self.recommender
        model = TurnModel(recommender.llm, self._books, payer)
        place = _Place(self._places)

        def leave(_: object = None) -> None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(place.leave)

        async def turn() -> Told:
            nonlocal begun
            begun = True
            try:
                answer = await recommender.areply(
                    asked.conversation, n=asked.n, filters=asked.filters, on_text=on_text, llm=model
                )
                await model.end(good=not answer.degraded and not answer.report.repaired)
                return Told(answer, model, recommender.engine.bundle)
            finally:
                leave()

        running = self._loop.start(turn)
        # One that is cancelled before its first step never gets to its end.
        running.add_done_callback(lambda _: None if begun else leave())
        answer = asyncio.wrap_future(running)
        answer.add_done_callback(self._count)
        try:
            yield answer
        finally:
            answer.cancel()

    def _count(self, answer: asyncio.Future[Told]) -> None:
        if answer.cancelled():
            self._metrics.cancelled.inc()
        elif answer.exception() is None:
            self._metrics.answered(answer.result().answer)


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
