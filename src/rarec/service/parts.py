"""What lives as long as the service, in one place, and threads for what must not hold up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from rarec.catalogue.title_search import TitleSearch
from rarec.constraints import Vocabulary
from rarec.errors import SettingsError
from rarec.pipeline import Recommender
from rarec.service.access import Access, KeyAccess
from rarec.service.database import Database
from rarec.service.limits import Places
from rarec.service.metrics import Metrics
from rarec.service.money import Books
from rarec.service.opening import Opening
from rarec.service.turns import Turns, reads
from rarec.settings import Settings
from rarec.types import Item

T = TypeVar("T")

CATALOGUE_THREADS = 4


class Parts:
    """Everything that lives as long as the service.

    Args:
        source: a recommender that its maker closes, or the folder of a store, which is opened beside the event loop
            once the service runs, and closed with it.
        flags: settings that override the store's, for a folder.
    Raises:
        SettingsError: a ceiling that cannot be read, or a model is to read words that reads none.
    """

    def __init__(
        self,
        source: Recommender | Path,
        settings: Settings,
        access: Access | None,
        *,
        flags: Mapping[str, Any] | None,
    ) -> None:
        _check_words(settings, source)
        self.settings, self.metrics = settings.serve, Metrics()
        self._opening = Opening(source, flags=flags)
        self.store = self._opening.store
        self.database = Database(self.store.database(settings.serve))
        self.access = access or KeyAccess(self.database)
        self.books = Books(settings.serve, settings.llm, self.database, cached=self.metrics.cached.inc)
        self._limiter: anyio.CapacityLimiter | None = None

    def start(self) -> None:
        """Begin in the running event loop."""
        self._limiter = anyio.CapacityLimiter(CATALOGUE_THREADS)
        self._places = Places(
            self.settings.concurrency,
            queue=self.settings.queue,
            timeout_s=self.settings.queue_timeout_s,
            changed=self.metrics.running.set,
        )
        self._woken = asyncio.Event()
        self.database.later(lambda _: None)
        self._opening.start(lambda recommender: Turns(recommender, self._places, self.metrics))

    def when_settled(self, call: Callable[[], None]) -> None:
        """Have `call` called, in some thread, whenever the store was opened or another bundle was taken over."""
        self._opening.settled = call

    async def open(self) -> None:
        """Open the store, and learn what can be asked for in words; a failure is kept for `/readyz`."""
        await self._opening.open()

    async def follow(self) -> bool:
        """Answer under the bundle that is live now, if it is another; turns that run end under theirs.

        Raises:
            BundleError: it cannot be used; the one before goes on, and it is not tried again.
            StoreError: what is live cannot be read.
        """
        return await self._opening.follow()

    def wake(self) -> None:
        """Let housekeeping look now."""
        self._woken.set()

    async def pause(self, seconds: float) -> None:
        """Until so many seconds are over, or somebody wakes."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()

    async def aside(self, work: Callable[[], T]) -> T:
        """The result of work that reads or writes the catalogue, in one of a few threads."""
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    def close(self) -> None:
        """End what runs; blocks."""
        self._opening.stop()
        self.database.close()
        self._opening.close()

    @property
    def ready(self) -> bool:
        return self._opening.ready

    @property
    def failed(self) -> bool:
        return self._opening.failed

    @property
    def recommender(self) -> Recommender:
        """Raises: Problem 503 while the store is being opened; 500 if that failed."""
        return self._opening.opened.recommender

    @property
    def turns(self) -> Turns:
        return self._opening.opened.turns

    @property
    def vocabulary(self) -> Vocabulary | None:
        """None while it is being read."""
        return self._opening.opened.vocabulary

    @property
    def popular(self) -> tuple[Item, ...]:
        """A few of the most popular items, as they were when the service started."""
        return self._opening.opened.popular

    @property
    def titles(self) -> TitleSearch:
        return self._opening.opened.titles

    @property
    def items(self) -> int:
        """How many can be recommended; 0 as long as the store is not open."""
        return len(self.recommender.engine.index) if self.ready else 0

    @property
    def serving(self) -> str:
        """Folder of the bundle that answers, within the store; empty if it came from elsewhere."""
        folder = self.recommender.engine.folder
        root = self.store.root.resolve()
        return folder.resolve().relative_to(root).as_posix() if folder and folder.resolve().is_relative_to(root) else ""


def _check_words(settings: Settings, source: Recommender | Path) -> None:
    there = reads(source.llm) if isinstance(source, Recommender) else settings.llm.kind == "http"
    if settings.serve.words == "llm" and not there:
        raise SettingsError(
            f"serve.words is 'llm', but llm.kind is {settings.llm.kind!r}, which reads no words; set it to 'http' and "
            "name llm.model, or set serve.words = 'rules'"
        )
