"""`rarec data`: what the data sets in a folder hold, fetching a file of one, and an invented one to try things with."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rarec.cli.command import Interrupted, command
from rarec.cli.console import err, out, plain
from rarec.cli.options import DATA, Data
from rarec.cli.progress import counting, staged
from rarec.errors import InputError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rarec.conversations import DataSet, Example
    from rarec.conversations.summary import DataSetSummary, Share, SplitSummary

LARGE_BYTES = 20_000_000
"""Files from this size on show how far they are read."""

data = typer.Typer(
    help="Data sets of conversations: what they hold, their examples, fetching their files, and an invented one.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@command
def show(
    name: Annotated[
        str | None,
        typer.Argument(
            help="redial, inspired, reddit-v1, reddit-v2, jsonl, or the name that a set of the own format gives "
            "itself. Default: all that are there."
        ),
    ] = None,
    data: Data = DATA,
    linker: Annotated[
        bool, typer.Option("--linker", help="Also find the share of annotated mentions that rarec's linker finds.")
    ] = False,
    as_json: Annotated[
        str | None, typer.Option("--json", metavar="OUT", help="Write the figures as JSON to a file; - is stdout.")
    ] = None,
) -> None:
    """Show the splits of data sets: sizes, repeated targets, linking, cold items, licence and source.

    The folder is a data folder with one folder a data set (and mapping/, corpus/ and eval/ beside them), or a data
    set's own folder. Nothing is downloaded. Every file is read whole, so that a damaged one is found out here.

    Example: rarec data show redial --data data --linker
    """
    import json

    from rarec.conversations.summary import summarise
    from rarec.files import write_text

    if as_json not in (None, "-") and not Path(str(as_json)).parent.is_dir():  # before the work, not after it
        raise InputError(f"no folder {str(Path(str(as_json)).parent)!r} to write to; make it first")
    chosen = _chosen(name, data)
    summaries = []
    with staged(unit="bytes") as tell:

        def progress(stage: str, done: int, total: int) -> None:
            if total >= LARGE_BYTES:
                tell(stage, done, total, "")

        for data_set in chosen:
            summaries.append(summarise(data_set, linker=linker, progress=progress))
    document = json.dumps([_document(summary) for summary in summaries], ensure_ascii=False, indent=2) + "\n"
    if as_json == "-":
        sys.stdout.write(document)
    elif as_json is not None:
        write_text(Path(as_json), document)
    console = err() if as_json == "-" else out()
    for summary in summaries:
        console.print(_heading(summary))
        console.print(_table(summary))
    console.print(_LEGEND)


@command
def examples(
    name: Annotated[str, typer.Argument(help="As for rarec data show.")],
    data: Data = DATA,
    split: Annotated[str, typer.Option(metavar="NAME", help="Which turns: train, valid, test and so on.")] = "test",
    to: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to write them. Default: stdout.")
    ] = None,
    targets: Annotated[
        bool, typer.Option("--targets/--no-targets", help="Whether to write what the turns recommend.")
    ] = True,
) -> None:
    """Write the turns to predict, one JSON line each: what a predictions file must answer.

    A line has the example's id, its dialogue and turn, the items that the conversation mentions before (seen) and those
    that the turn recommends (targets). Give one line {"example": id, "items": [ids, best first]} for each of them to
    rarec evaluate, in a recipe's system of the kind file.

    Example: rarec data examples redial --data data --split test --no-targets --out questions.jsonl
    """
    from rarec.conversations import within_catalogue
    from rarec.files import write_text

    if to is not None and not to.parent.is_dir():  # before the work, not after it
        raise InputError(f"no folder {str(to.parent)!r} to write to; make it first")
    (data_set, *_) = _chosen(name, data)
    found = within_catalogue(data_set.examples(split), {item.id for item in data_set.items()})
    text = "".join(_line(example, targets=targets) for example in found)
    if to is None:
        sys.stdout.write(text)
        return
    write_text(to, text)
    out().print(plain(f"{to}: {len(found):,} examples of {data_set.name} {split}"))


@command
def fetch(
    url: Annotated[str, typer.Argument(help="Address of the file, http or https.")],
    sha256: Annotated[str, typer.Option("--sha256", metavar="HASH", help="Of the whole file; it must agree.")],
    to: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to put it.")],
    unzip: Annotated[
        Path | None, typer.Option("--unzip", metavar="FOLDER", help="Extract the files of the zip archive into it.")
    ] = None,
    max_gb: Annotated[
        float,
        typer.Option("--max-gb", metavar="N", min=0, help="The most that the file may have, and hold unpacked."),
    ] = 20.0,
) -> None:
    """Download one file that you name, and keep it only if it has the hash that you expect.

    After Ctrl-C or a broken connection the same command goes on where it stopped, if the server can do that. A file
    that is there already with the right hash is not downloaded again. From zip archives only regular files with
    names inside the folder are extracted.

    Example: rarec data fetch https://example.org/redial.zip --sha256 HASH --out redial.zip --unzip data/redial
    """
    from rarec.conversations.archive import unzip as extract
    from rarec.conversations.download import fetch as download

    if not math.isfinite(max_gb):
        raise InputError(f"--max-gb must be a number, got {max_gb!r}; 20 is usual")
    limit = int(max_gb * 1e9)
    try:
        with counting(f"Downloading {to.name}", unit="kB") as tell:

            def progress(had: int, total: int) -> None:
                tell(had // 1000, total // 1000)

            done = download(url, to, sha256=sha256, max_bytes=limit, progress=progress)
    except KeyboardInterrupt:
        raise Interrupted("What came is kept; run the same command again to go on.") from None
    what = f"{done.received:,} bytes downloaded" if done.received else "it was there already"
    out().print(plain(f"{done.path}: {done.size:,} bytes, sha256 as expected; {what}."))
    if unzip is not None:
        with counting(f"Unpacking {to.name}", unit="kB") as tell:
            paths = extract(to, unzip, max_bytes=limit, progress=lambda had, total: tell(had // 1000, total // 1000))
        out().print(plain(f"{len(paths):,} files in {unzip}"))


@command
def invent(
    folder: Annotated[Path, typer.Argument(help="Folder to make; it must not hold anything yet.")],
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="Of everything that is invented; the same seed, the same bytes.")
    ] = 0,
) -> None:
    """Write an invented data set that is not about films: board games, players, what they played and said.

    The folder holds a catalogue (items.jsonl), interactions (interactions.csv), conversations in three splits, and a
    recipe each for rarec train, rarec align and rarec evaluate. Nothing in it is real, nothing is downloaded, and the
    recipes need no key: it shows how data of your own are laid out, and what to do with them (docs/own_domain.md).

    Example: rarec data invent games, then rarec train --recipe games/train.toml --out games-bundle
    """
    from rarec.testing.second_domain import second_domain, write_folder

    for path in write_folder(second_domain(seed), folder):
        out().print(plain(f"{path}: {path.stat().st_size:,} bytes"))
    out().print(plain(f"Next: rarec train --recipe {folder / 'train.toml'} --out {folder.name}-bundle"), style="dim")


data.command("show")(show)
data.command("examples")(examples)
data.command("fetch")(fetch)
data.command("invent")(invent)


def _chosen(name: str | None, folder: Path) -> Sequence[DataSet]:
    """The data sets to show.

    Raises:
        InputError: there is none of that name, or none at all.
    """
    from rarec.conversations import DATA_SETS, data_sets_in, open_data_set

    if name in DATA_SETS:
        found: Sequence[DataSet] = [open_data_set(name, folder)]
    else:
        if not folder.is_dir():
            raise InputError(f"no folder {str(folder)!r}; give a data folder with --data")
        found = data_sets_in(folder)
        if name is not None and not (found := [one for one in found if one.name == name]):
            raise InputError(f"unknown data set {name!r}; use one of {', '.join(DATA_SETS)}, or give its own folder")
    if empty := [one for one in found if not one.splits()]:
        raise InputError(f"{str(folder)!r} has no files of {empty[0].name!r}; docs/data.md says how they are named")
    if not found:
        raise InputError(f"{str(folder)!r} holds no data set; docs/data.md says how their files are named")
    return found


def _line(example: Example, *, targets: bool) -> str:
    import json

    fields: dict[str, Any] = {
        "example": example.id, "dialogue": example.dialogue, "turn": example.turn, "seen": example.context_items,
    }  # fmt: skip
    if targets:
        fields["targets"] = example.targets
    return json.dumps(fields, ensure_ascii=False) + "\n"


def _heading(summary: DataSetSummary) -> RenderableType:
    from rich.text import Text

    info = summary.info
    corpus = "no corpus" if summary.corpus is None else f"of a corpus of {summary.corpus:,}"
    lines = [
        f"{info.title} ({summary.name})",
        f"  catalogue: {summary.items:,} items, {corpus}",
        f"  licence: {info.licence}",
        f"  source: {info.source}",
        *([f"  note: {info.note}"] if info.note else []),
    ]
    return Text(plain("\n".join(lines)))


def _table(summary: DataSetSummary) -> RenderableType:
    from rich.table import Table

    linked = any(split.mentions_found is not None for split in summary.splits)
    names = ["conversations", "turns", "mentions", "mapped", *(["linker finds"] if linked else [])]
    names += ["examples", "targets", "mapped", "repeated", "outside", "cold"]
    table = Table("split")
    for name in names:
        table.add_column(name, justify="right")
    for split in summary.splits:
        table.add_row(split.split, *_cells(split, linked=linked))
    return table


_LEGEND = (
    "mapped: annotated mentions or ground truths that are an item. repeated: targets that were named before. outside: "
    "targets that are not in the catalogue. cold: targets that no training conversation mentions. The last three are "
    "shares of the targets."
)


def _cells(split: SplitSummary, *, linked: bool) -> list[str]:
    return [
        f"{split.conversations:,}" if split.conversations else "-",
        f"{split.turns:,}" if split.conversations else "-",
        f"{split.mentions:,}" if split.conversations else "-",
        _percent(split.mentions_mapped, of=True),
        *([_percent(split.mentions_found, of=True)] if linked else []),
        f"{split.examples:,}",
        f"{split.targets:,}",
        _percent(split.targets_mapped, of=True),
        _percent(split.repeated),
        _percent(split.outside),
        _percent(split.cold),
    ]


def _percent(share: Share | None, *, of: bool = False) -> str:
    if share is None or share.value is None:
        return "-"
    text = f"{100 * share.value:.1f}%"
    if text == "100.0%" and share.part < share.n:
        text = ">99.9%"
    return text + (f" of {share.n:,}" if of else "")


def _document(summary: DataSetSummary) -> dict[str, Any]:
    return asdict(summary)
