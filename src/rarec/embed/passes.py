"""Callers that wait for one model at the same time go through it together."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

Rows = NDArray[np.float32]


@dataclass(slots=True, eq=False)
class _Waiting:
    texts: Sequence[str]
    over: bool = False
    rows: Rows | None = None


class SharedPasses:
    """One pass at a time; all who come meanwhile are the next one.

    A pass over several texts costs far less than as many passes, and a service that answers many people has them at the
    same time. Whoever is alone waits for nobody.

    Args:
        run: texts -> one row each, in order; called by one thread at a time.
        most: texts in one pass; a caller with more has a pass of its own.
    """

    def __init__(self, run: Callable[[Sequence[str]], Rows], *, most: int) -> None:
        self._run, self._most = run, most
        self._queue: deque[_Waiting] = deque()
        self._passing = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> Rows:
        """The rows of some texts; raises what `run` raises on these texts alone."""
        own = _Waiting(texts)
        self._queue.append(own)
        with self._passing:
            while not own.over:  # those who came before go first
                self._pass()
            # A pass that failed does not tell whose texts were at fault.
            return self._run(texts) if own.rows is None else own.rows

    def _pass(self) -> None:
        together = [self._queue.popleft()]
        size = len(together[0].texts)
        while self._queue and size + len(self._queue[0].texts) <= self._most:
            together.append(self._queue.popleft())
            size += len(together[-1].texts)
        for one in together:
            one.over = True
        if len(together) == 1:  # who is alone runs it himself, and meets its error
            return
        try:
            rows = self._run([text for one in together for text in one.texts])
        except Exception as error:
            log.debug("a pass of %d callers failed, each goes alone: %s", len(together), error)
            return
        at = 0
        for one in together:
            one.rows, at = rows[at : at + len(one.texts)], at + len(one.texts)
