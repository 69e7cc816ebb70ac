"""What the routes share: the open store, and threads for what must not hold up the event loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from starlette.requests import Request

from rarec.catalogue.title_search import TitleSearch
from rarec.errors import RarecError
from rarec.pipeline import Recommender
from rarec.service.access import Access
from rarec.service.limits import Places
from rarec.service.metrics import Metrics
from rarec.service.problems import INTERNAL, Problem
from rarec.service.turns import Turns
from rarec.settings import ServeSettings

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
        self, source: Recommender | Path, settings: ServeSettings, access: Access, *, flags: Mapping[str, Any] | None
    ) -> None:
        self.settings, self.access, self.metrics = settings, access, Metrics()
        self._source, self._flags = source, flags
        self._owned: Recommender | None = None
        self._open: _Open | None = None
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
        if isinstance(self._source, Recommender):
            self._open = _Open(self._source, self._places, self.metrics)

    async def open(self) -> None:
        """Open the store; a failure is kept for `/readyz`."""
        if self._open is None:
            await anyio.to_thread.run_sync(self._open_store)

    def _open_store(self) -> None:
        assert isinstance(self._source, Path)
        try:
            opened = Recommender.open(self._source, flags=self._flags)
        except (RarecError, OSError) as error:
            self._failure = str(error)
            raise
        self._owned = opened
        if not self._ending.is_set():
            self._open = _Open(opened, self._places, self.metrics)

    def close(self) -> None:
        """End what runs; blocks."""
        self._ending.set()
        opened, self._open = self._open, None
        if opened is not None:
            opened.turns.close()
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
    def titles(self) -> TitleSearch:
        return self._opened.titles

    @property
    def items(self) -> int:
        """How many can be recommended; 0 as long as the store is not open."""
        return len(self._open.recommender.engine.index) if self._open is not None else 0

    @property
    def _opened(self) -> _Open:
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


class _Open:
    """What there is once the store is open."""

    def __init__(self, recommender: Recommender, places: Places, metrics: Metrics) -> None:
        self.recommender = recommender
        self.turns = Turns(recommender, places, metrics)
        self.titles = TitleSearch(recommender.engine.catalogue)


def parts_of(request: Request) -> Parts:
    """The parts of the service that a request came to."""
    parts: Parts = request.app.state.parts
    return parts


async def admitted(request: Request) -> None:
    """Ask whether this caller may; see `Access`."""
    request.state.caller = await parts_of(request).access.admit(request)
