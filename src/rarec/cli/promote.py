"""`rarec promote`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rarec.cli.command import REFUSED, Interrupted, command
from rarec.cli.console import err, out, plain, print_json
from rarec.cli.options import DATA, STORE, AsJson, Store
from rarec.cli.plans import cost_rows, two_columns
from rarec.cli.progress import LOADING, staged
from rarec.progress import stage

if TYPE_CHECKING:
    from rich.table import Table

    from rarec.alignment import AlignRecipe
    from rarec.promotion import Promotion, Question
    from rarec.promotion.plan import PromotionPlan

SPLIT = "valid"


@command
def promote(
    new: Annotated[Path | None, typer.Argument(metavar="NEW", help="Folder of the new bundle.")] = None,
    store: Store = STORE,
    recipe: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="A recipe of alignment: its data, judge and sets count. Default: as the store serves, on --data-set.",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", envvar="RAREC_DATA", help="Data folder. Default: as the recipe says."),
    ] = None,
    data_set: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where the held-out turns are, without a recipe.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Split of the held-out turns. Default: the recipe's for tuning, or valid."),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="The loss that is allowed, as a share of the live figure: 0.02 allows 2 %. With 0 the new bundle must "
            "be better.",
        ),
    ] = 0.0,
    level: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Of the interval. Default: 0.98, see docs/promotion.md.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Decide and write it down, but replace nothing; the judge is asked, --plan says how much."
        ),
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Print what the judge would be asked and what it would cost; ask nothing.")
    ] = False,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Make the bundle live again that was so before; takes no NEW.")
    ] = False,
    cache: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keeps embeddings of the data set. Default: in the store.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Of torch. Default: as many as there are cores.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put a new bundle in the place of a store's live one, if held-out turns show that it is better.

    Both bundles are measured on the same turns: NDCG@10 after the judge. The new one goes live only if the interval of
    the difference, paired and by dialogue, lies above minus the margin; else the command ends with exit code 7 and
    nothing is replaced. Turns that the new bundle was aligned to or chosen on do not count. The bundle before is kept.
    Decisions are written to promotion/decisions.jsonl in the store, and answers of the judge beside them, so that
    nothing is asked twice. Before an endpoint is asked anything, what that may cost is shown on stderr.

    --rollback undoes it.

    Example: rarec promote runs/mine/seed-0/bundle --store my-store --recipe mine.toml
    """
    from rarec.errors import InputError

    if rollback:
        if new is not None or dry_run or plan:
            raise InputError("--rollback takes neither NEW nor --dry-run nor --plan; it goes back to the bundle before")
        _roll_back(store, as_json)
        return
    if new is None:
        raise InputError("name the folder of the NEW bundle, or give --rollback")
    with staged(unit="done") as tell, stage(tell, LOADING):
        import torch

        from rarec.promotion import Resources
        from rarec.promotion import promote as decide
        from rarec.promotion.run import plan as plan_it
    question = _question(
        store, new, recipe, data=data, data_set=data_set, split=split, margin=margin, level=level, dry_run=dry_run
    )
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        with staged(unit="done") as tell:
            resources = Resources(
                cache=cache, progress=tell, planned=lambda planned: err().print(_two_columns(planned, question))
            )
            if plan:
                planned = plan_it(store, question, resources)
            else:
                found = decide(store, question, resources)
    except KeyboardInterrupt:
        raise Interrupted("What was answered is kept; run the same command again to go on.") from None
    finally:
        torch.set_num_threads(before)
    if plan:
        _show_plan(planned, question, as_json=as_json)
        return
    if as_json:
        print_json(_document(found))
    else:
        _show(found, question)
    if not found.verdict.promoted:
        raise typer.Exit(REFUSED)


def _question(
    store: Path, new: Path, recipe: Path | None, *, data: Path | None, data_set: str | None, split: str | None,
    margin: float, level: float | None, dry_run: bool,
) -> Question:  # fmt: skip
    from rarec.errors import InputError
    from rarec.promotion.gate import LEVEL
    from rarec.promotion.run import Question, recipe_of_store
    from rarec.settings import read_settings

    alone = False
    if split is not None and split.startswith("test"):
        raise InputError(f"--split {split}: nothing is decided on a test split; name another")
    if recipe is not None:
        if data_set is not None:
            raise InputError("--recipe and --data-set do not go together: the recipe names the data set")
        found = _recipe_with_split(recipe, data, split)
    elif data_set is None:
        raise InputError("say where the held-out turns are: --data-set NAME, or --recipe FILE.toml")
    else:
        found, alone = recipe_of_store(read_settings(store), name=data_set, folder=data or DATA, split=split or SPLIT)
    return Question(new, found, alone=alone, margin=margin, level=LEVEL if level is None else level, dry_run=dry_run)


def _recipe_with_split(path: Path, data: Path | None, split: str | None) -> AlignRecipe:
    from rarec.alignment import load_align_recipe
    from rarec.alignment.recipe import parse_align_recipe
    from rarec.errors import InputError

    found = load_align_recipe(path, data=data)
    if split is None:
        return found
    if split == found.data.training:
        raise InputError(f"--split {split}: the recipe {str(path)!r} learns from that split; name another")
    values = found.model_dump(mode="json")
    data_of_split = {**values["data"], "tuning": split}
    if split == found.data.report:
        data_of_split["report"] = ""
    return parse_align_recipe({**values, "data": data_of_split}, source=str(path))


def _roll_back(store: Path, as_json: bool) -> None:
    from rarec.live import before_live
    from rarec.settings import StorePaths, read_settings

    settings = read_settings(store)
    before_live(store)  # where nothing is to be undone that is said at once: what follows loads torch
    from rarec.promotion import roll_back

    was, live = roll_back(StorePaths(store), settings)
    if as_json:
        print_json({"was": was, "live": live})
    else:
        out().print(f"{store / live} is live again, {store / was} is not.")


def _show(found: Promotion, question: Question) -> None:
    verdict = found.verdict
    out().print(_table(found, question))
    word = "Promoted" if found.switched else "Would be promoted" if verdict.promoted else "Refused"
    out().print(f"{word}: {verdict.reason}.")
    if found.looks > 1:
        out().print(
            f"These turns have decided on {found.looks} new bundles by now; the more are tried, the likelier one that "
            "is no better passes by chance."
        )
    out().print(f"Live: {plain(str(found.live))}. Figures of each turn: {plain(str(found.figures))}.")


def _two_columns(plan: PromotionPlan, question: Question) -> Table:
    calls = f"{plan.calls:,} = {plan.live:,} under the live bundle + {plan.new:,} under the new one"
    rows = [
        ("held-out turns, dialogues", f"{plan.turns:,}, {plan.dialogues:,}"),
        ("items", f"{plan.items:,}"),
        ("calls", f"{calls}; {2 * plan.turns - plan.calls:,} are answered" if not question.alone else "none"),
        *cost_rows(plan),
    ]
    return two_columns("What the decision would ask at most", rows)


def _show_plan(plan: PromotionPlan, question: Question, *, as_json: bool) -> None:
    if as_json:
        print_json({**asdict(plan), "calls": plan.calls})
        return
    from rarec.alignment.plan import over_budget

    out().print(_two_columns(plan, question))
    if remark := over_budget(question.recipe, plan.calls, spent=plan.spent):
        out().print(remark)


def _table(found: Promotion, question: Question) -> Table:
    verdict, data = found.verdict, question.recipe.data
    after = "of the retriever's order" if question.alone else "after the judge"
    title = f"NDCG@10 {after}, new items, held-out turns of {data.name} {data.tuning}"
    rows = [
        ("turns, dialogues", f"{verdict.turns:,}, {verdict.dialogues:,}"),
        ("live", f"{verdict.live:.4f}"),
        ("new", f"{verdict.new:.4f}"),
        ("gain", f"{verdict.gain:+.4f} ({verdict.relative:+.1%})"),
        (f"{verdict.level:.0%} interval by dialogue", f"[{verdict.low:+.4f}, {verdict.high:+.4f}]"),
        ("allowed loss", f"{verdict.margin:.4f} ({verdict.share:.1%})"),
        ("verdict", "promote" if verdict.promoted else "refuse"),
    ]
    return two_columns(title, rows)


def _document(found: Promotion) -> dict[str, Any]:
    verdict = found.verdict
    return {
        **asdict(verdict),
        "gain": verdict.gain,
        "relative": verdict.relative,
        "switched": found.switched,
        "live bundle": str(found.live),
        "looks": found.looks,
        "figures": str(found.figures),
    }
