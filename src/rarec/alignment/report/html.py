"""The folder of an alignment run -> one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rarec.alignment.comparing import Comparison, compared
from rarec.alignment.example_choice import chosen
from rarec.alignment.figures import Figure
from rarec.alignment.reading import AlignedRun, read_run
from rarec.alignment.report.example_views import example_groups
from rarec.alignment.slicing import BandGain, gains_by_slice
from rarec.alignment.verdicts import cautions, verdict
from rarec.files import write_text
from rarec.pages.sheets import Sheet
from rarec.pages.templates import environment, need_matplotlib

if TYPE_CHECKING:
    from rarec.alignment.report.gain_plots import GainRow, Scale
    from rarec.pages.svg import Drawing

REPORT = "report.html"
_SLICES = {
    "popularity": "Training conversations that mention the true item, or chose it",
    "year": "Year of the true item",
    "turn": "Messages before the turn",
    "mentions": "Items mentioned before the turn",
}


def write_report(folder: str | Path) -> Path:
    """Write ``report.html`` into a finished run's folder, from its files alone; equal files give equal bytes.

    Raises:
        StoreError: a file is missing or damaged, or the page cannot be written.
        MissingExtra: matplotlib or jinja2 is not installed.
    """
    path = Path(folder) / REPORT
    write_text(path, page(read_run(folder)))
    return path


def page(run: AlignedRun) -> str:
    """The page's text; raises MissingExtra as `write_report` does."""
    need_matplotlib()
    from rarec.alignment.report import curves, views

    whole = [(figure, compared(run.results, figure.name)) for figure in run.measured]
    first, (leading, led) = run.seeds[0], whole[0]
    gains = [result.gain(leading.name) for result in first.results]
    colours = curves.colours_of(run.seeds)
    sliced = gains_by_slice(run.report, run.results, leading)
    scale = _scale_of(sliced)
    return (
        environment(__package__)
        .get_template("page.html.j2")
        .render(
            heading=str(run.recipe.get("name") or "") or run.folder.resolve().name,
            date=run.date,
            verdicts=[verdict(figure, found) for figure, found in whole],
            cautions=cautions([seed.figures for seed in run.seeds]),
            about=views.about(run, led),
            protocol=views.protocol_of(run),
            counts=views.counts_of(whole),
            leading=leading.title,
            judged=run.judged,
            whose=views.mean_name(run),
            seeds=[seed.seed for seed in run.seeds],
            results=views.results_sheet(run),
            gains=_gains_plot(run, whole),
            effort=views.effort_sheet(run),
            legend=[
                (curves.legend_mark(colour, f"seed {seed}", key=f"legend-{place}"), seed)
                for place, (seed, colour) in enumerate(colours.items())
            ],
            validations=curves.validation_curves(run.seeds),
            curves=curves.curves(run.seeds),
            window=curves.window_of(max(len(seed.iterations) for seed in run.seeds)),
            logs=[(seed.seed, views.validation_sheet(seed), views.tenths_sheet(seed)) for seed in run.seeds],
            slices=_slice_pages(sliced, scale),
            stretched=not all(map(scale.holds, _band_rows(_bands(sliced)))),
            held_out=all(bool(seed.figures.get("held out", True)) for seed in run.seeds),
            example_seed=first.seed,
            better=sum(gain > 0 for gain in gains),
            worse=sum(gain < 0 for gain in gains),
            same=sum(gain == 0 for gain in gains),
            groups=example_groups(chosen(first.results, leading.name), leading.name, run.report),
            settings=views.settings(run),
            folder=run.folder.resolve().name,
        )
    )


@dataclass(frozen=True, slots=True)
class SlicePage:
    """Everything that the template says of one slice."""

    name: str
    what: str
    plot: Drawing
    sheet: Sheet


def _bands(sliced: Mapping[str, Sequence[BandGain]]) -> list[BandGain]:
    return [band for bands in sliced.values() for band in bands]


def _scale_of(sliced: Mapping[str, Sequence[BandGain]]) -> Scale:
    """With room for the bands of enough dialogues: a few wild ones would press these together."""
    from rarec.alignment.report.gain_plots import Scale

    bands = _bands(sliced)
    return Scale.of(_band_rows(bands), room_for=_band_rows([band for band in bands if not band.few]))


def _slice_pages(sliced: Mapping[str, Sequence[BandGain]], scale: Scale) -> list[SlicePage]:
    from rarec.alignment.report import views
    from rarec.alignment.report.gain_plots import gain_plot

    return [
        SlicePage(
            name,
            _SLICES.get(name, ""),
            gain_plot(f"Gain by {name}", _band_rows(bands), key=f"slice-{place}", scale=scale),
            views.slices_sheet(name, bands),
        )
        for place, (name, bands) in enumerate(sliced.items())
    ]


def _band_rows(bands: Sequence[BandGain]) -> list[GainRow]:
    from rarec.alignment.report.gain_plots import GainRow

    def excludes_zero(band: BandGain) -> bool:
        return not band.few and band.low is not None and band.high is not None and (band.low > 0 or band.high < 0)

    return [
        GainRow(f"{band.band} · n = {band.turns:,}", band.gain, band.low, band.high, excludes_zero(band))
        for band in bands
    ]


def _gains_plot(run: AlignedRun, whole: Sequence[tuple[Figure, Comparison]]) -> Drawing:
    """Each seed's gain of the leading figure where there are several, and then all figures of their mean."""
    from rarec.alignment.report.gain_plots import GainRow, gain_plot

    def row(figure: Figure, found: Comparison, whose: str = "") -> GainRow:
        return GainRow(f"{figure.name}{whose}", found.gain, found.low, found.high, bool(found.shows(figure)))

    if len(run.seeds) == 1:
        return gain_plot("Gain", [row(*pair) for pair in whole], key="gains")
    leading, _ = whole[0]
    rows = [row(leading, compared([s.results], leading.name), f", seed {s.seed}") for s in run.seeds]
    return gain_plot("Gain", rows + [row(*pair, ", mean") for pair in whole], key="gains")
