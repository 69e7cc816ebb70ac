"""The store from when it is opened until it is closed, and under which bundle it answers meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio.to_thread

from rarec.errors import RarecError
from rarec.pipeline import Recommender
from rarec.service.opened import Opened
from rarec.service.problems import INTERNAL, Problem
from rarec.service.turns import Turns
from rarec.settings import StorePaths

MakeTurns = Callable[[Recommender], Turns]


class Opening:
    """Opens a store beside the event loop, or takes over an open recommender.

    Args:
        source: a recommender that its maker closes, or the folder of a store, which is closed with this.
        flags: settings that override the store's, for a folder.
    Attributes:
        settled: is called, in some thread, whenever what was opened is there to stay.
    """

    def __init__(self, source: Recommender | Path, *, flags: Mapping[str, Any] | None) -> None:
        self.store = StorePaths(source if isinstance(source, Path) else source.engine.catalogue.path.parent)
        self._source, self._flags = source, flags
        self._owned: Recommender | None = None
        self._open: Opened | None = None
        self._failure = ""
        self._ending = threading.Event()
        self.settled: Callable[[], None] = lambda: None

    def start(self, turns: MakeTurns) -> None:
        """Begin in the running event loop; `turns` makes what answers questions."""
        self._turns, self._following = turns, asyncio.Lock()
        if isinstance(self._source, Recommender):
            self._open = self._opened_with(self._source)

    async def open(self) -> None:
        """Open the store, and learn what can be asked for in words; a failure is kept for `/readyz`."""
        if self._open is None:
            await anyio.to_thread.run_sync(self._open_store)
        if self._open is not None:
            await anyio.to_thread.run_sync(self._open.read_vocabulary)
            await anyio.to_thread.run_sync(self.settled)

    async def follow(self) -> bool:
        """See `Parts.follow`."""
        opened = self._open
        if opened is None:
            return False
        async with self._following:
            follows = await anyio.to_thread.run_sync(opened.follow, self.store)
            if follows:
                await anyio.to_thread.run_sync(self.settled)
            return follows

    def stop(self) -> None:
        """End the turns that run; blocks."""
        self._ending.set()
        opened, self._open = self._open, None
        if opened is not None:
            opened.turns.close()

    def close(self) -> None:
        """Close the store, if it was opened here."""
        if self._owned is not None:
            self._owned.close()

    @property
    def ready(self) -> bool:
        return self._open is not None

    @property
    def failed(self) -> bool:
        return bool(self._failure)

    @property
    def opened(self) -> Opened:
        """Raises: Problem 503 while the store is being opened; 500 if that failed."""
        if self._open is not None:
            return self._open
        if self._failure:
            raise Problem(INTERNAL.status, "store-not-opened", "The store could not be opened", INTERNAL.advice)
        raise Problem(
            503, "starting", "The service is starting", "The store is being opened; try again in a moment.",
            headers={"Retry-After": "2"},
        )  # fmt: skip

    def _open_store(self) -> None:
        assert isinstance(self._source, Path)
        try:
            opened = Recommender.open(self._source, flags=self._flags)
        except (RarecError, OSError) as error:
            self._failure = str(error)
            raise
        self._owned = opened
        self.settled()
        if not self._ending.is_set():
            self._open = self._opened_with(opened)

    def _opened_with(self, recommender: Recommender) -> Opened:
        return Opened(recommender, self._turns(recommender))
