"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnProgress = Callable[[str, int, int, str], None]
"""Called with (stage, done, total, what to show beside the bar); a total of 0 means unknown."""


@contextmanager
def stage(tell: OnProgress, name: str) -> Iterator[None]:
    """One step whose parts are not counted: told when it begins, and when it has ended without an error."""
    tell(name, 0, 1, "")
    yield
    tell(name, 1, 1, "")
