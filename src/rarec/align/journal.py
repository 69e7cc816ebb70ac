"""What a run writes down of every iteration: JSON lines, and scalars for TensorBoard."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rarec.align.events import EventFile
from rarec.errors import StoreError
from rarec.files import LineFile, write_text

LOG = "log.jsonl"
EVENTS = "events.out.tfevents.0.rarec"

Facts = Mapping[str, float | int | str | None]
"""Name -> value of one iteration; ``iteration`` counts from 0. A validation has the number of steps before it."""


class Journal:
    """The log of one run.

    Args:
        folder: must exist.
        done: iterations that are finished; lines of later ones, which a kill left, are dropped.
    Raises:
        StoreError: the folder cannot be read or written.
    """

    def __init__(self, folder: Path, *, done: int) -> None:
        path = folder / LOG
        kept = [facts for facts in read_log(path) if _is_kept(facts, done)]
        write_text(path, "".join(_line(facts) + "\n" for facts in kept))
        self._lines = LineFile(path, what="the log")
        self._events = EventFile(folder / EVENTS)
        for facts in kept:
            self._scalars(facts)

    def write(self, facts: Facts) -> None:
        """Add one line."""
        facts = {**facts, "time": round(time.time(), 3)}
        self._lines.add(_line(facts).encode())
        self._scalars(facts)

    def _scalars(self, facts: Mapping[str, Any]) -> None:
        kind = facts.get("kind", "iteration")
        values = {
            f"{kind}/{name}": float(value)
            for name, value in facts.items()
            if isinstance(value, (int, float)) and name not in ("iteration", "time")
        }
        self._events.add(int(facts["iteration"]), values, wall_time=float(facts.get("time", 0.0)))


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log; a line that a kill cut off is passed over, and a file that is not there has none.

    Raises:
        StoreError: the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"cannot read the log {str(path)!r}: {error}; remove it") from error
    for line in lines:
        try:
            facts = json.loads(line)
        except ValueError:
            continue
        if isinstance(facts, dict) and isinstance(facts.get("iteration"), int):
            yield facts


def _is_kept(facts: Mapping[str, Any], done: int) -> bool:
    """A validation is numbered by the iterations before it, an iteration by itself."""
    return bool(facts["iteration"] <= done if facts.get("kind") == "validation" else facts["iteration"] < done)


def _line(facts: Mapping[str, Any]) -> str:
    return json.dumps(facts, ensure_ascii=True, allow_nan=True)
