"""How long to wait before asking again."""

from __future__ import annotations

import random
import time
from email.utils import formatdate

from rarec.llm.retry import backoff_s, retry_after_s


def test_waits() -> None:
    waits = [backoff_s(i, first_s=0.5, rng=random.Random(i)) for i in range(100)]
    assert all(0.25 <= w <= 8.0 for w in waits)
    assert waits[0] <= 0.5
    assert max(waits) > 4
    assert retry_after_s({"retry-after": "2"}) == 2
    assert retry_after_s({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert retry_after_s({"retry-after": "-5"}) == 0
    assert retry_after_s({"retry-after": "nan"}) is None
    assert retry_after_s({"retry-after": "soon"}) is None
    assert retry_after_s({}) is None
    assert 50 < (retry_after_s({"retry-after": formatdate(time.time() + 60, usegmt=True)}) or 0) <= 60
    assert retry_after_s({"retry-after": "Wed, 01 Jan 2020 00:00:00 GMT"}) == 0
