"""Plots with one line a system: differences, overlap, latency and cost."""

from __future__ import annotations

import statistics
from typing import Any

from matplotlib.ticker import MaxNLocator

from rarec.evaluate.reports.reading import bound_sign, compared_with, shows
from rarec.evaluate.results import Block
from rarec.pages.canvas import beside, difference_axis, rows_of
from rarec.pages.svg import BAND, GREY, INK, MUTED, SERIES, Drawing, drawing_style, drawn
from rarec.pages.wording import (
    clean,
    level_text,
    money,
    number,
    quantity,
    shortened,
    signed,
    signed_span,
)

_HEAD: dict[str, Any] = {"color": MUTED, "fontsize": 10, "parse_math": False}


def differences(block: Block, reference: str | None, *, key: str) -> Drawing | None:
    """Each system minus the reference on the headline measure with its interval; None where none was compared."""
    pairs = compared_with(block, reference)
    if not pairs:
        return None
    with drawing_style():
        figure, axes = rows_of([pair.a for pair in pairs], right=124)
        detectable = statistics.median(pair.minimum_detectable for pair in pairs)
        axes.axvspan(-detectable, detectable, color=BAND, zorder=0, linewidth=0)
        axes.axvline(0, color=MUTED, linewidth=1, zorder=1)
        for row, pair in enumerate(pairs):
            colour = INK if shows(block, pair) else MUTED
            axes.plot([pair.low, pair.high], [row, row], color=colour, linewidth=1.5, solid_capstyle="butt")
            face = colour if shows(block, pair) else "none"
            axes.plot([pair.delta], [row], marker="o", markersize=5, color=colour, markerfacecolor=face)
            text = f"{bound_sign(block, pair)}{signed(pair.delta)} {signed_span(pair.low, pair.high)}"
            beside(axes, row, text, colour=colour)
        low, high = min(-detectable, *(p.low for p in pairs)), max(detectable, *(p.high for p in pairs))
        margin = (high - low) * 0.04 or 0.5
        axes.set_xlim(low - margin, high + margin)
        difference_axis(axes, digits=2 if high - low >= 0.1 else 3)
        axes.set_title(f"Difference in {block.headline}", loc="left", fontsize=12, color=INK, parse_math=False)
        return drawn(
            figure,
            key=key,
            title=f"Difference in {clean(block.headline)} from {clean(reference)}",
            description=f"One row a system: it minus {clean(reference)}, with its {level_text(block.level)} interval.",
        )


def overlap(block: Block, reference: str | None, *, key: str) -> Drawing | None:
    """What each system finds and the reference misses, and the other way; None where that is not known."""
    pairs = [p for p in compared_with(block, reference) if p.a_only is not None and p.b_only is not None]
    if not pairs:
        return None
    with drawing_style():
        figure, axes = rows_of([pair.a for pair in pairs], right=12, above=1)
        widest = max(max(p.a_only or 0.0, p.b_only or 0.0) for p in pairs) or 1.0
        for row, pair in enumerate(pairs):
            for share, sign, colour in ((pair.a_only or 0.0, 1, SERIES[0]), (pair.b_only or 0.0, -1, GREY)):
                axes.barh([row], [sign * share], height=0.62, color=colour, linewidth=0)
                axes.annotate(
                    number(share), (sign * share, row), xytext=(sign * 4, 0), textcoords="offset points", fontsize=10,
                    ha="left" if sign > 0 else "right", va="center", color=MUTED,
                )  # fmt: skip
        axes.axvline(0, color=MUTED, linewidth=1)
        axes.set_xlim(-widest * 1.35, widest * 1.35)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        axes.set_ylim(len(pairs) - 0.5, -1.5)
        axes.text(-widest * 0.03, -1, f"only {shortened(clean(reference), 22)}", ha="right", va="center", **_HEAD)
        axes.text(widest * 0.03, -1, "only this system", ha="left", va="center", **_HEAD)
        axes.set_title("Targets among the first ten of only one", loc="left", fontsize=12, color=INK)
        return drawn(
            figure,
            key=key,
            title=f"Targets that only one of two finds, against {clean(reference)}",
            description=f"To the right the share of rows that only the system finds, to the left {clean(reference)}.",
        )


def latency(block: Block, *, key: str) -> Drawing | None:
    """Median and 95th percentile of the calls on a logarithmic axis; None where no latency is known."""
    known = [
        (system.system, system.generation.latency_ms_p50, system.generation.latency_ms_p95)
        for system in block.systems
        if system.generation is not None and system.generation.latency_ms_p50 is not None
    ]
    if not known:
        return None
    with drawing_style():
        figure, axes = rows_of([name for name, _, _ in known], right=112)
        for row, (_, median, late) in enumerate(known):
            seconds, slow = median / 1000, (late or median) / 1000
            axes.plot([seconds, slow], [row, row], color=MUTED, linewidth=1.5)
            axes.plot([seconds], [row], marker="o", markersize=6, color=SERIES[0])
            axes.plot([slow], [row], marker="|", markersize=9, markeredgewidth=2, color=MUTED)
            text = f"{quantity(seconds, digits=2)} s, {quantity(slow, digits=2)} s"
            beside(axes, row, text, colour=MUTED)
        ends = [value / 1000 for _, median, late in known for value in (median, late or median)]
        axes.set_xlim(0, max(ends) * 1.06 or 1.0)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_title("Seconds a call: median, 95th percentile", loc="left", fontsize=12, color=INK)
        return drawn(
            figure,
            key=key,
            title=f"Latency of the language models, {clean(block.data_set)}, {clean(block.protocol)}",
            description="One row a system: a dot at the median, a stroke at the 95th percentile, in seconds.",
        )


def cost(block: Block, *, key: str) -> Drawing | None:
    """US dollars per thousand turns; None where no cost is known."""
    known = [
        (system.system, system.generation.cost_usd * 1000)
        for system in block.systems
        if system.generation is not None and system.generation.cost_usd is not None
    ]
    if not known:
        return None
    with drawing_style():
        figure, axes = rows_of([name for name, _ in known], right=64)
        for row, (_, dollars) in enumerate(known):
            axes.barh([row], [dollars], height=0.62, color=SERIES[0], linewidth=0)
            beside(axes, row, money(dollars), colour=MUTED)
        axes.set_xlim(0, max(dollars for _, dollars in known) * 1.06 or 1.0)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_title("US dollars per thousand turns", loc="left", fontsize=12, color=INK)
        return drawn(
            figure,
            key=key,
            title=f"Cost of the language models, {clean(block.data_set)}, {clean(block.protocol)}",
            description="One bar a system, US dollars per thousand turns.",
        )
