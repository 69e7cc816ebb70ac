"""The plots of a block. Each is drawn narrow enough for a phone; wider pages set several side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from rarec.evaluate.reports.reading import FEW
from rarec.evaluate.results import Band, Block, Figure, SystemResult
from rarec.pages.canvas import PX, axes_of, share_axis
from rarec.pages.svg import GREY, INK, SERIES, Drawing, drawing_style, drawn
from rarec.pages.wording import clean, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVE, NARROW = 460, 340
CURVE_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (5, 1.5, 1.5, 1.5)), (0, (8, 2)), (0, (3, 2)))
_MARKERS = ("o", "s", "^", "D", "v", "P")


@dataclass(frozen=True, slots=True)
class Style:
    """How one system is drawn in every plot of a page; `slot` is 0..5, None for the grey ones."""

    slot: int | None = None

    @property
    def colour(self) -> str:
        return GREY if self.slot is None else SERIES[self.slot]

    @property
    def dashes(self) -> Any:
        return "-" if self.slot is None else _DASHES[self.slot]

    @property
    def marker(self) -> str:
        return "" if self.slot is None else _MARKERS[self.slot]


Styles = Mapping[str, Style]
PLAIN = Style()


def styles_of(coloured: Sequence[str]) -> Styles:
    """A colour, a dash pattern and a marker for each name; systems without one are grey."""
    return {name: Style(slot) for slot, name in enumerate(coloured[: len(SERIES)])}


def legend_mark(name: str, styles: Styles, *, key: str) -> Drawing:
    """The piece of line that stands beside a name in the legend."""
    style = styles.get(name, PLAIN)
    with drawing_style():
        figure = Canvas(figsize=(30 / PX, 12 / PX))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, 1)
        axes.set_ylim(-1, 1)
        width = 1.2 if style.slot is None else 2
        axes.plot([0.04, 0.96], [0, 0], color=style.colour, linestyle=style.dashes, linewidth=width)
        axes.plot([0.5], [0], color=style.colour, marker=style.marker, markersize=6)
        return drawn(figure, key=key, title=f"How {clean(name)} is drawn", description="A piece of its line.")


def recall_curve(block: Block, styles: Styles, *, key: str) -> Drawing | None:
    """R@k over k on a logarithmic axis; None if no system has a curve."""
    systems = [system for system in block.systems if system.recall_curve]
    if not systems:
        return None
    deepest = max(len(system.recall_curve) for system in systems)
    with drawing_style():
        figure, axes = axes_of(CURVE, 310, left=44, bottom=40)
        for order, system in enumerate(_grey_first(systems, styles)):
            _curve(axes, system, styles.get(system.system, PLAIN), gid=f"s{order}")
        axes.set_xscale("log")
        axes.set_xlim(1, max(deepest, 2) * 1.04)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(FixedLocator([k for k in CURVE_TICKS if k <= deepest]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda k, _: f"{k:.0f}"))
        axes.xaxis.set_minor_locator(NullLocator())
        share_axis(axes)
        axes.set_xlabel("k (logarithmic)")
        axes.set_title("R@k", loc="left", fontsize=12, color=INK)
        return drawn(
            figure,
            key=key,
            title=f"Recall by length of the list, {clean(block.data_set)}, {clean(block.protocol)}",
            description=f"One line a system, recall at k for k from 1 to {deepest}; lines end where the lists do.",
            names={f"s{order}": clean(s.system) for order, s in enumerate(_grey_first(systems, styles))},
        )


def _curve(axes: Axes, system: SystemResult, style: Style, *, gid: str) -> None:
    ks = range(1, len(system.recall_curve) + 1)
    marks = [k - 1 for k in CURVE_TICKS if k <= len(system.recall_curve)]
    axes.plot(
        ks, list(system.recall_curve), color=style.colour, linestyle=style.dashes, gid=gid,
        linewidth=1 if style.slot is None else 2, marker=style.marker, markersize=5, markevery=marks,
        zorder=2 if style.slot is None else 3,
    )  # fmt: skip


def band_measures(block: Block) -> list[str]:
    """The measures that the bands have figures of, in the order of the block, others after them."""
    found = dict.fromkeys(m for s in block.systems for bands in s.slices.values() for b in bands for m in b.figures)
    return [m for m in block.measures if m in found] + [m for m in found if m not in block.measures]


def reliability(block: Block, styles: Styles, *, key: str) -> list[Drawing]:
    """One panel a slice: the measure by band with its interval for the coloured systems, the others grey.

    The measure is R@10, or the first that the bands have. Each has its own vertical axis from zero.
    """
    measures = band_measures(block)
    if not measures:
        return []
    measure = "R@10" if "R@10" in measures else measures[0]
    names = dict.fromkeys(name for system in block.systems for name in system.slices)
    with drawing_style():
        return [_panel(block, styles, name, measure, key=f"{key}-{order}") for order, name in enumerate(names)]


def _heights(systems: Sequence[SystemResult], name: str, measure: str, styles: Styles) -> Iterable[float]:
    """How high the axis must reach: what stands on few rows does not stretch it, unless there is nothing else."""
    known = [
        (band, figure, system.system in styles)
        for system in systems for band in system.slices[name]
        if (figure := _figure(band, measure)) is not None
    ]  # fmt: skip
    firm = [one for one in known if not _alone(one[0], one[1])]
    for _, figure, coloured in firm or known:
        yield (figure.high if coloured else None) or figure.value or 0.0


def _panel(block: Block, styles: Styles, name: str, measure: str, *, key: str) -> Drawing:
    systems = [system for system in block.systems if system.slices.get(name)]
    bands = systems[0].slices[name]
    many = len(bands) > 5
    figure, axes = axes_of(NARROW, 230, left=40, bottom=56 if many else 44)
    top = max(_heights(systems, name, measure, styles), default=0.0) * 1.05 or 1.0
    coloured = [system.system for system in systems if system.system in styles]
    names = {}
    for order, system in enumerate(_grey_first(systems, styles)):
        names[f"s{order}"] = clean(system.system)
        style = styles.get(system.system, PLAIN)
        shift = 0.0 if style.slot is None else (coloured.index(system.system) - (len(coloured) - 1) / 2) * 0.11
        _bands(axes, system.slices[name], measure, style, shift=shift, gid=f"s{order}", top=top)
    axes.set_xlim(-0.5, len(bands) - 0.5)
    axes.set_ylim(0, top)
    labels = [_label(band, wrapped=many) for band in bands]
    axes.set_xticks(range(len(bands)), labels, parse_math=False, fontsize=9 if many else 10)
    share_axis(axes)
    axes.set_title(f"{measure} by {clean(name)}", loc="left", fontsize=12, color=INK, parse_math=False)
    return drawn(
        figure,
        key=key,
        title=f"{clean(measure)} by {clean(name)}, {clean(block.data_set)}, {clean(block.protocol)}",
        description=f"Bands from left to right: {', '.join(clean(b.band) for b in bands)}; rows below each name.",
        names=names,
    )


def _label(band: Band, *, wrapped: bool) -> str:
    text = shortened(clean(band.band), 12)
    return f"{text.replace(' ', chr(10), 1) if wrapped else text}\n{band.n:,}"


def _bands(
    axes: Axes, bands: Sequence[Band], measure: str, style: Style, *, shift: float, gid: str, top: float
) -> None:
    """Bands side by side are joined; those of few rows or without an interval stand alone, hollow."""
    grey = style.slot is None
    look: dict[str, Any] = {"color": style.colour, "gid": gid, "zorder": 2 if grey else 3, "alpha": 0.8 if grey else 1}
    known = [
        (x + shift, band, figure) for x, band in enumerate(bands) if (figure := _figure(band, measure)) is not None
    ]
    alone = [(x, figure) for x, band, figure in known if _alone(band, figure)]
    if len(alone) < len(known):
        # A value that is none breaks the line.
        heights = [float("nan") if _alone(band, figure) else figure.value or 0.0 for _, band, figure in known]
        axes.plot(
            [x for x, _, _ in known], heights, linestyle=style.dashes, linewidth=0.8 if grey else 1.2,
            marker=style.marker or ".", markersize=1.5 if grey else 4.5, **look,
        )  # fmt: skip
    if alone:
        heights = [min(figure.value or 0.0, top) for _, figure in alone]
        axes.plot(
            [x for x, _ in alone], heights, linestyle="none", marker=style.marker or "o", clip_on=False,
            markersize=2 if grey else 4.5, markerfacecolor="none", markeredgewidth=0.6 if grey else 1, **look,
        )  # fmt: skip
    for x, _, figure in known if not grey else ():
        if figure.low is not None and figure.high is not None:
            axes.plot([x, x], [figure.low, figure.high], color=style.colour, linewidth=1.2, zorder=3)


def _figure(band: Band, measure: str) -> Figure | None:
    """None where nothing is known."""
    figure = band.figures.get(measure)
    return figure if figure is not None and figure.value is not None else None


def _alone(band: Band, figure: Figure) -> bool:
    return band.n < FEW or figure.low is None or figure.high is None


def _grey_first(systems: Sequence[SystemResult], styles: Styles) -> list[SystemResult]:
    """Coloured lines lie over grey ones."""
    return sorted(systems, key=lambda system: system.system in styles)
