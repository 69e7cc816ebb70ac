"""`rarec evaluate`."""

from __future__ import annotations

import enum
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rarec.cli.command import command
from rarec.cli.console import err, out
from rarec.cli.options import DATA, Data
from rarec.cli.progress import staged
from rarec.errors import InputError

if TYPE_CHECKING:
    from rarec.evaluate import Table

SYSTEMS = ("popularity", "co-occurrence", "embedding-similarity", "retriever", "retriever+ranker")
RECORDED = "gpt-4"


class ProtocolName(enum.StrEnum):
    """Which targets count."""

    new_targets = "new-targets"
    all_targets = "all-targets"


@command
def evaluate(
    eval_file: Annotated[Path, typer.Option("--eval", metavar="FILE", help="Examples: JSONL, .zst or .gz.")],
    ranks: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Recorded ranks of language models (Parquet).")
    ] = None,
    data: Data = DATA,
    bundle: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The retriever and ranker. Default: the bundle that comes with rarec."),
    ] = None,
    systems: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="Rows of the table, also random, repeat-context and recorded models. Default: "
            f"{','.join(SYSTEMS)}, and {RECORDED} if there are recorded ranks.",
        ),
    ] = None,
    as_json: Annotated[
        str | None, typer.Option("--json", metavar="OUT", help="Write the table as JSON to a file; - is stdout.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write the rank of every target as JSONL.")
    ] = None,
    protocol: Annotated[
        list[ProtocolName] | None,
        typer.Option(
            metavar="new-targets|all-targets",
            help="new-targets leaves out what the conversation names already (default); all-targets does not. May be "
            "repeated: one block each.",
        ),
    ] = None,
    against: Annotated[str | None, typer.Option(metavar="SYSTEM", help="Show differences to this system.")] = None,
    data_set: Annotated[
        str | None, typer.Option(metavar="NAME", help="Default: as the ids of the examples say.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the bootstrap and of random systems.")] = 0,
    samples: Annotated[int, typer.Option(metavar="N", min=1, help="Draws of the bootstrap by dialogue.")] = 2000,
) -> None:
    """Compare systems on recorded conversations: one table, every number with its n and its interval.

    Each row of the file is a turn to predict; recall and NDCG are averaged over its targets with the same denominator
    for every system. Intervals are a bootstrap by dialogue. The JSON is {"rows": [...], "meta": {...}}.

    Example: rarec evaluate --eval redial_test_a.jsonl.zst --ranks per_example_ranks_a.parquet --json table.json
    """
    from rarec.assembly import default_bundle
    from rarec.evaluate import EvaluateSettings, Options, run_evaluation
    from rarec.evaluate.neural import neural_factories

    names = chosen_systems(systems, recorded=ranks is not None)
    for target in (None if as_json in (None, "-") else Path(str(as_json)), predictions):
        if target is not None and not target.parent.is_dir():  # before the work, not after it
            raise InputError(f"no folder {str(target.parent)!r} to write {target.name!r} to; make it first")
    settings = EvaluateSettings(
        eval_file=eval_file,
        data_root=data,
        systems=names,
        ranks_file=ranks,
        factories=neural_factories(bundle or default_bundle()),
        data_set=data_set,
        protocols=tuple("new-targets" if p is ProtocolName.new_targets else "all-targets" for p in protocol)
        if protocol
        else ("new-targets",),
        options=Options(seed=seed, samples=samples, against=against),
    )
    with staged(unit="examples") as tell:
        table = run_evaluation(settings, progress=lambda system, done, total: tell(system, done, total, ""))
    _write(table, as_json, predictions, title=f"{eval_file.name}: {', '.join(settings.protocols)}")


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


def _write(table: Table, as_json: str | None, predictions: Path | None, *, title: str) -> None:
    from rarec.evaluate import render
    from rarec.files import write_text

    if predictions is not None:
        table.write_predictions(predictions)
    if as_json == "-":
        sys.stdout.write(table.to_json())
    elif as_json is not None:
        write_text(Path(as_json), table.to_json())
    console = err() if as_json == "-" else out()
    console.print(render(table, title=title))
