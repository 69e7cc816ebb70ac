"""The plots of the page. Each is drawn narrow enough for a phone; wider pages set several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from matplotlib.ticker import FuncFormatter, MaxNLocator

from rarec.pages.canvas import axes_of, beside, rows_of
from rarec.pages.svg import GREY, INK, MUTED, SERIES, Drawing, drawing_style, drawn
from rarec.pages.wording import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 460, 240
_BARS = 60
_SHORT_OF = ((1_000_000, "M"), (1_000, "k"))


def shares(found: Mapping[str, float], title: str, *, key: str) -> Drawing:
    """A bar for each name; `found` is not empty, its values lie between 0 and 1."""
    with drawing_style():
        figure, axes = rows_of(list(found), right=64, width=WIDTH)
        values = list(found.values())
        axes.barh(range(len(values)), values, height=0.62, color=SERIES[0])
        axes.set_xlim(0, max(1.0, *values) if max(values) > 0.5 else max(values) * 1.05 or 1.0)
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:.4g} %"))
        for row, value in enumerate(values):
            beside(axes, row, percent(value), colour=INK)
        axes.set_title(title, loc="left", fontsize=12, color=INK, parse_math=False)
        return drawn(figure, key=key, title=title, description="One bar a name; its share stands to the right of it.")


def years(counts: Mapping[int, int], fences: tuple[int, int] | None, *, key: str) -> Drawing:
    """Items by year, several years a bar where there are many; what lies beyond the fences is in the outermost bars."""
    low, high = min(counts), max(counts)
    if fences is not None:
        low, high = max(low, fences[0] - 1), min(high, fences[1] + 1)
    width = -(-(high - low + 1) // _BARS)
    heights = [0] * (-(-(high - low + 1) // width))
    for year, count in counts.items():
        heights[(min(max(year, low), high) - low) // width] += count
    with drawing_style():
        figure, axes = axes_of(WIDTH, HEIGHT, left=48, bottom=36, right=24)  # half of a year that stands at the end
        starts = [low + width * place for place in range(len(heights))]
        axes.bar(starts, heights, width=width * 0.9, align="edge", color=SERIES[0])
        for fence in fences or ():
            if low <= fence <= high:
                axes.axvline(fence, color=GREY, linewidth=1, linestyle=(0, (4, 2)))
        axes.set_xlim(low, high + 1)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
        _counts(axes, heights, "Items by year" if width == 1 else f"Items by year, {width} years a bar")
        return drawn(figure, key=key, title="Items by year", description=f"From {low} to {high}, {width} years a bar.")


def lengths(bins: Sequence[tuple[int, int, int]], *, key: str) -> Drawing:
    """Items by length of text, in bins that double; the first is of items without one."""
    names = ["none" if not low else _short(low) for low, _, _ in bins]
    heights = [count for _, _, count in bins]
    with drawing_style():
        figure, axes = axes_of(WIDTH, HEIGHT, left=48, bottom=36)
        colours = [GREY if not low else SERIES[0] for low, _, _ in bins]
        axes.bar(range(len(heights)), heights, width=0.8, color=colours)
        axes.set_xticks(range(len(names)), names, parse_math=False, fontsize=9)
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.set_xlabel("characters, from", fontsize=10, loc="right", labelpad=2)
        _counts(axes, heights, "Length of the text")
        description = "Each bar's lengths are twice those of the bar before it."
        return drawn(figure, key=key, title="Items by length of their text", description=description)


def _counts(axes: Axes, heights: Sequence[int], title: str) -> None:
    """The axis of counts."""
    axes.set_ylim(0, max(heights) * 1.05 or 1)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", colors=MUTED)
    axes.set_title(title, loc="left", fontsize=12, color=INK, parse_math=False)


def _short(value: float) -> str:
    """``850``, ``12k``, ``1.5M``."""
    for size, letter in _SHORT_OF:
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.0f}"
