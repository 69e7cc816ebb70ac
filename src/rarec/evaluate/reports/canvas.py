"""Axes of fixed size and their ticks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from rarec.evaluate.reports.svg import GRID

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PX = 72
"""matplotlib counts in inches and points; with this resolution a point is a CSS pixel of the drawing."""
TOP = 26


def axes_of(width: float, height: float, *, left: float, bottom: float, right: float = 10) -> tuple[Canvas, Axes]:
    """Sizes in CSS pixels; margins are fixed, so that panels line up and nothing depends on measured text."""
    figure = Canvas(figsize=(width / PX, height / PX), dpi=PX)
    box = (left / width, bottom / height, (width - left - right) / width, (height - TOP - bottom) / height)
    return figure, figure.add_axes(box)


def share_axis(axes: Axes) -> None:
    digits = 2 if axes.get_ylim()[1] >= 0.1 else 3
    # Steps of 1, 2 and 5 need no further digit.
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value, digits=digits)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)


def tick_text(value: float, *, digits: int) -> str:
    return "0" if not round(value, 6) else f"{value:.{digits}f}".removeprefix("0")
