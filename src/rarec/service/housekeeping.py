"""What the service does from time to time, whether anybody asks or not."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from rarec.service.logs import log
from rarec.service.parts import Parts
from rarec.state import StateDatabase, expire, forget_unused, tidy

TIDY_S = 60.0
_KEPT = timedelta(days=1)
"""So long the sums of single requests are kept."""


async def keep_house(parts: Parts) -> None:
    """Follow the live bundle, and tidy the database, until it is cancelled. What fails is logged and tried again."""
    tidied = -TIDY_S
    while True:
        await _tried("the live bundle could not be followed", parts.follow)
        if time.monotonic() - tidied >= TIDY_S:
            tidied = time.monotonic()
            await _tried("the database could not be tidied", lambda: tidy_up(parts))
        await parts.pause(parts.settings.watch_s)


async def tidy_up(parts: Parts) -> None:
    """Book what dead processes left open, and delete what is not kept any longer."""
    days = parts.settings.forget_days

    def work(database: StateDatabase) -> None:
        now = datetime.now(UTC)
        expire(database)
        tidy(database, before=now - _KEPT)
        if days > 0:
            forget_unused(database, before=now - timedelta(days=days))

    await asyncio.wrap_future(parts.database.submit(work))


async def _tried(failed: str, work: Callable[[], Awaitable[object]]) -> None:
    try:
        if await work():
            log(logging.INFO, "another bundle answers now")
    except Exception as error:  # it is tried again, and must not end for good
        log(logging.ERROR, failed, cause=type(error).__name__)
