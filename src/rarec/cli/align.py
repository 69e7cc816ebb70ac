"""`rarec align`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rarec.cli.command import Interrupted, command
from rarec.cli.console import err, out
from rarec.cli.evaluation import RUNS
from rarec.cli.plans import cost_rows, two_columns
from rarec.cli.progress import LOADING, staged
from rarec.progress import stage

if TYPE_CHECKING:
    from rarec.alignment import AlignRecipe
    from rarec.alignment.plan import AlignPlan
    from rarec.feedback import FeedbackEvent


EVENTS = "events.jsonl"


@command
def align(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe (TOML), see recipes/align_inspired.toml.")],
    out_folder: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Of the run. Default: runs/ and the recipe's name.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be asked and what it would cost; ask nothing.")
    ] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Train anew from the ledgers of a finished run, without the judge.")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="Write the page of a finished run again, from its files alone.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", envvar="RAREC_DATA", help="Data folder. Default: as the recipe says."),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="To start from, where the recipe names none. Default: the shipped one."),
    ] = None,
    from_service: Annotated[
        str | None,
        typer.Option(
            "--from-service",
            metavar="STORE",
            help="Learn from the feedback in the database of this store, or at this URL; for a recipe with kind = "
            '"people". It is written to events.jsonl in the run\'s folder, and that file counts from then on.',
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keeps embeddings, for several runs. Default: in the run's folder."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Of torch. Default: as many as there are cores.")
    ] = None,
) -> None:
    """Align a retriever with a judge: it learns to offer what the language model can use.

    Every iteration draws candidate sets from the retriever as it is, has them ranked, and takes a step. With kind =
    "people" the sets are those that people saw, the reward is what they did, and nothing is asked. The folder holds a
    ledger of all that was asked and answered, a log, TensorBoard scalars, the aligned bundle, what was served at every
    report turn before and after, and a page that shows all of it, report.html. After Ctrl-C or a crash the same command
    goes on without paying twice.

    --replay ends with exit code 8 if the weights differ, and says at which iteration that began.

    Example: rarec align recipes/align_inspired.toml --dry-run
    Example: rarec align mine.toml --from-service my-store --out runs/november
    """
    from rarec.errors import InputError, ReplayDiffers

    if dry_run + replay + report > 1:
        raise InputError("--dry-run, --replay and --report do not go together; give one of them")
    with staged(unit="done") as tell, stage(tell, LOADING):
        import torch

        from rarec.alignment import Resources, load_align_recipe
        from rarec.alignment import align as run_alignment
        from rarec.alignment.recipe import check_files
        from rarec.alignment.run import plan
        from rarec.assembly import default_bundle
    from_events = None if from_service is None else (out_folder or RUNS / recipe.stem) / EVENTS
    settings = load_align_recipe(recipe, data=data, events=from_events)
    folder = out_folder or RUNS / (settings.name if from_events is None else recipe.stem)
    if report:
        out().print(f"Wrote {_page_of(folder)}.")
        return
    check_files(settings, events=from_service is None)
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        with staged(unit="done") as tell:
            events = (
                None if from_service is None or from_events is None else _events(from_service, from_events, dry_run)
            )
            resources = Resources(bundle=bundle or default_bundle(), cache=cache, progress=tell, events=events)
            if dry_run:
                planned = plan(settings, out=folder, resources=resources)
            else:
                result = run_alignment(settings, out=folder, resources=resources, replay=replay)
    except KeyboardInterrupt:
        raise Interrupted(f"What was answered is in {folder}; run the same command again to go on.") from None
    finally:
        torch.set_num_threads(before)
    if dry_run:
        _show_plan(planned, settings)
        return
    _show_figures(result.figures)
    if result.equal is not None:
        if not result.equal:
            raise ReplayDiffers(f"the weights are NOT those of the run: {result.difference}")
        out().print("The weights are equal bit for bit.")
    out().print(f"Wrote {', '.join(map(str, result.bundles))}.")
    if not replay:
        _write_page(folder)
        out().print("Whether one of them may take the place of a store's live bundle: rarec promote --help")


def _events(place: str, file: Path, dry_run: bool) -> list[FeedbackEvent] | None:
    """Write what the service's database holds to the file, unless a run has done so before; in a dry run give it."""
    from rarec.cli.opening import service_database
    from rarec.errors import InputError
    from rarec.feedback import event_line
    from rarec.files import write_text
    from rarec.state import StateDatabase, events_of

    if file.exists():
        err().print(f"The run goes on with the feedback in {file}; give another --out to learn from what came since.")
        return None
    with StateDatabase.open(service_database(place)) as database:
        found = list(events_of(database))
    if not found:
        raise InputError(f"{place!r} holds no feedback yet; it comes with POST /v1/feedback, or from the page")
    if dry_run:
        return found
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, "".join(event_line(event) + "\n" for event in found))
    return None


def _write_page(folder: Path) -> None:
    """Without the packages of the page there is only a remark: the run is finished, and --report makes up for it."""
    from rarec.errors import MissingExtra

    try:
        out().print(f"Open {_page_of(folder)}.")
    except MissingExtra as error:
        err().print(f"No page is written: {error}; then run the same command with --report.")


def _page_of(folder: Path) -> Path:
    from rarec.alignment.report import write_report

    with staged(unit="done") as tell, stage(tell, "write the page"):
        return write_report(folder)


def _show_plan(plan: AlignPlan, recipe: AlignRecipe) -> None:
    people = recipe.judge.kind == "people"
    left_out = "events left out" if people else "others recommend nothing new"
    held_out = "held-out turns" if people else "other turns" if recipe.data.report else "tuning turns"
    split = f" of {recipe.data.report!r}" if recipe.data.report else ""
    calls = f"{plan.calls:,} = {plan.learning:,} to learn + {plan.validation:,} to validate + {plan.report:,} to report"
    calls += f" - {plan.answered:,} that are answered" if plan.answered else ""
    rows = [
        ("turns to learn from", f"{plan.turns:,} ({plan.left_out:,} {left_out})"),
        (held_out, f"{plan.tuning:,} to choose weights, {plan.reporting:,}{split} for figures"),
        ("items", f"{plan.items:,}"),
        ("iterations", f"{recipe.loop.iterations:,} of {recipe.loop.batch} turns, {plan.epochs:.1f} epochs"),
        ("seeds", str(len(recipe.seeds))),
        ("calls", calls),
        *cost_rows(plan),
        ("memory, about", f"{plan.memory_bytes / 2**20:,.0f} MiB"),
    ]
    out().print(two_columns(f"What {recipe.name} would ask at most", rows))
    for remark in plan.remarks:
        out().print(remark)


def _show_figures(figures: Mapping[str, Any]) -> None:
    from rich.table import Table

    from rarec.alignment.comparing import Comparison
    from rarec.alignment.figures import figures_named
    from rarec.alignment.verdicts import cautions, chosen_weights, verdict

    seeds, means = figures["seeds"], figures["mean of seeds"]
    measured = figures_named(means)
    for seed, found in seeds.items():
        title = f"Seed {seed}: {chosen_weights(found)}, on {found['on']}"
        table = Table("figure", "before", "after", "gain", "95 %", title=title, title_justify="left")
        for figure in measured:
            part = found[figure.name]
            interval = f"[{part['low']:+.4f}, {part['high']:+.4f}]"
            table.add_row(
                figure.head, f"{part['before']:.4f}", f"{part['after']:.4f}", f"{part['gain']:+.4f}", interval
            )
        out().print(table)
    leading = measured[0]
    whole = Comparison(**{field.name: means[leading.name][field.name] for field in fields(Comparison)})
    sentence = verdict(leading, whole)
    out().print(sentence if len(seeds) == 1 else f"Mean of {len(seeds)} seeds. {sentence}")
    for caution in cautions(list(seeds.values())):
        out().print(caution)
