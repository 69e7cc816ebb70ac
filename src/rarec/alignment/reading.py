"""The folder of a finished run, read without its data set, its retriever or its judge.

Whoever compares runs reads `AlignedRun.seeds` of each: `SeedRun.results` has every figure turn by turn, and turns of
the same data set have the same ids.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isclose
from pathlib import Path
from typing import Any

from rarec.align.journal import LOG, read_log
from rarec.alignment.comparing import compared
from rarec.alignment.figures import JUDGED, Figure, figures_named
from rarec.alignment.records import AGAIN, read_whole
from rarec.alignment.report_turns import REPORT_TURNS, ReportTurns, named_items, read_report_turns, require_items
from rarec.alignment.turn_results import TURNS, TurnResult, figures_of, read_turn_results
from rarec.errors import StoreError

FIGURES = "figures.json"
_CLOSE = 1e-9


def seed_folder(folder: Path, seed: int) -> Path:
    """Of one seed of a run."""
    return folder / f"seed-{seed}"


@dataclass(frozen=True, slots=True, eq=False)
class SeedRun:
    """One seed of a run.

    Attributes:
        figures: as in figures.json.
        results: of the report turns, in the order of `AlignedRun.report`.
        iterations, validations: the lines of the log, in order; a validation's ``iteration`` is the number of
            iterations before it.
    """

    seed: int
    figures: Mapping[str, Any]
    results: tuple[TurnResult, ...]
    iterations: tuple[Mapping[str, Any], ...]
    validations: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, eq=False)
class AlignedRun:
    """A finished run.

    Attributes:
        figures: as in figures.json.
        recipe: as it was run; values of later versions are kept as they are.
        judge: what the judge calls itself.
        seeds: in the order of the recipe, at least one.
    """

    folder: Path
    figures: Mapping[str, Any]
    recipe: Mapping[str, Any]
    judge: str
    date: str
    report: ReportTurns
    seeds: tuple[SeedRun, ...]

    @property
    def results(self) -> list[tuple[TurnResult, ...]]:
        """Of each seed."""
        return [seed.results for seed in self.seeds]

    @property
    def measured(self) -> tuple[Figure, ...]:
        """The figures that the run has, at least one; the first leads."""
        return figures_of(self.seeds[0].results)

    @property
    def judged(self) -> bool:
        """Whether a judge was asked; else the run learned from people."""
        return self.measured[0].name == JUDGED


def read_run(folder: str | Path) -> AlignedRun:
    """Read a run and check that its files belong together.

    Raises:
        StoreError: a file is missing or damaged, or the figures are not those of the turns.
    """
    folder = Path(folder)
    figures = read_figures(folder)
    report = read_report_turns(folder)
    try:
        seeds = tuple(_seed(folder, int(seed), own, report) for seed, own in figures["seeds"].items())
        recipe, judge, date = dict(figures["recipe"]), str(figures["judge"]), str(figures["date"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(f"{str(folder / FIGURES)!r} lacks a value or has a wrong one: {error}; {AGAIN}") from error
    if not seeds:
        raise StoreError(f"{str(folder / FIGURES)!r} has no seeds; {AGAIN}")
    return AlignedRun(folder, figures, recipe, judge, date, report, seeds)


def read_figures(folder: Path) -> dict[str, Any]:
    """figures.json, with nothing checked in it. Raises StoreError if there is none, or it is damaged."""
    path = folder / FIGURES
    if not path.parent.is_dir():
        raise StoreError(
            f"there is no folder {str(path.parent)!r}; run the recipe first, or name its folder with --out"
        )
    try:
        found = json.loads(read_whole(path))
        if not isinstance(found, dict):
            raise ValueError("it is no object")
    except ValueError as error:
        raise StoreError(f"{str(path)!r} is damaged: {error}; {AGAIN}") from error
    return found


def _seed(folder: Path, seed: int, figures: Mapping[str, Any], report: ReportTurns) -> SeedRun:
    own = seed_folder(folder, seed)
    results = read_turn_results(own)
    path = own / TURNS
    asked = [(turn.gold.id, turn.gold.dialogue, turn.gold.targets) for turn in report.turns]
    if not results or [(result.turn, result.dialogue, result.truth) for result in results] != asked:
        raise StoreError(f"{str(path)!r} is not of the turns in {str(folder / REPORT_TURNS)!r}; {AGAIN}")
    require_items(folder / REPORT_TURNS, report.items, (item for result in results for item in named_items(result)))
    names = [figure.name for figure in figures_of(results)]
    if names != (said := [figure.name for figure in figures_named(figures)]):
        raise StoreError(
            f"seed {seed} has the figures {', '.join(said)} in {str(folder / FIGURES)!r}, but the turns in "
            f"{str(path)!r} have {', '.join(names)}; {AGAIN}"
        )
    for name in names:
        found = compared([results], name)
        for key in ("before", "after"):
            if not isclose(float(figures[name][key]), getattr(found, key), abs_tol=_CLOSE):
                raise StoreError(
                    f"{name}, {key}, of seed {seed} is {figures[name][key]!r} in {str(folder / FIGURES)!r}, but the "
                    f"turns in {str(path)!r} have {getattr(found, key)!r}; {AGAIN}"
                )
    iterations, validations = _log(own / LOG, int(figures["iterations"]))
    return SeedRun(seed, figures, results, iterations, validations)


def _log(path: Path, expected: int) -> tuple[tuple[Mapping[str, Any], ...], tuple[Mapping[str, Any], ...]]:
    """A line that was written twice, because a kill came before the checkpoint, counts once."""
    lines = {(facts.get("kind", ""), facts["iteration"]): facts for facts in read_log(path)}

    def of(kind: str) -> Iterator[Mapping[str, Any]]:
        return (facts for (own, _), facts in sorted(lines.items()) if own == kind)

    iterations, validations = tuple(of("")), tuple(of("validation"))
    if len(iterations) != expected or not validations:
        raise StoreError(
            f"the log {str(path)!r} has {len(iterations)} of {expected} iterations and {len(validations)} validations; "
            "delete the checkpoint beside it and run `rarec align` with the same recipe again: it learns anew from the "
            "ledger and asks nothing"
        )
    return iterations, validations
