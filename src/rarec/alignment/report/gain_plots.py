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


@dataclass(frozen=True, slots=True)
class Scale:
    """What several plots have in common.

    Attributes:
        names: of all their rows; the axes begin at the same place.
        low, high: ends of the horizontal axis; the zero lies between them.
    """

    names: tuple[str, ...]
    low: float
    high: float

    @staticmethod
    def of(rows: Sequence[GainRow], *, room_for: Sequence[GainRow]) -> Scale:
        """Of plots with these rows; the axis has room for some of them, or, if these are none, for all."""
        ends = [0.0] + [end for row in room_for or rows for end in (row.gain, row.low, row.high) if end is not None]
        margin = (max(ends) - min(ends)) * 0.04 or 0.5
        return Scale(tuple(row.name for row in rows), min(ends) - margin, max(ends) + margin)

    def holds(self, row: GainRow) -> bool:
        """Whether a row lies on the axis with all of its interval."""
        ends = (row.gain if end is None else end for end in (row.gain, row.low, row.high))
        return all(self.low <= end <= self.high for end in ends)


def gain_plot(title: str, rows: Sequence[GainRow], *, key: str, scale: Scale | None = None) -> Drawing:
    """Rows from top to bottom, at least one. A gain beyond the axis is an arrow at its end.

    Args:
        scale: of several plots; None makes one of these rows.
    """
    scale = scale or Scale.of(rows, room_for=rows)
    with drawing_style():
        figure, axes = rows_of([row.name for row in rows], right=124, width=_WIDTH, also=scale.names)
        axes.axvline(0, color=MUTED, linewidth=1, zorder=1)
        for place, row in enumerate(rows):
            colour = INK if row.firm else MUTED
            text = signed(row.gain)
            if row.low is not None and row.high is not None:
                axes.plot([row.low, row.high], [place, place], color=colour, linewidth=1.5, solid_capstyle="butt")
                text += f" {signed_span(row.low, row.high)}"
            face = colour if row.firm else "none"
            beyond = (row.gain > scale.high) - (row.gain < scale.low)
            axes.plot(
                [min(max(row.gain, scale.low), scale.high)], [place], marker=("o", ">", "<")[beyond], markersize=5,
                color=colour, markerfacecolor=face, clip_on=False, gid=f"gain-{place}",
            )  # fmt: skip
            beside(axes, place, text, colour=colour)
        axes.set_xlim(scale.low, scale.high)
        difference_axis(axes, digits=2 if scale.high - scale.low >= 0.1 else 3)
        axes.set_title(title, loc="left", fontsize=12, color=INK, parse_math=False)
        return drawn(
            figure,
            key=key,
            title=clean(title),
            description="One row each: after alignment minus before, a dot, with its 95 % interval, a line.",
        )
