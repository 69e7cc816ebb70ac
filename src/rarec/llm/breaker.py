"""Stops asking a language model that fails again and again, and tries it once in a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rarec.errors import BudgetExceeded, LLMRefused, LLMUnavailable


class CircuitBreaker:
    """Opens after so many failures in a row; after a pause one call is let through, whose end decides.

    A model that refuses a request lives: that is no failure. Nor is a call that was given up. Safe in any number of
    threads.

    Args:
        failures: 0 never opens.
        pause_s: how long no call is let through, > 0.
        clock: seconds, rising.
    """

    def __init__(self, failures: int, pause_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._pause_s, self._clock = failures, pause_s, clock
        self._lock = threading.Lock()
        self._failed = 0
        self._closes_at = 0.0
        self._trying = False

    @property
    def open(self) -> bool:
        """Whether calls are held back; also while one of them tries."""
        return 0 < self._most <= self._failed

    @contextmanager
    def call(self) -> Iterator[None]:
        """Around a call.

        Raises:
            LLMUnavailable: it is open; the call is not to be made.
        """
        trying = self._enter()
        try:
            yield
        except LLMRefused:
            self._leave(trying, failed=False)
            raise
        except BudgetExceeded:  # it was not asked
            self._leave(trying, failed=None)
            raise
        except Exception:
            self._leave(trying, failed=True)
            raise
        except BaseException:  # cancelled: it says nothing about the model
            self._leave(trying, failed=None)
            raise
        self._leave(trying, failed=False)

    def _enter(self) -> bool:
        with self._lock:
            if not self.open:
                return False
            left_s = self._closes_at - self._clock()
            if left_s > 0 or self._trying:
                when = f"is tried again in {left_s:.0f} s" if left_s > 0 else "is being tried"
                raise LLMUnavailable(f"the model failed {self._failed} times in a row and {when}")
            self._trying = True
            return True

    def _leave(self, trying: bool, *, failed: bool | None) -> None:
        with self._lock:
            if trying:
                self._trying = False
            if failed is False:
                self._failed = 0
            elif failed:
                self._failed += 1
                self._closes_at = self._clock() + self._pause_s
