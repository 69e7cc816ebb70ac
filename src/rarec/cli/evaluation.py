"""What `rarec evaluate`, `replay` and `compare` do between their options and the library."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rarec.cli.command import Interrupted
from rarec.cli.console import err, out
from rarec.cli.progress import staged

if TYPE_CHECKING:
    from rarec.evaluate.quick import EvaluateSettings
    from rarec.evaluate.results import Results

RUNS = Path("runs")


@dataclass(frozen=True, slots=True)
class Bench:
    """A recipe, and where its run goes."""

    recipe: Path
    data: Path | None
    bundle: Path | None
    out: Path | None
    cache: Path | None
    force: bool
    fresh: bool


def run_bench(bench: Bench, as_json: str | None) -> None:
    """Run a recipe into its folder, and show the figures."""
    from rarec.assembly import default_bundle
    from rarec.evaluate.context import Resources
    from rarec.evaluate.folder import REPORT, opened
    from rarec.evaluate.recipe import load_recipe
    from rarec.evaluate.runner import run_recipe

    recipe = load_recipe(bench.recipe, data=bench.data)
    root = bench.out or RUNS / recipe.run.name
    try:
        with opened(root, name=recipe.run.name, force=bench.force) as folder, telling("done") as tell:
            if bench.fresh:
                folder.forget()
            resources = Resources(
                bundle=bench.bundle or default_bundle(), cache=bench.cache or folder.cache, progress=tell
            )
            run = run_recipe(recipe, resources=resources, folder=folder)
    except KeyboardInterrupt:
        raise Interrupted(f"What is finished is in {root}; run the same command again to go on.") from None
    show_results(run.results, as_json, against=recipe.run.against)
    if run.older:
        err().print(f"Made by other code than this: {', '.join(run.older)}. --fresh computes them again.")
    page = root / REPORT
    err().print(f"Wrote {root}; open {page}." if page.exists() else f"Wrote {root}.")


def run_quick(settings: EvaluateSettings, as_json: str | None, predictions: Path | None) -> None:
    """One file of examples, one table."""
    from rarec.evaluate.quick import run_evaluation

    with telling("done") as tell:
        table = run_evaluation(settings, progress=tell)
    if predictions is not None:
        table.write_predictions(predictions)
    _write(table.to_json(), as_json)
    _print(table.run.results, as_json, against=settings.against)


def show_results(results: Results, as_json: str | None, *, against: str | None = None) -> None:
    """The tables, and the figures as JSON if they are asked for."""
    _write(results.to_json(), as_json)
    _print(results, as_json, against=against)


@contextmanager
def telling(unit: str) -> Iterator[Callable[[str, int, int], None]]:
    """Progress by stage."""
    with staged(unit=unit) as tell:
        yield lambda stage, done, total: tell(stage, done, total, "")


def _write(text: str, as_json: str | None) -> None:
    from rarec.files import write_text

    if as_json == "-":
        sys.stdout.write(text)
    elif as_json is not None:
        write_text(Path(as_json), text)


def _print(results: Results, as_json: str | None, *, against: str | None) -> None:
    from rarec.evaluate.reports.terminal import render

    console = err() if as_json == "-" else out()
    console.print(render(results, against=against))
