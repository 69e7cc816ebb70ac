"""A run as its page shows it: every figure as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isfinite
from pathlib import PurePath
from typing import Any

from rarec.alignment.comparing import Comparison, compared, deviation
from rarec.alignment.figures import Figure
from rarec.alignment.reading import AlignedRun, SeedRun
from rarec.alignment.report.curves import PANELS, fact_of
from rarec.alignment.slicing import BandGain
from rarec.alignment.verdicts import counts
from rarec.pages.sheets import Cell, Column, Row, Sheet, flattened
from rarec.pages.wording import DASH, money, number, quantity, signed, signed_span

_TENTHS = 10
_SECRET = ("base_url", "api_key_env")
_VALIDATED = ("ndcg@10 judged", "score", "agreement", "ndcg@10 alone", "truth in candidates", "refused in first 10")


def mean_name(run: AlignedRun) -> str:
    """What figures of all seeds are called."""
    return f"seed {run.seeds[0].seed}" if len(run.seeds) == 1 else f"mean of {len(run.seeds)} seeds"


def results_sheet(run: AlignedRun) -> Sheet:
    """Seeds, and their mean where there are several, by figure: before, after and gain with its interval."""
    rows = [Row(f"seed {seed.seed}", _compared_cells([seed], run.measured)) for seed in run.seeds]
    if len(run.seeds) > 1:
        rows.append(Row(mean_name(run), _compared_cells(run.seeds, run.measured)))
    columns = [Column(head) for _ in run.measured for head in ("before", "after", "gain")]
    return Sheet("results", columns, rows, [Column(figure.head, width=3) for figure in run.measured])


def counts_of(whole: Sequence[tuple[Figure, Comparison]]) -> str:
    """The turns of the leading figure, and those of figures that not all of these turns have."""
    (_, led), *rest = whole
    fewer = [f"{figure.title} on {counts(own.turns, own.dialogues)}" for figure, own in rest if own.turns != led.turns]
    return counts(led.turns, led.dialogues) + (f" ({', '.join(fewer)})" if fewer else "")


def _compared_cells(seeds: Sequence[SeedRun], figures: Sequence[Figure]) -> list[Cell]:
    cells: list[Cell] = []
    for figure in figures:
        found = compared([seed.results for seed in seeds], figure.name)
        spread = deviation([compared([seed.results], figure.name).gain for seed in seeds])
        cells += [
            Cell(number(found.before)),
            Cell(number(found.after)),
            Cell(
                signed(found.gain),
                signed_span(found.low, found.high),
                "" if spread is None else f"±{number(spread)}",
                leads=bool(found.shows(figure)),
            ),
        ]
    return cells


def effort_sheet(run: AlignedRun) -> Sheet:
    """What each seed did and took, and their sum where there are several."""
    judge = run.recipe.get("judge") or {}
    free, priced = judge.get("kind") != "endpoint", bool(judge.get("prices"))

    def spent(tokens: int, usd: float, *, at_most: bool) -> tuple[str, str]:
        told = f"at most {quantity(tokens)}" if at_most else quantity(tokens)
        return told if tokens else DASH, "nothing" if free else money(usd) if priced else DASH

    heads = ("iterations run", "weights kept", "calls", "tokens", "US dollars", "ended because")
    rows = [
        Row(
            f"seed {seed.seed}",
            [
                Cell(quantity(own["iterations"])),
                Cell("the start's" if own["best"] == 0 else f"of iteration {quantity(own['best'])}"),
                Cell(quantity(own["calls"])),
                *map(Cell, spent(own["tokens"], own["usd"], at_most=own.get("tokens at most", False))),
                Cell(str(own["stopped"])),
            ],
        )
        for seed in run.seeds
        for own in (seed.figures,)
    ]
    if len(run.seeds) > 1:
        calls, tokens, usd = (sum(seed.figures[name] for seed in run.seeds) for name in ("calls", "tokens", "usd"))
        at_most = any(seed.figures.get("tokens at most", False) for seed in run.seeds)
        known = (quantity(calls), *spent(tokens, usd, at_most=at_most))
        rows.append(Row("all seeds", [Cell(text) for text in ("", "", *known, "")]))
    return Sheet("effort", [Column(head) for head in heads], rows)


def validation_sheet(seed: SeedRun) -> Sheet:
    """Every validation of a seed; the chosen one is bold."""
    names = [name for name in _VALIDATED if any(name in line for line in seed.validations)]
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
        ("data set", f"{data.get('name', DASH)}: learned from {run.figures.get('learned from', DASH)}"),
        ("measured on", f"{run.seeds[0].figures.get('on', DASH)}; {quantity(whole.dialogues)} dialogues"),
        ("judge", run.judge),
        ("learner", str(learner.get("name", DASH))),
        (
            "sets",
            f"{sets.get('n', DASH)} items, {sets.get('groups', DASH)} sets a turn"
            if run.judged
            else "as people were shown them",
        ),
        ("seeds", ", ".join(str(seed.seed) for seed in run.seeds)),
        ("date", run.date),
    ]


_RECOMMENDED = "What the turn recommended and the conversation had not mentioned is its truth"
_CHOSEN = "What people liked, or clicked where they liked nothing, is a turn's truth, where there is any"


def protocol_of(run: AlignedRun) -> str:
    """How the figures are measured, in sentences."""
    n = (run.recipe.get("sets") or {}).get("n", "n")
    return (
        f"Figures are averages over the turns that have them. {_RECOMMENDED if run.judged else _CHOSEN}; all of it "
        "counts against the ideal of NDCG@10. Candidates are the items of the data set's catalogue without those "
        "mentioned. "
        f"{' '.join(figure.what.format(n=n) for figure in run.measured)} Small figures are 95 % intervals of the gain, "
        "paired bootstrap over whole dialogues, 2,000 draws. A gain is bold only if its interval excludes zero."
    )


def settings(run: AlignedRun) -> list[tuple[str, str]]:
    """The recipe and the weights as (dotted name, value); of paths the last name, and nothing of an account."""
    recipe = {name: value for name, value in run.recipe.items() if name != "bundle"}
    asked = {
        part: {name: value for name, value in (recipe.get(part) or {}).items() if name not in _SECRET}
        for part in ("judge", "embedder")
    }
    weights = {f"seed {seed.seed}": f"sha256 {seed.figures['weights']}" for seed in run.seeds}
    known = flattened(_without_nothing({**recipe, **asked, "weights": weights}))
    return [(name, PurePath(text).name if PurePath(text).is_absolute() else text) for name, text in known if text]


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
    "counts_of",
    "effort_sheet",
    "mean_name",
    "protocol_of",
    "results_sheet",
    "settings",
    "slices_sheet",
    "tenths_sheet",
    "validation_sheet",
]
