"""The gain by slice: which turns became better, by what they recommend and by the conversation before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rarec.alignment.comparing import FEW, JUDGED, values_of
from rarec.alignment.report_turns import ReportTurns
from rarec.alignment.turn_results import TurnResult
from rarec.evaluate.bootstrap import ClusterBootstrap, percentiles
from rarec.evaluate.slices import Bands, context_slices, target_slices

_LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class BandGain:
    """NDCG@10 after the judge on the turns of one band.

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


def gains_by_slice(found: ReportTurns, seeds: Sequence[Sequence[TurnResult]]) -> dict[str, tuple[BandGain, ...]]:
    """By popularity and year of the truth, messages before, and items mentioned; bands without turns are left out.

    The bands are those of the evaluation. A turn with several true items stands once in the band of each, so that bands
    of popularity and of years may overlap. Of several seeds the average is taken, turn by turn.

    Raises:
        InputError: as `compared`.
    """
    before, after = values_of(seeds, JUDGED)
    draws = ClusterBootstrap([turn.gold.dialogue for turn in found.turns], generator=np.random.default_rng(0))
    sliced: dict[str, tuple[BandGain, ...]] = {}
    for name, bands in turn_slices(found).items():
        sliced[name] = tuple(
            _band_gain(band, inside, before, after, draws) for band, inside in bands.items() if inside.any()
        )
    return sliced


def turn_slices(found: ReportTurns) -> Mapping[str, Bands]:
    """Slice -> band -> which turns are in it, shape (turns,)."""
    targets = [target for turn in found.turns for target in turn.gold.targets]
    starts = np.cumsum([0, *(len(turn.gold.targets) for turn in found.turns)])[:-1]
    of_truth = target_slices([found.items[target] for target in targets])
    del of_truth["cold"]  # the first band of popularity
    sliced: dict[str, Bands] = {
        name: {band: np.logical_or.reduceat(inside, starts) for band, inside in bands.items()}
        for name, bands in of_truth.items()
    }
    return sliced | context_slices([turn.gold for turn in found.turns])


def _band_gain(
    band: str,
    inside: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    before: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    after: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    draws: ClusterBootstrap,
) -> BandGain:
    dialogues = draws.clusters(inside)
    low, high = percentiles(draws.band_means(after - before, inside), level=_LEVEL).tolist()
    known = dialogues > 1 and not np.isnan(low)
    first, last = float(before[inside].mean()), float(after[inside].mean())
    return BandGain(
        band, int(inside.sum()), dialogues, first, last, last - first, low if known else None, high if known else None
    )
