"""The gain by slice: which turns became better, by what they recommend and by the conversation before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rarec.alignment.comparing import FEW, values_of
from rarec.alignment.figures import Figure
from rarec.alignment.report_turns import ReportTurns
from rarec.alignment.turn_results import TurnResult
from rarec.evaluate.bootstrap import ClusterBootstrap, percentiles
from rarec.evaluate.slices import Bands, Mask, context_slices, target_slices

_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class BandGain:
    """A figure on the turns of one band.

    Attributes:
        low, high: 95 % interval of the gain; None where a single dialogue, or none in some draw, is in the band.
    """

    band: str
    turns: int
    dialogues: int
    before: float
    after: float
    gain: float
    low: float | None
    high: float | None

    @property
    def few(self) -> bool:
        """Nothing is concluded from so few dialogues."""
        return self.dialogues < FEW or self.low is None


def gains_by_slice(
    found: ReportTurns, seeds: Sequence[Sequence[TurnResult]], figure: Figure
) -> dict[str, tuple[BandGain, ...]]:
    """By popularity and year of the truth, messages before, and items mentioned.

    Left out are bands without turns that have the figure, and slices without bands.

    The bands are those of the evaluation. A turn with several true items stands once in the band of each, so that bands
    of popularity and of years may overlap; one without truth stands in none of these. Of several seeds the average is
    taken, turn by turn.

    Raises:
        InputError: as `values_of`.
    """
    before, after = values_of(seeds, figure.name)
    known = ~np.isnan(before)
    draws = ClusterBootstrap([turn.gold.dialogue for turn in found.turns], generator=np.random.default_rng(0))
    sliced: dict[str, tuple[BandGain, ...]] = {}
    for name, bands in turn_slices(found).items():
        sliced[name] = tuple(
            _band_gain(band, inside & known, before, after, draws)
            for band, inside in bands.items()
            if (inside & known).any()
        )
    return {name: bands for name, bands in sliced.items() if bands}


def turn_slices(found: ReportTurns) -> Mapping[str, Bands]:
    """Slice -> band -> which turns are in it, shape (turns,)."""
    targets = [target for turn in found.turns for target in turn.gold.targets]
    ends = np.cumsum([0, *(len(turn.gold.targets) for turn in found.turns)])
    of_truth = target_slices([found.items[target] for target in targets])
    del of_truth["cold"]  # the first band of popularity
    sliced: dict[str, Bands] = {
        name: {band: _of_turns(inside, ends) for band, inside in bands.items()} for name, bands in of_truth.items()
    }
    return sliced | context_slices([turn.gold for turn in found.turns])


def _of_turns(inside: Mask, ends: NDArray[np.int64]) -> Mask:
    """Whether any target of each turn is inside; `ends` are the places between the turns' targets, from 0."""
    counts = np.concatenate([[0], np.cumsum(inside)])[ends]
    return np.diff(counts) > 0


def _band_gain(
    band: str,
    inside: Mask,
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    draws: ClusterBootstrap,
) -> BandGain:
    dialogues = draws.clusters(inside)
    gains = np.where(inside, after - before, 0.0)
    low, high = percentiles(draws.band_means(gains, inside), level=_LEVEL).tolist()
    known = dialogues > 1 and not np.isnan(low)
    first, last = float(before[inside].mean()), float(after[inside].mean())
    return BandGain(
        band, int(inside.sum()), dialogues, first, last, last - first, low if known else None, high if known else None
    )
