"""The record of a store's decisions: JSON lines that only grow, and the figures that each was made on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rarec.align.turns import TokenisedTurn
from rarec.files import LineFile, write_text
from rarec.promotion.gate import Verdict

FILE = "decisions.jsonl"


class Decisions:
    """Of one store.

    A line is on the disk before the switch that it tells of, so a kill in between leaves a line too much, never one
    too little; what is live says the store's live.json alone.

    Args:
        folder: made if needed.
    Raises:
        StoreError: it cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lines = LineFile(folder / FILE, what="the decisions")

    def read(self) -> Iterator[dict[str, Any]]:
        """All lines, oldest first; one that a kill cut off is passed over."""
        for _, line in self._lines.read():
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict):
                yield found

    def looks(self, turns: str) -> int:
        """How many different new bundles were decided on with turns of this digest."""
        found = [line for line in self.read() if line.get("event") == "decision" and line.get("turns digest") == turns]
        return len({json.dumps(line.get("new bundle"), sort_keys=True) for line in found})

    def decided(self, verdict: Verdict, about: Mapping[str, Any]) -> None:
        """Add a decision."""
        self._add({"event": "decision", **about, "verdict": {**asdict(verdict), "gain": verdict.gain}})

    def switched(self, event: str, was: str, live: str, digests: Mapping[str, str]) -> None:
        """Add a switch of the live bundle: a ``promotion`` or a ``rollback``."""
        self._add({"event": event, "from": was, "to": live, "weights": dict(digests)})

    def figures(self, name: str, turns: Sequence[TokenisedTurn], live: Sequence[float], new: Sequence[float]) -> str:
        """Write the figures of each turn; the file's place within the folder.

        Lines of ``{"turn", "dialogue", "live", "new"}``: `decide` gives the same verdict from them.
        """
        place = f"figures/{name}.jsonl"
        (self._folder / "figures").mkdir(exist_ok=True)
        rows = [
            {"turn": turn.turn.id, "dialogue": turn.turn.dialogue, "live": old, "new": own}
            for turn, old, own in zip(turns, live, new, strict=True)
        ]
        write_text(self._folder / place, "".join(json.dumps(row) + "\n" for row in rows))
        return place

    def _add(self, facts: Mapping[str, Any]) -> None:
        line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), **facts}
        self._lines.add(json.dumps(line, ensure_ascii=True).encode("ascii"))
