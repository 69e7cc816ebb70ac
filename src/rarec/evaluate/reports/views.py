"""A block as the page shows it: every figure as text, in the order of the block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rarec.evaluate.reports import reading
from rarec.evaluate.results import Band, Block, Figure, Generation, Pair, SystemResult
from rarec.pages.sheets import Cell, Column, Row, Sheet
from rarec.pages.wording import money, number, percent, quantity, signed, signed_span, span


def main_sheet(block: Block) -> Sheet:
    """Systems by measures, each figure with its interval."""
    _, marks = reading.notes_of(block)
    groups = reading.group_column(block, aligned=True)
    rows = [
        Row(
            reading.shown_name(system),
            [_main_cell(block, system, measure) for measure in block.measures],
            sorted(marks.get(system.system, ())),
            group,
        )
        for system, group in zip(block.systems, groups.cells if groups else [""] * len(block.systems), strict=True)
    ]
    return Sheet("figures", [Column(measure) for measure in block.measures], rows)


def _main_cell(block: Block, system: SystemResult, measure: str) -> Cell:
    figure = reading.figure_of(system, measure)
    deviation = system.seed_sd.get(measure) if system.seeds > 1 and figure.value is not None else None
    return Cell(
        number(figure.value, lower_bound=system.lower_bound),
        _below(figure),
        f"±{number(deviation)}" if deviation is not None else "",
        reading.leads(block, system, measure),
    )


def _below(figure: Figure) -> str:
    return "" if figure.low is None or figure.high is None else span(figure.low, figure.high)


def band_sheets(block: Block, measures: Sequence[str]) -> list[Sheet]:
    """One table for each measure that bands have: systems by the bands of every slice."""
    slices: dict[str, Sequence[Band]] = {}
    for system in block.systems:
        for name, bands in system.slices.items():
            slices.setdefault(name, bands)
    columns = [Column(band.band, f"{band.n:,}") for bands in slices.values() for band in bands]
    groups = [Column(name, width=len(bands)) for name, bands in slices.items() if bands]
    return [
        Sheet(measure, columns, [_band_row(system, slices, measure) for system in block.systems], groups)
        for measure in measures
    ]


def _band_row(system: SystemResult, slices: Mapping[str, Sequence[Band]], measure: str) -> Row:
    cells = []
    for name, bands in slices.items():
        own = {band.band: band for band in system.slices.get(name, ())}
        for band in bands:
            figure = own[band.band].figures.get(measure, reading.UNKNOWN) if band.band in own else reading.UNKNOWN
            cells.append(Cell(number(figure.value, lower_bound=system.lower_bound), _below(figure)))
    return Row(system.system, cells)


def beyond_sheet(block: Block) -> Sheet | None:
    """Coverage, popularity bias, diversity, with a bar as a share of the column's highest; None without any."""
    names = list(dict.fromkeys(name for system in block.systems for name in system.beyond))
    if not names:
        return None
    highest = {name: max((s.beyond.get(name) or 0.0 for s in block.systems), default=0.0) for name in names}

    def cell(value: float | None, top: float) -> Cell:
        share = value / top if value is not None and value > 0 and top > 0 else None
        return Cell(number(value) if value is None or abs(value) < 10 else quantity(value, digits=1), share=share)

    rows = [Row(s.system, [cell(s.beyond.get(name), highest[name]) for name in names]) for s in block.systems]
    return Sheet("beyond accuracy", [Column(name) for name in names], rows)


GENERATION: Sequence[tuple[Column, Callable[[Generation], str]]] = (
    (Column("calls"), lambda g: quantity(g.calls)),
    (Column("named", "per turn"), lambda g: quantity(g.named_per_turn, digits=1)),
    (Column("ungrounded", "of named"), lambda g: percent(g.ungrounded)),
    (Column("repeated", "of named"), lambda g: percent(g.repeated)),
    (Column("repaired", "of calls"), lambda g: percent(g.repaired)),
    (Column("degraded", "of calls"), lambda g: percent(g.degraded)),
    (Column("median", "ms"), lambda g: quantity(g.latency_ms_p50)),
    (Column("95th percentile", "ms"), lambda g: quantity(g.latency_ms_p95)),
    (Column("tokens in", "per turn"), lambda g: quantity(g.input_tokens)),
    (Column("tokens out", "per turn"), lambda g: quantity(g.output_tokens)),
    (Column("US dollars", "per turn"), lambda g: money(g.cost_usd)),
)


def generation_sheet(block: Block) -> Sheet | None:
    """What the language models did; None if there is none."""
    rows = [
        Row(reading.shown_name(system), [Cell(text(system.generation)) for _, text in GENERATION])
        for system in block.systems
        if system.generation is not None
    ]
    return Sheet("language models", [column for column, _ in GENERATION], rows) if rows else None


@dataclass(frozen=True, slots=True)
class PairRow:
    """A paired difference as text."""

    a: str
    b: str
    measure: str
    delta: str
    interval: str
    separates: bool
    detectable: str
    a_only: str
    b_only: str


def pair_rows(block: Block, pairs: Sequence[Pair]) -> list[PairRow]:
    return [
        PairRow(
            pair.a,
            pair.b,
            pair.measure,
            reading.bound_sign(block, pair) + signed(pair.delta),
            signed_span(pair.low, pair.high),
            reading.shows(block, pair),
            number(pair.minimum_detectable),
            number(pair.a_only),
            number(pair.b_only),
        )
        for pair in pairs
    ]
