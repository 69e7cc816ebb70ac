"""Results -> one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rarec.errors import InputError
from rarec.evaluate.reports import reading, views
from rarec.evaluate.results import Block, Results
from rarec.files import write_text
from rarec.pages.sheets import Sheet, flattened
from rarec.pages.templates import environment, need_matplotlib
from rarec.pages.wording import clean, level_text

if TYPE_CHECKING:
    from jinja2 import Environment

    from rarec.evaluate.reports.plots import Styles
    from rarec.pages.svg import Drawing


def write_html(
    results: Results,
    path: str | Path,
    *,
    title: str = "",
    reference: str | None = None,
    coloured: Sequence[str] = (),
) -> None:
    """Write the page of a run: every figure as a table, and plots; equal results give equal bytes.

    Args:
        title: the page's heading; else the name of the run, in ``results.meta["name"]``.
        reference: the system that others are compared with; else as `reading.chosen_reference` chooses.
        coloured: at most six systems to colour in the plots; see `reading.coloured_systems` for those chosen otherwise.

    Raises:
        InputError: a name is not in the results, or there are too many.
        MissingExtra: matplotlib or jinja2 is not installed.
        StoreError: the file cannot be written.
    """
    write_text(Path(path), page(results, title=title, reference=reference, coloured=coloured))


def page(results: Results, *, title: str = "", reference: str | None = None, coloured: Sequence[str] = ()) -> str:
    """The page's text; see `write_html`."""
    _check_names(results, reference, coloured)
    template = _environment().get_template("page.html.j2")
    references = [reading.chosen_reference(block, reference) for block in results.blocks]
    chosen = list(coloured) or reading.coloured_systems(results, [one.system if one else None for one in references])
    pages = _block_pages(results, references, chosen)
    meta = dict(results.meta)
    heading = title or str(meta.pop("name", "")) or "Evaluation"
    return template.render(
        heading=heading,
        date=str(meta.pop("date", "")),
        facts=flattened(meta),
        blocks=pages,
        contents=_contents(pages),
        ungrounded=reading.UNGROUNDED_NOTE,
        few=reading.FEW,
        sentences=list(dict.fromkeys((block.protocol, block.sentence) for block in results.blocks)),
    )


@dataclass(frozen=True, slots=True)
class LegendEntry:
    mark: Drawing
    name: str


@dataclass(frozen=True, slots=True)
class BlockPage:
    """Everything that the template says of one block."""

    anchor: str
    block: Block
    counts: str
    main: Sheet
    notes: Sequence[str]
    groups: reading.GroupColumn | None
    detectable: str
    cutoffs: str
    level: str
    reference: reading.Reference | None
    differences: Drawing | None
    overlap: Drawing | None
    curve: Drawing | None
    panels: Sequence[Drawing]
    legend: Sequence[LegendEntry]
    grey: int
    beyond: Sheet | None
    generation: Sheet | None
    latency: Drawing | None
    cost: Drawing | None
    bands: Sequence[Sheet]
    pairs: Sequence[views.PairRow]


def _block_pages(
    results: Results, references: Sequence[reading.Reference | None], coloured: Sequence[str]
) -> list[BlockPage]:
    plots, rows = _plots()
    styles = plots.styles_of(coloured)
    return [
        _block_page((plots, rows), block, reference, styles, anchor=f"block-{place}")
        for place, (block, reference) in enumerate(zip(results.blocks, references, strict=True), start=1)
    ]


def _block_page(
    drawers: tuple[Any, Any], block: Block, reference: reading.Reference | None, styles: Styles, *, anchor: str
) -> BlockPage:
    plots, rows = drawers
    names = [system.system for system in block.systems]
    against = reference and reference.system
    inside = [name for name in names if name in styles]
    return BlockPage(
        anchor=anchor,
        block=block,
        counts=reading.counts_sentence(block),
        main=views.main_sheet(block),
        notes=reading.notes_of(block)[0],
        groups=reading.group_column(block),
        detectable=reading.detectable_sentence(block),
        cutoffs=reading.cutoff_sentence(block),
        level=level_text(block.level),
        reference=reference,
        differences=rows.differences(block, against, key=f"{anchor}-differences"),
        overlap=rows.overlap(block, against, key=f"{anchor}-overlap"),
        curve=plots.recall_curve(block, styles, key=f"{anchor}-recall"),
        panels=plots.reliability(block, styles, key=f"{anchor}-bands"),
        legend=[
            LegendEntry(plots.legend_mark(name, styles, key=f"{anchor}-legend-{place}"), name)
            for place, name in enumerate(inside)
        ],
        grey=len(names) - len(inside),
        beyond=views.beyond_sheet(block),
        generation=views.generation_sheet(block),
        latency=rows.latency(block, key=f"{anchor}-latency"),
        cost=rows.cost(block, key=f"{anchor}-cost"),
        bands=views.band_sheets(block, plots.band_measures(block)),
        pairs=views.pair_rows(block, block.pairs),
    )


def _contents(pages: Sequence[BlockPage]) -> list[tuple[str, list[BlockPage]]]:
    """(data set and split, its blocks), in order."""
    found: dict[str, list[BlockPage]] = {}
    for one in pages:
        found.setdefault(f"{one.block.data_set} {one.block.split}", []).append(one)
    return list(found.items())


def _check_names(results: Results, reference: str | None, coloured: Sequence[str]) -> None:
    known = list(dict.fromkeys(system.system for block in results.blocks for system in block.systems))
    for name in (*coloured, *([] if reference is None else [reference])):
        if name not in known:
            raise InputError(f"no system {name!r} in these results; there are {known!r}")
    if len(coloured) > reading.COLOURED:
        raise InputError(f"{len(coloured)} systems to colour are too many to tell apart; give {reading.COLOURED}")


def _environment() -> Environment:
    made = environment(__package__)
    from markupsafe import escape

    # Letters that stand below one another need their spaces, which cleaning would strip at the ends.
    made.filters["letters"] = lambda group: escape(clean(group.replace(" ", "_")).replace("_", "\u00a0"))
    return made


def _plots() -> tuple[Any, Any]:
    need_matplotlib()
    from rarec.evaluate.reports import plots, row_plots

    return plots, row_plots
