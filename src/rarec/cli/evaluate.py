"""`rarec evaluate`: a recipe, or a file and a few names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from rarec.cli.command import command
from rarec.cli.evaluation import Bench, run_bench, run_quick
from rarec.cli.options import DATA
from rarec.errors import InputError

SYSTEMS = ("popularity", "co-occurrence", "embedding-similarity", "retriever", "retriever+ranker")
RECORDED = "gpt-4"

BOTH_FORMS = """Give a recipe, or a file of examples:

  rarec evaluate recipe.toml                  a whole bench: data sets, systems and protocols in one file;
                                              writes a folder with predictions, figures and a page
  rarec evaluate --eval test.jsonl.zst        one table for one file of examples; --systems names its rows

rarec evaluate --help explains every option."""


@command
def evaluate(
    recipe: Annotated[
        Path | None, typer.Argument(metavar="[RECIPE]", help="A recipe (TOML), see docs/recipe.md.")
    ] = None,
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="Of a recipe's run. Default: runs/ and the recipe's name."),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keeps embedded item texts, for several runs. Default: in the run's folder."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write to a folder that holds another run or other files; they stay.")
    ] = False,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Compute everything again, except for answers of language models and embedded texts: those are kept.",
        ),
    ] = False,
    eval_file: Annotated[
        Path | None, typer.Option("--eval", metavar="FILE", help="Examples: JSONL, .zst or .gz; instead of a recipe.")
    ] = None,
    ranks: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Recorded ranks of language models (Parquet); with --eval.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="FOLDER",
            envvar="RAREC_DATA",
            help="Folder with corpus/, mapping/ and the data sets; sets of the own format stay where the recipe says. "
            f"Default: as the recipe says, or {DATA.as_posix()} with --eval.",
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The retriever and ranker. Default: the bundle that comes with rarec."),
    ] = None,
    systems: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="Rows of the table with --eval, also random, repeat-context and recorded models. Default: "
            f"{','.join(SYSTEMS)}, and {RECORDED} if there are recorded ranks.",
        ),
    ] = None,
    as_json: Annotated[
        str | None, typer.Option("--json", metavar="OUT", help="Write the figures as JSON to a file; - is stdout.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write the rank of every target as JSONL; with --eval.")
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="With --eval. new-targets leaves out what the conversation names already (default); all-targets does "
            "not; /per-turn makes one row a turn, /corpus ranks the whole corpus. May be repeated: one block each.",
        ),
    ] = None,
    against: Annotated[
        str | None, typer.Option(metavar="SYSTEM", help="Show differences to this system; a recipe names its own.")
    ] = None,
    data_set: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --eval. Default: as the ids of the examples say.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Of the bootstrap and of random systems. Default: 0.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Draws of the bootstrap by dialogue. Default: 2000.")
    ] = None,
) -> None:
    """Compare systems on recorded conversations: every number with its protocol, its n and its interval.

    With a recipe, everything is in one file, and a folder is written that holds the predictions, metrics.json, what
    was asked and a page to look at. Ctrl-C or a crash loses little: the same command goes on, and computes again only
    what changed. With --eval, one file of examples gives one table; recall and NDCG are averaged over targets with
    the same denominator for every system, intervals are a bootstrap by dialogue, and the JSON is
    {"rows": [...], "meta": {...}}.

    Example: rarec evaluate recipes/bench.toml, or rarec evaluate --eval redial_test_a.jsonl.zst --json table.json
    """
    flags = {
        "--ranks": ranks, "--systems": systems, "--predictions": predictions, "--protocol": protocol,
        "--data-set": data_set, "--against": against, "--seed": seed, "--samples": samples,
    }  # fmt: skip
    folder_flags = {"--out": out_folder, "--cache": cache, "--force": force, "--fresh": fresh}
    if (recipe is None) == (eval_file is None):
        raise InputError(BOTH_FORMS if recipe is None else "give a recipe or --eval, not both; see --help")
    wrong = [flag for flag, value in (folder_flags if recipe is None else flags).items() if value]
    if wrong:
        form = "--eval writes no folder" if recipe is None else "the recipe says it"
        raise InputError(f"{wrong[0]} does not go with {'--eval' if recipe is None else 'a recipe'}: {form}")
    for target in (None if as_json in (None, "-") else Path(str(as_json)), predictions):
        if target is not None and not target.parent.is_dir():  # before the work, not after it
            raise InputError(f"no folder {str(target.parent)!r} to write {target.name!r} to; make it first")
    if recipe is not None:
        run_bench(Bench(recipe, data, bundle, out_folder, cache, force=force, fresh=fresh), as_json)
        return
    from rarec.assembly import default_bundle
    from rarec.evaluate.quick import EvaluateSettings

    assert eval_file is not None
    settings = EvaluateSettings(
        eval_file=eval_file,
        data_root=data or DATA,
        systems=chosen_systems(systems, recorded=ranks is not None),
        ranks_file=ranks,
        bundle=bundle or default_bundle(),
        data_set=data_set,
        protocols=tuple(protocol or ("new-targets",)),
        seed=seed or 0,
        samples=2000 if samples is None else samples,
        against=against,
    )
    run_quick(settings, as_json, predictions)


def chosen_systems(systems: str | None, *, recorded: bool) -> tuple[str, ...]:
    """The names of ``--systems``, or the usual ones.

    Raises:
        InputError: a name is empty or comes twice.
    """
    if systems is None:
        return (*SYSTEMS, RECORDED) if recorded else SYSTEMS
    names: Sequence[str] = [name.strip() for name in systems.split(",")]
    wrong = [name for name in names if not name or names.count(name) > 1]
    if wrong:
        raise InputError(f"--systems {systems!r} has an empty name or {wrong[0]!r} twice; use A,B,C")
    return tuple(names)
