"""A run as its page shows it: every figure as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isfinite
from pathlib import PurePath
from typing import Any

from rarec.alignment.comparing import FIGURES_OF, Comparison, compared, deviation
from rarec.alignment.reading import AlignedRun, SeedRun
from rarec.alignment.report.curves import PANELS, fact_of
from rarec.alignment.slicing import BandGain
from rarec.pages.sheets import Cell, Column, Row, Sheet, flattened
from rarec.pages.wording import DASH, money, number, quantity, signed, signed_span

_TENTHS = 10
_SECRET = ("base_url", "api_key_env")


def mean_name(run: AlignedRun) -> str:
    """What figures of all seeds are called."""
    return f"seed {run.seeds[0].seed}" if len(run.seeds) == 1 else f"mean of {len(run.seeds)} seeds"


def results_sheet(run: AlignedRun) -> Sheet:
    """Seeds, and their mean where there are several, by figure: before, after and gain with its interval."""
    rows = [Row(f"seed {seed.seed}", _compared_cells([seed])) for seed in run.seeds]
    if len(run.seeds) > 1:
        rows.append(Row(mean_name(run), _compared_cells(run.seeds)))
    columns = [Column(head) for _ in FIGURES_OF for head in ("before", "after", "gain")]
    groups = [Column(name if name.startswith("truth") else f"NDCG@10 {name}", width=3) for name in FIGURES_OF]
    return Sheet("results", columns, rows, groups)


def _compared_cells(seeds: Sequence[SeedRun]) -> list[Cell]:
    cells: list[Cell] = []
    for name in FIGURES_OF:
        found = compared([seed.results for seed in seeds], name)
        spread = deviation([compared([seed.results], name).gain for seed in seeds])
        cells += [
            Cell(number(found.before)),
            Cell(number(found.after)),
            Cell(
                signed(found.gain),
                signed_span(found.low, found.high),
                "" if spread is None else f"±{number(spread)}",
                leads=bool(found.shows),
            ),
        ]
    return cells


def effort_sheet(run: AlignedRun) -> Sheet:
    """What each seed did and took, and their sum where there are several."""
    priced = bool((run.recipe.get("judge") or {}).get("prices"))
    heads = ("iterations", "chosen", "calls", "tokens", "US dollars", "ended because")
    rows = [
        Row(
            f"seed {seed.seed}",
            [
                Cell(quantity(own["iterations"])),
                Cell("the start" if own["best"] == 0 else f"after {quantity(own['best'])}"),
                Cell(quantity(own["calls"])),
                Cell(quantity(own["tokens"])),
                Cell(money(own["usd"]) if priced else DASH),
                Cell(str(own["stopped"])),
            ],
        )
        for seed in run.seeds
        for own in (seed.figures,)
    ]
    if len(run.seeds) > 1:
        calls, tokens, usd = (sum(seed.figures[name] for seed in run.seeds) for name in ("calls", "tokens", "usd"))
        known = (quantity(calls), quantity(tokens), money(usd) if priced else DASH)
        rows.append(Row("all seeds", [Cell(text) for text in ("", "", *known, "")]))
    return Sheet("effort", [Column(head) for head in heads], rows)


def validation_sheet(seed: SeedRun) -> Sheet:
    """Every validation of a seed; the chosen one is bold."""
    names = ("ndcg@10 judged", "ndcg@10 alone", "truth in candidates")
    rows = [
        Row(
            f"after {quantity(line['iteration'])} iterations",
            [
                *(Cell(_fact(line.get(name)), leads=line["iteration"] == seed.figures["best"]) for name in names),
                Cell(quantity(line.get("calls"))),
            ],
        )
        for line in seed.validations
    ]
    return Sheet("validations", [Column(name) for name in (*names, "calls so far")], rows)


def tenths_sheet(seed: SeedRun) -> Sheet | None:
    """Facts of the log averaged over tenths of the iterations; None where the log has none."""
    shown = [panel for panel in PANELS if any(map(isfinite, fact_of(seed.iterations, panel.fact)))]
    count = len(seed.iterations)
    if not shown:
        return None
    ends = sorted({round(count * part / _TENTHS) for part in range(_TENTHS + 1)})
    rows: list[Row] = []
    for start, end in pairwise(ends):
        cells: list[Cell] = []
        for panel in shown:
            known = [v for v in fact_of(seed.iterations[start:end], panel.fact) if isfinite(v)]
            cells.append(Cell(_fact(sum(known) / len(known) if known else None)))
        rows.append(Row(f"{start + 1:,} to {end:,}" if end - start > 1 else f"{end:,}", cells))
    return Sheet("tenths", [Column(panel.title) for panel in shown], rows)


def slices_sheet(name: str, bands: Sequence[BandGain]) -> Sheet:
    """The bands of one slice."""
    columns = [Column(head) for head in ("turns", "dialogues", "before", "after", "gain")]
    rows = [
        Row(
            band.band,
            [
                Cell(quantity(band.turns)),
                Cell(quantity(band.dialogues)),
                Cell(number(band.before)),
                Cell(number(band.after)),
                Cell(
                    signed(band.gain),
                    DASH if band.low is None or band.high is None else signed_span(band.low, band.high),
                ),
            ],
        )
        for band in bands
    ]
    return Sheet(name, columns, rows)


def about(run: AlignedRun, whole: Comparison) -> list[tuple[str, str]]:
    """What the figures stand on: (name, text)."""
    data, sets = run.recipe.get("data") or {}, run.recipe.get("sets") or {}
    learner = run.recipe.get("learner") or {}
    return [
        ("data set", f"{data.get('name', DASH)}: learned from {data.get('training', DASH)}"),
        ("measured on", f"{run.seeds[0].figures.get('on', DASH)}; {quantity(whole.dialogues)} dialogues"),
        ("judge", run.judge),
        ("learner", str(learner.get("name", DASH))),
        ("sets", f"{sets.get('n', DASH)} items, {sets.get('groups', DASH)} sets a turn"),
        ("seeds", ", ".join(str(seed.seed) for seed in run.seeds)),
        ("date", run.date),
    ]


def protocol_of(run: AlignedRun) -> str:
    """How the figures are measured, in sentences."""
    n = (run.recipe.get("sets") or {}).get("n", "n")
    return (
        "NDCG@10 of each turn, averaged over turns. What the turn recommended and the conversation had not mentioned "
        "is its truth; all of it counts against the ideal. Candidates are the items of the data set's catalogue "
        f"without those mentioned. After the judge: the retriever's first {n}, shown in random order, as the judge "
        "ranks them (where it gave no answer, in the retriever's order). Alone: in the retriever's order. Truth in "
        f"candidates: the share of a turn's truth among these {n}. Small figures are 95 % intervals of the gain, "
        "paired bootstrap over whole dialogues, 2,000 draws. A gain is bold only if its interval excludes zero."
    )


def settings(run: AlignedRun) -> list[tuple[str, str]]:
    """The recipe and the weights as (dotted name, value); of folders the last name, and nothing of an account."""
    recipe = {name: value for name, value in run.recipe.items() if name != "bundle"}
    data = dict(recipe.get("data") or {})
    if data.get("folder"):
        data["folder"] = PurePath(str(data["folder"])).name
    judge = {name: value for name, value in (recipe.get("judge") or {}).items() if name not in _SECRET}
    weights = {f"seed {seed.seed}": f"sha256 {seed.figures['weights']}" for seed in run.seeds}
    known = {**recipe, "data": data, "judge": judge, "weights": weights}
    return [(name, text) for name, text in flattened(_without_nothing(known)) if text]


def _without_nothing(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without_nothing(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if value is not None
    }


def _fact(value: object) -> str:
    if not isinstance(value, (int, float)) or not isfinite(value):
        return DASH
    return number(value) if abs(value) < 10 else quantity(value, digits=1)


__all__ = [
    "about",
    "effort_sheet",
    "mean_name",
    "protocol_of",
    "results_sheet",
    "settings",
    "slices_sheet",
    "tenths_sheet",
    "validation_sheet",
]
