"""Before and after on the same turns: averages, and paired intervals by dialogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rarec.alignment.figures import FIGURES, Figure
from rarec.alignment.turn_results import TurnResult
from rarec.errors import InputError
from rarec.evaluate.bootstrap import paired_interval

Floats = NDArray[np.float64]
FEW = 10
"""Intervals over fewer dialogues are drawn, but nothing is concluded from them."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure before and after.

    Attributes:
        gain: after - before; `relative` as a share of before, 0 where that is 0.
        low, high: 95 % interval of the gain, paired bootstrap by dialogue; -1 and 1 for a single dialogue, which tells
            nothing about others.
        turns, dialogues: that it stands on.
    """

    before: float
    after: float
    gain: float
    relative: float
    low: float
    high: float
    turns: int
    dialogues: int

    def shows(self, figure: Figure) -> str:
        """``gain`` or ``loss`` if the interval excludes zero and stands on at least ten dialogues; else empty."""
        if self.dialogues < FEW or self.low <= 0 <= self.high:
            return ""
        return "gain" if (self.low > 0) != figure.lower else "loss"


def compared(seeds: Sequence[Sequence[TurnResult]], name: str) -> Comparison:
    """A figure of one seed or, turn by turn, of the average of several, on the turns that have it.

    With several the interval says what other dialogues could give with these seeds, not what other seeds could.

    Raises:
        InputError: no seeds or turns, seeds of different turns, no such figure, or no turn has it.
    """
    before, after = values_of(seeds, name)
    known = ~np.isnan(before)
    if not known.any():
        raise InputError(f"no turn has the figure {name!r}; ask for those of `figures_of`")
    before, after = before[known], after[known]
    dialogues = [result.dialogue for result, has in zip(seeds[0], known.tolist(), strict=True) if has]
    count = len(set(dialogues))
    low, high = paired_interval(after, before, dialogues, generator=np.random.default_rng(0)) if count > 1 else (-1, 1)
    first, last = float(before.mean()), float(after.mean())
    return Comparison(
        before=first,
        after=last,
        gain=last - first,
        relative=(last - first) / first if first else 0.0,
        low=float(low),
        high=float(high),
        turns=len(dialogues),
        dialogues=count,
    )


def values_of(seeds: Sequence[Sequence[TurnResult]], name: str) -> tuple[Floats, Floats]:
    """A figure of each turn before and after, the average of the seeds, shape (turns,); NaN where a turn has none.

    Raises:
        InputError: no seeds or turns, seeds of different turns, or no such figure.
    """
    if name not in FIGURES:
        raise InputError(f"there is no figure {name!r}; use one of {', '.join(FIGURES)}")
    turns = [[result.turn for result in results] for results in seeds]
    if not turns or not turns[0] or any(own != turns[0] for own in turns):
        raise InputError("seeds are compared on the same turns, at least one, in the same order")
    before, after = (
        np.array([[getattr(result, when).figures.get(name, np.nan) for result in own] for own in seeds], np.float64)
        for when in ("before", "after")
    )
    return before.mean(axis=0), after.mean(axis=0)


def deviation(gains: Sequence[float]) -> float | None:
    """Standard deviation between the gains of seeds; None of fewer than two."""
    return float(np.std(gains, ddof=1)) if len(gains) > 1 else None
