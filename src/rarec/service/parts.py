"""What the routes share: the open store, and threads for what must not hold up the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from starlette.requests import Request

from rarec.catalogue.title_search import TitleSearch
from rarec.constraints import Vocabulary
from rarec.errors import RarecError
from rarec.pipeline import Recommender
from rarec.service.access import Access, Caller, KeyAccess
from rarec.service.database import Database
from rarec.service.limits import Places
from rarec.service.metrics import Metrics
from rarec.service.money import Books
from rarec.service.opened import Opened
from rarec.service.problems import INTERNAL, Problem
from rarec.service.turns import Turns
from rarec.settings import Settings, StorePaths
from rarec.types import Item

T = TypeVar("T")

CATALOGUE_THREADS = 4


class Parts:
    """Everything that lives as long as the service.

    Args:
        source: a recommender that its maker closes, or the folder of a store, which is opened beside the event loop
            once the service runs, and closed with it.
        flags: settings that override the store's, for a folder.
    """

    def __init__(
        self,
        source: Recommender | Path,
        settings: Settings,
        access: Access | None,
        *,
        flags: Mapping[str, Any] | None,
    ) -> None:
        self.settings, self.metrics = settings.serve, Metrics()
        root = source if isinstance(source, Path) else source.engine.catalogue.path.parent
        self.store = StorePaths(root)
        self.database = Database(self.store.database(settings.serve))
        self.access = access or KeyAccess(self.database)
        self.books = Books(settings.serve, settings.llm, self.database, cached=self.metrics.cached.inc)
        self._source, self._flags = source, flags
        self._owned: Recommender | None = None
        self._open: Opened | None = None
        self._failure = ""
        self._limiter: anyio.CapacityLimiter | None = None
        self._ending = threading.Event()

    def start(self) -> None:
        """Begin in the running event loop."""
        self._limiter = anyio.CapacityLimiter(CATALOGUE_THREADS)
        self._places = Places(
            self.settings.concurrency,
            queue=self.settings.queue,
            timeout_s=self.settings.queue_timeout_s,
            changed=self.metrics.running.set,
        )
        self._following, self._woken = asyncio.Lock(), asyncio.Event()
        self.database.later(lambda _: None)
        if isinstance(self._source, Recommender):
            self._open = self._opened_with(self._source)

    async def open(self) -> None:
        """Open the store, and learn what can be asked for in words; a failure is kept for `/readyz`."""
        if self._open is None:
            await anyio.to_thread.run_sync(self._open_store)
        if self._open is not None:
            await anyio.to_thread.run_sync(self._open.read_vocabulary)

    def _open_store(self) -> None:
        assert isinstance(self._source, Path)
        try:
            opened = Recommender.open(self._source, flags=self._flags)
        except (RarecError, OSError) as error:
            self._failure = str(error)
            raise
        self._owned = opened
        if not self._ending.is_set():
            self._open = self._opened_with(opened)

    def _opened_with(self, recommender: Recommender) -> Opened:
        return Opened(recommender, Turns(recommender, self._places, self.metrics, self.books))

    async def follow(self) -> bool:
        """Answer under the bundle that is live now, if it is another; turns that run end under theirs.

        Raises:
            BundleError: it cannot be used; the one before goes on, and it is not tried again.
            StoreError: what is live cannot be read.
        """
        opened = self._open
        if opened is None:
            return False
        async with self._following:
            return await anyio.to_thread.run_sync(opened.follow, self.store)

    def wake(self) -> None:
        """Let housekeeping look now."""
        self._woken.set()

    async def pause(self, seconds: float) -> None:
        """Until so many seconds are over, or somebody wakes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()

    @property
    def serving(self) -> str:
        """Folder of the bundle that answers, within the store; empty if it came from elsewhere."""
        folder = self.recommender.engine.folder
        root = self.store.root.resolve()
        return folder.resolve().relative_to(root).as_posix() if folder and folder.resolve().is_relative_to(root) else ""

    def close(self) -> None:
        """End what runs; blocks."""
        self._ending.set()
        opened, self._open = self._open, None
        if opened is not None:
            opened.turns.close()
        self.database.close()
        if self._owned is not None:
            self._owned.close()

    @property
    def ready(self) -> bool:
        return self._open is not None

    @property
    def failed(self) -> bool:
        return bool(self._failure)

    @property
    def recommender(self) -> Recommender:
        """Raises: Problem 503 while the store is being opened; 500 if that failed."""
        return self._opened.recommender

    @property
    def turns(self) -> Turns:
        return self._opened.turns

    @property
    def vocabulary(self) -> Vocabulary | None:
        """None while it is being read."""
        return self._opened.vocabulary

    @property
    def popular(self) -> tuple[Item, ...]:
        """A few of the most popular items, as they were when the service started."""
        return self._opened.popular

    @property
    def titles(self) -> TitleSearch:
        return self._opened.titles

    @property
    def items(self) -> int:
        """How many can be recommended; 0 as long as the store is not open."""
        return len(self._open.recommender.engine.index) if self._open is not None else 0

    @property
    def _opened(self) -> Opened:
        if self._open is not None:
            return self._open
        if self._failure:
            raise Problem(INTERNAL.status, "store-not-opened", "The store could not be opened", INTERNAL.advice)
        raise Problem(
            503, "starting", "The service is starting", "The store is being opened; try again in a moment.",
            headers={"Retry-After": "2"},
        )  # fmt: skip

    async def aside(self, work: Callable[[], T]) -> T:
        """The result of work that reads or writes the catalogue, in one of a few threads."""
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)


def parts_of(request: Request) -> Parts:
    """The parts of the service that a request came to."""
    parts: Parts = request.app.state.parts
    return parts


async def admitted(request: Request) -> None:
    """Ask whether this caller may; see `Access`."""
    request.state.caller = await parts_of(request).access.admit(request)


def caller_of(request: Request) -> Caller:
    """Who was admitted."""
    caller: Caller = request.state.caller
    return caller
