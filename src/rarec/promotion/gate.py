"""The rule of the promotion gate: figures of turns in, a verdict out. It knows no model and no file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from rarec.errors import InputError
from rarec.evaluate.bootstrap import paired_interval

Floats = NDArray[np.float64]

LEVEL = 0.98
"""Of the interval. One side of it errs in 1 % of trials, which is what lets a model that is worse through at most; with
95 % it would be 2.5 %, and "a worse model is refused in 99 %" would hang on the number of turns."""
LEAST_DIALOGUES = 100
"""So many that losses which are rare and large are likely to be among them: no interval knows of losses that a sample
has not. Below it the rates were as good for the shapes that were tried; see docs/promotion.md."""
SAMPLES = 4000
"""Draws of the bootstrap: the 1 % end lies between the 40th and the 41st."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided, and on what.

    Attributes:
        promoted: the new bundle takes the live one's place.
        reason: in words.
        turns, dialogues: that were counted.
        live, new: mean figures of a turn.
        low, high: ends of the interval of the mean difference ``new - live`` at `level`.
        margin: the loss that is allowed, in units of the figure; `share` of the live mean.
    """

    promoted: bool
    reason: str
    turns: int
    dialogues: int
    live: float
    new: float
    low: float
    high: float
    margin: float
    share: float
    level: float

    @property
    def gain(self) -> float:
        """``new - live``."""
        return self.new - self.live

    @property
    def relative(self) -> float:
        """The gain as a share of the live figure; 0 where that is 0."""
        return self.gain / self.live if self.live else 0.0


def decide(
    new: Sequence[float] | Floats, live: Sequence[float] | Floats, dialogues: Sequence[str] | Sequence[int], *,
    margin: float = 0.0, level: float = LEVEL, least: int = LEAST_DIALOGUES, seed: int = 0,
) -> Verdict:  # fmt: skip
    """Promote only if the lower end of the paired interval of ``new - live`` lies above ``-margin`` of the live mean.

    With a margin of 0 the new model must be shown to be better. With a larger one it must be shown to be no worse than
    by that much: models that are as good as the live one pass then, given enough dialogues.

    Args:
        new, live: figures of the same turns in the same order, from 0 to 1.
        dialogues: of each turn; the interval is by dialogue.
        margin: the loss that is allowed, as a share of the live mean, from 0 and below 1.
        level: of the interval, between 0 and 1.
        least: dialogues below which nothing is decided, at least 2.
        seed: of the draws; the same figures give the same verdict.
    Raises:
        InputError: no turns, lengths that differ, figures out of range, too few dialogues, or a wrong margin or level.
    """
    a, b = np.asarray(new, np.float64), np.asarray(live, np.float64)
    check_rule(margin=margin, level=level)
    _check(a, b, dialogues)
    check_enough(len(set(dialogues)), least=least)
    low, high = difference_interval(a, b, dialogues, level=level, seed=seed)
    allowed = margin * float(b.mean())
    promoted = low > -allowed
    return Verdict(
        promoted=promoted,
        reason=_reason(promoted, low, high, allowed, bool((a == b).all())),
        turns=len(a),
        dialogues=len(set(dialogues)),
        live=float(b.mean()),
        new=float(a.mean()),
        low=low,
        high=high,
        margin=allowed,
        share=margin,
        level=level,
    )


def check_rule(*, margin: float, level: float) -> None:
    """Raises InputError if a margin or level cannot be one."""
    if not 0 <= margin < 1:
        raise InputError(f"the margin must be a share from 0 and below 1, got {margin!r}; 0.02 allows a loss of 2 %")
    if not 0 < level < 1:
        raise InputError(f"level must be between 0 and 1, got {level!r}; the default is {LEVEL}")


def check_enough(dialogues: int, *, least: int = LEAST_DIALOGUES) -> None:
    """Raises InputError if nothing can be decided on so few dialogues."""
    if least < 2:
        raise InputError(f"least must be at least 2 dialogues, got {least!r}: one has no spread")
    if dialogues < least:
        raise InputError(
            f"{dialogues} held-out dialogues are too few to decide on, at least {least} are needed: with fewer the "
            "interval is too short; collect more, or name another split"
        )


def difference_interval(
    a: Floats, b: Floats, dialogues: Sequence[str] | Sequence[int], *, level: float, seed: int = 0
) -> tuple[float, float]:
    """Interval of the mean of ``a - b``: the wider, end by end, of the percentile bootstrap and of Student's t.

    Both resample or count whole dialogues. The bootstrap alone is too short with few dialogues, since it takes the
    spread that it sees for the true one; t alone is too short on the side of rare large losses.

    Raises:
        InputError: as `rarec.evaluate.bootstrap.paired_interval`, or a single dialogue.
    """
    drawn = paired_interval(a, b, dialogues, generator=np.random.default_rng(seed), samples=SAMPLES, level=level)
    counted = student_interval(a - b, dialogues, level=level)
    return min(drawn[0], counted[0]), max(drawn[1], counted[1])


def student_interval(values: Floats, dialogues: Sequence[str] | Sequence[int], *, level: float) -> tuple[float, float]:
    """Student's t interval of the mean of `values`, shape (turns,), with its standard error by dialogue.

    Raises:
        InputError: a single dialogue.
    Source: linearisation of a ratio under cluster sampling, with the usual factor g / (g - 1) (Cochran 1977, 6.4).
    """
    _, codes = np.unique(np.asarray(dialogues), return_inverse=True)
    codes = codes.reshape(-1)
    sums, counts = np.bincount(codes, values), np.bincount(codes)
    groups, mean = len(counts), float(values.mean())
    if groups < 2:
        raise InputError("one dialogue has no spread; give the turns of several")
    off = sums - mean * counts
    error = float(np.sqrt((off**2).sum() * groups / (groups - 1)) / counts.sum())
    reach = _t_quantile((1 + level) / 2, groups - 1) * error
    return mean - reach, mean + reach


def _t_quantile(probability: float, freedom: int) -> float:
    """Of Student's t. Within 1 % of the true value from 10 degrees of freedom on, and within 0.01 % from 50 on.

    Source: the expansion in the normal quantile of Abramowitz and Stegun, 26.7.5.
    """
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return float(z + sum(term / freedom**power for power, term in enumerate(terms, start=1)))


def _reason(promoted: bool, low: float, high: float, allowed: float, equal: bool) -> str:
    if equal and not allowed:
        return "nothing to gain: no turn's figure differs"
    if promoted:
        return "it is better" if low > 0 else "it is not worse by more than the margin"
    if high < -allowed:
        return "it is worse"
    return "it is not shown to be better" if not allowed else "it may be worse by more than the margin"


def _check(a: Floats, b: Floats, dialogues: Sequence[object]) -> None:
    if not (a.ndim == b.ndim == 1 and len(a) == len(b) == len(dialogues)):
        raise InputError(
            f"figures of shapes {a.shape} and {b.shape} for {len(dialogues)} dialogue ids; give one of each a turn"
        )
    if not len(a):
        raise InputError("no turns to decide on; is the split empty, or was the new bundle chosen on all of it?")
    for name, figures in (("new", a), ("live", b)):
        if not bool(((figures >= 0) & (figures <= 1)).all()):  # false for NaN
            wrong = figures[~((figures >= 0) & (figures <= 1))][0]
            raise InputError(f"a figure of the {name} model is {float(wrong)!r}; NDCG lies from 0 to 1")
