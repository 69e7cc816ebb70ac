"""Curves over the iterations of a run, a panel for each fact of the log, a line for each seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, MaxNLocator

from rarec.alignment.reading import SeedRun
from rarec.pages.canvas import PX, axes_of
from rarec.pages.svg import GREY, GRID, INK, MUTED, SERIES, Drawing, drawing_style, drawn
from rarec.pages.wording import MINUS, clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 340, 200
_WINDOW = 10
"""The moving average is over this part of the iterations: a tenth."""
Values = Sequence[float]


@dataclass(frozen=True, slots=True)
class Panel:
    """One fact of the log; `below` says what it is."""

    fact: str
    title: str
    below: str
    zero: bool = True


PANELS = (
    Panel(
        "reward", "Mean reward", "Of the sets, as the judge ranked them, or by what people did with them.", zero=False
    ),
    Panel("kl", "KL to the reference", "Of the first draw, in nats: how far the policy went from where it started."),
    Panel("truth in set", "Sets that hold the truth", "Share of sets that were drawn with at least one true item."),
    Panel("no signal", "Turns without signal", "Share of turns all of whose sets have the same reward."),
    Panel("one reward a turn", "Turns of one reward", "Share of turns that had one set, or sets of the same reward."),
    Panel("importance weight", "Importance weight", "Mean over sets: how probable they are now against when logged."),
    Panel("degraded", "Degraded", "Share of sets to which the judge gave no usable answer."),
    Panel(
        "position slope",
        "Position slope",
        "Ranks lost for each place that an item is shown later: 0 does not care, 1 repeats the order shown.",
    ),
    Panel("nll", "NLL of the truth", "In nats, over the catalogue and further negatives.", zero=False),
    Panel("loss rl", "Loss of the learner", "Without the NLL. It need not fall while the reward rises.", zero=False),
    Panel("loss", "Whole loss", "That of the learner and the weighted NLL.", zero=False),
    Panel("grad norm", "Gradient norm", "Before it is clipped."),
)


@dataclass(frozen=True, slots=True)
class Validation:
    """One fact of the validations. `dashed`: another one that is drawn beside it; `chooses`: the best weights by it."""

    fact: str
    title: str
    below: str
    dashed: str = ""
    chooses: bool = False


VALIDATIONS = (
    Validation(
        "ndcg@10 judged", "NDCG@10", "After the judge (solid) and alone (dashed).", "ndcg@10 alone", chooses=True
    ),
    Validation(
        "score",
        "Score",
        "Mean of NDCG@10 alone and agreement (solid), NDCG@10 alone (dashed).",
        "ndcg@10 alone",
        chooses=True,
    ),
    Validation("agreement", "Agreement", "Share of people's preferences that the retriever's order keeps."),
    Validation("refused in first 10", "Refused in first 10", "Share of the refused items; lower is better."),
)
"""Those that a log has are drawn, in this order."""
_CHOSEN = " Ring and line: the iteration whose weights were chosen."


@dataclass(frozen=True, slots=True)
class Curve:
    """A drawing, and what it shows."""

    drawing: Drawing
    below: str


def colours_of(seeds: Sequence[SeedRun]) -> dict[int, str]:
    """Seed -> colour; from the seventh on grey."""
    return {seed.seed: SERIES[at] if at < len(SERIES) else GREY for at, seed in enumerate(seeds)}


def legend_mark(colour: str, name: str, *, key: str) -> Drawing:
    """The piece of line that stands beside a seed in the legend."""
    with drawing_style():
        figure = Canvas(figsize=(30 / PX, 12 / PX))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, 1)
        axes.plot([0.04, 0.96], [0, 0], color=colour, linewidth=2)
        return drawn(figure, key=key, title=f"How {clean(name)} is drawn", description="A piece of its line.")


def window_of(iterations: int) -> int:
    """How many iterations the moving average is over."""
    return max(1, iterations // _WINDOW)


def moving_average(values: Values, window: int) -> list[float]:
    """The mean of each value and up to window - 1 before it; NaN are left out; without another value it is NaN.

    >>> moving_average([1.0, 3.0, 5.0], 2)
    [1.0, 2.0, 4.0]
    """
    found: list[float] = []
    for end in range(1, len(values) + 1):
        known = [value for value in values[max(0, end - window) : end] if isfinite(value)]
        found.append(sum(known) / len(known) if known else nan)
    return found


def fact_of(lines: Sequence[Mapping[str, Any]], fact: str) -> list[float]:
    """A fact of each line; NaN where it is not known."""
    return [float(value) if isinstance(value := line.get(fact), (int, float)) else nan for line in lines]


def curves(seeds: Sequence[SeedRun]) -> list[Curve]:
    """One for each fact that a log has, in the order of `PANELS`."""
    made: list[Curve] = []
    with drawing_style():
        for panel in PANELS:
            lines = {seed.seed: fact_of(seed.iterations, panel.fact) for seed in seeds}
            if any(isfinite(value) for values in lines.values() for value in values):
                made.append(Curve(_panel(panel, lines, colours_of(seeds), key=f"curve-{len(made)}"), panel.below))
    return made


def validation_curves(seeds: Sequence[SeedRun]) -> list[Curve]:
    """Of each fact that the validations have, and the iteration whose weights were chosen."""
    with drawing_style():
        return [
            Curve(_validation(one, seeds, key=f"validation-{place}"), one.below + _CHOSEN * one.chooses)
            for place, one in enumerate(VALIDATIONS)
            if any(one.fact in line for seed in seeds for line in seed.validations)
        ]


def _validation(shown: Validation, seeds: Sequence[SeedRun], *, key: str) -> Drawing:
    figure, axes = axes_of(_WIDTH, _HEIGHT, left=44, bottom=36)
    colours = colours_of(seeds)
    for seed in seeds:
        colour, at = colours[seed.seed], [int(line["iteration"]) for line in seed.validations]
        values, best = fact_of(seed.validations, shown.fact), int(seed.figures["best"])
        axes.axvline(best, color=colour if len(seeds) > 1 else MUTED, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
        if shown.dashed:
            beside_it = fact_of(seed.validations, shown.dashed)
            axes.plot(at, beside_it, color=colour, linestyle=(0, (4, 2)), linewidth=1.2, marker=".", markersize=4)
        axes.plot(at, values, color=colour, linewidth=2, marker="o", markersize=4, gid=f"seed-{seed.seed}")
        if shown.chooses and best in at:
            axes.plot([best], [values[at.index(best)]], color=colour, marker="o", markersize=9, markerfacecolor="none")
    names = [name for name in (shown.fact, shown.dashed) if name]
    heights = _Heights.of(v for seed in seeds for name in names for v in fact_of(seed.validations, name))
    last = max(int(seed.figures["iterations"]) for seed in seeds)
    _finish(axes, f"Validation: {shown.title}", heights, last=last, zero=False)
    return drawn(
        figure,
        key=key,
        title=f"{shown.title} on validation turns over iterations",
        description=shown.below + _CHOSEN * shown.chooses,
        names={f"seed-{seed.seed}": f"seed {seed.seed}" for seed in seeds},
    )


def _panel(panel: Panel, lines: Mapping[int, Values], colours: Mapping[int, str], *, key: str) -> Drawing:
    figure, axes = axes_of(_WIDTH, _HEIGHT, left=44, bottom=36)
    for seed, values in lines.items():
        window = window_of(len(values))
        if window > 1:
            axes.plot(range(len(values)), values, color=colours[seed], linewidth=0.8, alpha=0.5)
        average = moving_average(values, window)
        marker = "" if len(values) > 1 else "o"
        axes.plot(
            range(len(values)), average, color=colours[seed], linewidth=1.8, marker=marker, markersize=5,
            gid=f"seed-{seed}",
        )  # fmt: skip
    heights = _Heights.of(value for values in lines.values() for value in values)
    _finish(axes, panel.title, heights, last=max(map(len, lines.values())), zero=panel.zero)
    return drawn(
        figure,
        key=key,
        title=f"{panel.title} over iterations",
        description="One line a seed: the moving average, and faint behind it each iteration.",
        names={f"seed-{seed}": f"seed {seed}" for seed in lines},
    )


@dataclass(frozen=True, slots=True)
class _Heights:
    min: float
    max: float

    @staticmethod
    def of(values: Iterable[float]) -> _Heights:
        known = [value for value in values if isfinite(value)] or [0.0]
        return _Heights(min(known), max(known))


def _finish(axes: Axes, title: str, heights: _Heights, *, last: int, zero: bool) -> None:
    low, high = (0.0, max(heights.max, 0.0)) if zero and heights.min >= 0 else (heights.min, heights.max)
    margin = 0.06 * (high - low) or 0.5
    low, high = low if low == 0 and zero else low - margin, high + margin
    if low < 0 < high:
        axes.axhline(0, color=GRID, linewidth=1.4, zorder=0)
    axes.set_ylim(low, high)
    axes.set_xlim(-0.02 * max(1, last), 1.02 * max(1, last))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _tick(value, high - low)))
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.set_title(title, loc="left", fontsize=12, color=INK, parse_math=False)
    axes.set_xlabel("iterations", fontsize=10, loc="right", labelpad=2)


def _tick(value: float, extent: float) -> str:
    digits = 0 if extent >= 10 else 1 if extent >= 2 else 2 if extent >= 0.1 else 3 if extent >= 0.01 else 4
    text = f"{abs(value):.{digits}f}"
    if not float(text):
        return "0"
    return (MINUS if value < 0 else "") + (text.removeprefix("0") if text.startswith("0.") else text)
