"""The service's database beside every event loop: in threads of its own, within a short time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from rarec.errors import StoreError
from rarec.service.logs import log
from rarec.state import StateDatabase

T = TypeVar("T")

THREADS = 8
PATIENCE_S = 3.0
"""How long a request waits for one transaction."""
OPENING_S = 30.0
"""The same until the database was opened for the first time: its tables may have to be made."""


class Database:
    """Opened when it is first needed, and again as long as that fails. May be used from several event loops.

    Args:
        place: see `StateDatabase.open`.
    """

    def __init__(self, place: str | Path) -> None:
        self._place = place
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="rarec-database")
        self._opening = threading.Lock()
        self._opened: StateDatabase | None = None

    @property
    def patience_s(self) -> float:
        """How long `run` waits."""
        return OPENING_S if self._opened is None else PATIENCE_S

    async def run(self, work: Callable[[StateDatabase], T]) -> T:
        """What `work` gives.

        Raises:
            StoreError: the database is gone, or did not answer in time; what was to be written may still be.
        """
        patience_s = self.patience_s
        try:
            async with asyncio.timeout(patience_s):
                return await asyncio.wrap_future(self.submit(work))
        except TimeoutError:
            raise StoreError(f"the service's database gave no answer within {patience_s:g} s") from None

    def submit(self, work: Callable[[StateDatabase], T]) -> Future[T]:
        """Begin `work` without waiting. Raises StoreError once it is closed."""
        try:
            return self._pool.submit(lambda: work(self._open()))
        except RuntimeError as error:
            raise StoreError("the service's database is closed") from error

    def later(self, work: Callable[[StateDatabase], object]) -> Future[object] | None:
        """Begin `work`; whether it fails is logged, and nothing is done about it. None once it is closed."""
        with suppress(StoreError):
            begun: Future[object] = self.submit(work)
            begun.add_done_callback(_tell)
            return begun
        return None

    def close(self) -> None:
        """Finish what was begun and end the connections; blocks."""
        self._pool.shutdown(wait=True)
        if self._opened is not None:
            self._opened.close()

    def _open(self) -> StateDatabase:
        if self._opened is None:
            with self._opening:
                if self._opened is None:
                    self._opened = StateDatabase.open(self._place)
        return self._opened


def _tell(done: Future[object]) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log(40, "the database failed", cause=type(error).__name__)
