"""Axes of fixed size, axes with one line a name, and their ticks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from rarec.pages.svg import GRID, INK
from rarec.pages.wording import MINUS, clean, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PX = 72
"""matplotlib counts in inches and points; with this resolution a point is a CSS pixel of the drawing."""
TOP = 26
WIDE = 540
_NAME, _ROW = 32, 20


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


def rows_of(
    names: Sequence[str], *, right: float, above: int = 0, width: float = WIDE, also: Sequence[str] = ()
) -> tuple[Canvas, Axes]:
    """Axes with one line a name, the first on top, and room for lines above it.

    Args:
        also: names of other axes, which then begin at the same place.
    """
    shown, others = ([shortened(clean(name), _NAME) for name in some] for some in (names, also))
    left = 14 + 5.7 * max(map(len, [*shown, *others]))
    figure, axes = axes_of(width, TOP + 30 + _ROW * (len(names) + above), left=left, bottom=30, right=right)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), shown, parse_math=False, color=INK)
    axes.spines["left"].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="x")
    return figure, axes


def beside(axes: Axes, row: int, text: str, *, colour: str) -> None:
    """Text to the right of a row."""
    axes.text(1.02, row, text, transform=axes.get_yaxis_transform(), va="center", color=colour, fontsize=10)


def difference_axis(axes: Axes, *, digits: int) -> None:
    """Signed ticks along the horizontal axis."""

    def label(value: float) -> str:
        sign = MINUS if value < 0 else "+"
        return "0" if not round(value, 6) else sign + tick_text(abs(value), digits=digits)

    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: label(value)))
