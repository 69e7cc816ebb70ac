"""`rarec train`."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rarec.cli.command import Interrupted, command
from rarec.cli.console import out
from rarec.cli.options import DATA
from rarec.cli.progress import staged

if TYPE_CHECKING:
    from rarec.training.figures import Figures


class Stage(enum.StrEnum):
    """The last stage to run."""

    all = "all"
    pretrain = "pretrain"
    finetune = "finetune"
    ranker = "ranker"


@command
def train(
    context: typer.Context,
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            metavar="FOLDER",
            envvar="RAREC_DATA",
            help="Folder with corpus/, mapping/ and the film data sets. With a recipe for data of your own: what its "
            "paths are relative to, if it is given here; else they are relative to the recipe's folder.",
        ),
    ] = DATA,
    out_folder: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Folder of the bundle, made if needed.")
    ] = Path("bundle"),
    recipe: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml", help="Settings of the training, and your data. Default: the shipped bundle's."
        ),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Folder of checkpoints and embeddings. Default: that of --out with -work behind it."
        ),
    ] = None,
    stage: Annotated[
        Stage,
        typer.Option(
            metavar="all|pretrain|finetune|ranker",
            help="Stop behind this stage; all is the same as ranker, the last one.",
        ),
    ] = Stage.all,
    threads: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Of torch. Default: as many as there are cores.")
    ] = None,
) -> None:
    """Train a bundle: the retriever (pretrain, finetune) and the local ranker.

    A recipe with a table named data has a catalogue, conversations and perhaps interactions of any domain
    (docs/own_domain.md); without one the data are those of the shipped bundle, films. Every stage keeps a checkpoint in
    the work folder; after Ctrl-C or a crash the same command goes on where it was, and on a CPU the result equals an
    uninterrupted run bit for bit.

    Example: rarec train --recipe recipes/train_own.toml --out my-bundle, then rarec init my-store --bundle my-bundle
    """
    import torch

    from rarec.training import load_recipe, train_bundle

    # A variable of the environment says where the film data sets are, not where somebody's own data are.
    given = getattr(context.get_parameter_source("data"), "name", "") == "COMMANDLINE"
    settings = load_recipe(recipe, data=data if given else None)
    folder = work or out_folder.with_name(f"{out_folder.name}-work")
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        with staged(unit="steps") as tell:
            until = "ranker" if stage is Stage.all else stage.value
            figures = train_bundle(settings, data=data, out=out_folder, work=folder, on_progress=tell, until=until)
    except KeyboardInterrupt:
        raise Interrupted(f"The checkpoints are in {folder}; run the same command again to go on.") from None
    finally:
        torch.set_num_threads(before)
    _show(figures)
    out().print(f"Wrote {out_folder}." if until != "pretrain" else f"The pretrained weights are in {folder}.")


def _show(figures: Figures) -> None:
    from rich.table import Table

    from rarec.training.figures import MEASURES, notes, rows

    for name, own in figures.items():
        table = Table("", *MEASURES, title=name, title_justify="left")
        for row in rows(own):
            table.add_row(*row)
        out().print(table)
        for note in notes(own):
            out().print(note)
