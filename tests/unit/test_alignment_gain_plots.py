"""Plots of gains: one scale for several, and what lies beyond it."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("matplotlib")

from rarec.alignment.report.gain_plots import GainRow, Scale, gain_plot

NEAR = GainRow("2000s", 0.1, 0.05, 0.2, firm=True)
FAR = GainRow("before 1980, of which there are few", -0.8, -1.0, 0.1, firm=False)


def uprights(markup: str) -> set[str]:
    """Where the grid and the zero are."""
    found = re.findall(r'd="M ([\d.]+) [\d.]+\s+L ([\d.]+) [\d.]+\s*"', markup)
    return {start for start, end in found if start == end}


def test_plots_of_one_scale_have_their_zero_and_grid_at_the_same_places() -> None:
    scale = Scale.of([NEAR, FAR], room_for=[NEAR])
    drawn = [uprights(gain_plot("Gain", rows, key="a", scale=scale).markup) for rows in ([NEAR], [FAR], [FAR, NEAR])]
    assert drawn[0] == drawn[1] == drawn[2]
    assert len(drawn[0]) > 2
    assert uprights(gain_plot("Gain", [NEAR], key="a").markup) != uprights(gain_plot("Gain", [FAR], key="a").markup)


def test_the_scale_holds_what_it_has_room_for_or_else_everything() -> None:
    scale = Scale.of([NEAR, FAR], room_for=[NEAR])
    assert (scale.holds(NEAR), scale.holds(FAR)) == (True, False)
    assert scale.low < 0 < scale.high
    everything = Scale.of([NEAR, FAR], room_for=[])
    assert everything.holds(NEAR)
    assert everything.holds(FAR)
    assert Scale.of([GainRow("none", 0.0, None, None, firm=False)], room_for=[]).low < 0


def test_a_gain_beyond_the_axis_is_an_arrow_at_its_end() -> None:
    def drawn(gain: float) -> str:
        row = GainRow("few", gain, None, None, firm=False)
        markup = gain_plot("Gain", [row], key="a", scale=Scale.of([NEAR], room_for=[NEAR])).markup
        return re.sub(r"<text.*?</text>", "", markup, flags=re.DOTALL)

    assert drawn(0.7) == drawn(0.9)
    assert len({drawn(0.9), drawn(0.1), drawn(-0.9)}) == 3
    assert drawn(-0.7) == drawn(-0.9)
