"""`rarec corpus fetch`: the dumps that a recipe has addresses of."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rarec.cli.command import Interrupted, command
from rarec.cli.console import out, plain
from rarec.cli.progress import staged
from rarec.errors import InputError
from rarec.progress import OnProgress


@command
def fetch(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe of a corpus, see docs/corpus.md.")],
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="FOLDER", help="Where to put the files. Default: as the recipe says."),
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option("--source", metavar="NAME", help="Only those of this source. May be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be downloaded, and from where.")] = False,
    max_gb: Annotated[
        float, typer.Option("--max-gb", metavar="N", min=0, help="The most that one file may have.")
    ] = 20.0,
) -> None:
    """Download the dumps that a recipe has addresses of, and keep those that have the hashes it expects.

    Nothing else downloads anything: rarec corpus build only reads files. After Ctrl-C or a broken connection the same
    command goes on where it stopped, if the server can do that. Files that are there already with the right hash are
    not downloaded again; a file with another hash is replaced once the right one is complete.

    Example: rarec corpus fetch films.toml --folder dumps
    """
    from rarec.conversations.download import fetch as download
    from rarec.corpus.downloads import downloads_of
    from rarec.corpus.recipe import load_corpus_recipe

    if not math.isfinite(max_gb):
        raise InputError(f"--max-gb must be a number, got {max_gb!r}; 20 is usual")
    wanted = downloads_of(load_corpus_recipe(recipe, folder=folder), sources=source or ())
    if dry_run:
        for one in wanted:
            out().print(plain(f"{one.path}: {one.url}"))
        return
    for one in wanted:
        if not one.path.parent.is_dir():
            _make(one.path.parent)
    try:
        with staged(unit="kB") as tell:
            for one in wanted:
                done = download(
                    one.url,
                    one.path,
                    sha256=one.sha256,
                    max_bytes=int(max_gb * 1e9),
                    progress=partial(_tell, tell, one.path.name),
                )
                what = f"{done.received:,} bytes downloaded" if done.received else "it was there already"
                out().print(plain(f"{done.path}: {done.size:,} bytes, sha256 as expected; {what}."))
    except KeyboardInterrupt:
        raise Interrupted("What came is kept; run the same command again to go on.") from None
    out().print(plain(f"{len(wanted):,} files are there. Next: rarec corpus build {recipe} --out FOLDER"), style="dim")


def _tell(tell: OnProgress, name: str, had: int, total: int) -> None:
    tell(name, had // 1000, total // 1000, "")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {str(folder)!r}: {error.strerror}; choose another one") from error


def add_to(group: typer.Typer) -> None:
    """Make it a command of a group."""
    group.command("fetch")(fetch)
