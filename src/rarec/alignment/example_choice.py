"""Which turns are shown as examples: the extremes, and some that no figure chose."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from rarec.alignment.turn_results import TurnResult


@dataclass(frozen=True, slots=True)
class Chosen:
    """Results in the order in which they are shown.

    Attributes:
        gains, losses: the largest first; only turns that became better, or worse.
        drawn: by a hash of their ids alone; they may be among the others.
    """

    gains: tuple[TurnResult, ...]
    losses: tuple[TurnResult, ...]
    drawn: tuple[TurnResult, ...]


def chosen(results: Sequence[TurnResult], figure: str, *, extremes: int = 3, drawn: int = 4) -> Chosen:
    """Examples of one seed by the gain of a figure; fewer where there are fewer.

    Of equal gains those come first that the hash puts first.
    """
    by_hash = sorted(results, key=lambda result: _place(result.turn))
    known = [result for result in by_hash if not isnan(result.gain(figure))]
    rising = sorted(known, key=lambda result: result.gain(figure))
    falling = sorted(known, key=lambda result: -result.gain(figure))
    return Chosen(
        tuple(result for result in falling[:extremes] if result.gain(figure) > 0),
        tuple(result for result in rising[:extremes] if result.gain(figure) < 0),
        tuple(by_hash[:drawn]),
    )


def _place(turn: str) -> bytes:
    return hashlib.sha256(b"example\n" + turn.encode("utf-8", "surrogatepass")).digest()
