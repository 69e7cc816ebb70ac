"""How much at once and how often: places for turns, and a bucket of tokens for each client address."""

from __future__ import annotations

import asyncio
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from rarec.service.problems import Problem

_IPV6_NETWORK = 64


class Places:
    """So many turns at once; so many more wait, for so long. Belongs to one event loop.

    Args:
        changed: is told how many are taken.
    """

    def __init__(
        self, places: int, *, queue: int, timeout_s: float, changed: Callable[[int], None] = lambda _: None
    ) -> None:
        self._free = asyncio.Semaphore(places)
        self._queue, self._timeout_s, self._changed = queue, timeout_s, changed
        self.waiting = 0
        self.taken = 0

    async def enter(self) -> None:
        """Take a place; give it back with `leave`.

        Raises:
            Problem: 503, the queue is full, or no place became free in time.
        """
        if self._free.locked() and self.waiting >= self._queue:
            raise self._busy(f"{self.taken} turns are being answered and {self.waiting} wait")
        self.waiting += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._free.acquire()
        except TimeoutError:
            raise self._busy(f"no place became free within {self._timeout_s:g} s") from None
        finally:
            self.waiting -= 1
        self.taken += 1
        self._changed(self.taken)

    def leave(self) -> None:
        """Give a place back."""
        self.taken -= 1
        self._changed(self.taken)
        self._free.release()

    def _busy(self, why: str) -> Problem:
        return Problem(
            503, "busy", "The service is busy", f"{why}; try again in a moment",
            headers={"Retry-After": str(max(1, math.ceil(self._timeout_s / 2)))},
        )  # fmt: skip


class Buckets:
    """A token bucket for each client address: `burst` tokens, refilled at `per_minute`; 0 sets no limit.

    Args:
        most: addresses that are remembered; the one that asked longest ago is forgotten first.
    """

    def __init__(
        self, per_minute: float, burst: int, *, most: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s, self._burst, self._most, self._clock = per_minute / 60, float(burst), most, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> float:
        """Take a token: 0.0, or if there is none the seconds until there is one."""
        if self._per_s == 0:
            return 0.0
        key, now = _network(address), self._clock()
        tokens, then = self._buckets.pop(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * self._per_s)
        wait_s = 0.0 if tokens >= 1 else (1 - tokens) / self._per_s
        self._buckets[key] = (tokens - 1 if tokens >= 1 else tokens, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return wait_s


def _network(address: str) -> str:
    """An IPv6 address counts by its network: one client has 2**64 of them."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, _IPV6_NETWORK), strict=False))
    return address
