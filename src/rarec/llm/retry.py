"""How long to wait before asking a server again."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

MAX_BACKOFF_S = 8.0


def backoff_s(attempt: int, *, first_s: float, rng: random.Random) -> float:
    """Seconds before repeat number `attempt` (0, 1, ..): doubling, with jitter so that many clients spread out."""
    return min(first_s * 2.0 ** min(attempt, 30), MAX_BACKOFF_S) * rng.uniform(0.5, 1.0)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """What the server asks to wait, in seconds, >= 0; None if it does not say, or not in a form there is.

    Understands ``retry-after-ms`` and ``retry-after`` as seconds or as a date (RFC 9110, section 10.2.3).
    """
    for name, per_second in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / per_second
        except ValueError:
            continue
        if math.isfinite(seconds):
            return max(seconds, 0.0)
    try:
        return max(parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time.time(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None
