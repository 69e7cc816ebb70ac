"""`rarec replay`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rarec.cli.command import command
from rarec.cli.console import err, out, plain
from rarec.cli.evaluation import show_results, telling


@command
def replay(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A finished run, as rarec evaluate makes it.")],
    write: Annotated[
        bool, typer.Option("--write", help="Write metrics.json and the page again, also if the figures differ.")
    ] = False,
    as_json: Annotated[
        str | None, typer.Option("--json", metavar="OUT", help="Write the figures as JSON to a file; - is stdout.")
    ] = None,
) -> None:
    """Compute the figures of a run again from its own predictions, without its data set, a model or a network.

    They must be identical to those in metrics.json, to the last digit; if not, the first difference is shown and the
    exit code is 8. With --write the figures and the page are written anew.

    Example: rarec replay runs/bench
    """
    from rarec.errors import ReplayDiffers
    from rarec.evaluate.runner import finish
    from rarec.evaluate.runner import replay as compute

    with telling("done") as tell:
        again = compute(folder, progress=tell)
    if as_json is not None:
        show_results(again.results, as_json, against=again.against)
    if write:
        finish(folder, again.results, against=again.against)
        err().print(f"Wrote the figures and the page in {folder} anew.")
    if again.difference is None:
        out().print(f"Identical: {len(again.results.blocks)} tables of {folder}, to the last digit.")
        return
    err().print(f"The figures differ from metrics.json, first at {plain(again.difference)}", style="red")
    raise typer.Exit(ReplayDiffers.exit_code)
