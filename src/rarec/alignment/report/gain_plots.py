"""Gains with their intervals, one row each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rarec.pages.canvas import beside, difference_axis, rows_of
from rarec.pages.svg import INK, MUTED, Drawing, drawing_style, drawn
from rarec.pages.wording import clean, signed, signed_span

_WIDTH = 430
"""Of a plot in CSS pixels: a phone shows it whole."""


@dataclass(frozen=True, slots=True)
class GainRow:
    """One gain; without an interval `low` and `high` are None. `firm`: the interval shows a difference from zero."""

    name: str
    gain: float
    low: float | None
    high: float | None
    firm: bool


def gain_plot(title: str, rows: Sequence[GainRow], *, key: str, axis: Sequence[GainRow] = ()) -> Drawing:
    """Rows from top to bottom, at least one.

    Args:
        axis: rows that the horizontal axis has room for, those of several plots for one scale; else `rows`.
    """
    with drawing_style():
        figure, axes = rows_of([row.name for row in rows], right=124, width=_WIDTH)
        axes.axvline(0, color=MUTED, linewidth=1, zorder=1)
        for place, row in enumerate(rows):
            colour = INK if row.firm else MUTED
            text = signed(row.gain)
            if row.low is not None and row.high is not None:
                axes.plot([row.low, row.high], [place, place], color=colour, linewidth=1.5, solid_capstyle="butt")
                text += f" {signed_span(row.low, row.high)}"
            face = colour if row.firm else "none"
            axes.plot([row.gain], [place], marker="o", markersize=5, color=colour, markerfacecolor=face)
            beside(axes, place, text, colour=colour)
        ends = [0.0] + [end for row in axis or rows for end in (row.gain, row.low, row.high) if end is not None]
        low, high = min(ends), max(ends)
        margin = (high - low) * 0.04 or 0.5
        axes.set_xlim(low - margin, high + margin)
        difference_axis(axes, digits=2 if high - low >= 0.1 else 3)
        axes.set_title(title, loc="left", fontsize=12, color=INK, parse_math=False)
        return drawn(
            figure,
            key=key,
            title=clean(title),
            description="One row each: after alignment minus before, a dot, with its 95 % interval, a line.",
        )
