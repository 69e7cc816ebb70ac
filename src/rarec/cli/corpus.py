"""`rarec corpus`: a catalogue out of dumps, why an item in it is what it is, and a store kept up to date with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rarec.cli import corpus_fetch, corpus_quality, corpus_store
from rarec.cli.command import Interrupted, command
from rarec.cli.console import err, many, out, plain, print_json
from rarec.cli.options import AsJson
from rarec.cli.progress import staged

if TYPE_CHECKING:
    from rarec.corpus.build import Built
    from rarec.corpus.digest import Digest
    from rarec.corpus.explain import Explanation, Said, Why

LISTED = 20
SHARED_LISTED = 5
VALUE_WIDTH = 60

Corpus = Annotated[Path, typer.Option("--corpus", metavar="FOLDER", help="Folder that rarec corpus build made.")]

corpus = typer.Typer(
    help="Make a catalogue out of dumps, look at it, and keep a store up to date with it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@command
def build(
    recipe: Annotated[Path, typer.Argument(help="Which dumps, and what is taken from them (TOML).")],
    out_folder: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Folder of the corpus; nothing may be there yet.")
    ],
    folder: Annotated[
        Path | None,
        typer.Option("--folder", metavar="FOLDER", help="Where the dumps are. Default: as the recipe says."),
    ] = None,
    previous: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="An earlier corpus, whose items keep their ids in the new one."),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where records are kept on the way. If it is given they stay there, and the next build reads only "
            "sources that changed. Default: that of --out with -work behind it, deleted at the end.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Build a corpus: read the dumps of a recipe, find what is the same in them, and merge it into items.

    Records are joined by ids first, then by title, year and people; never without evidence, and never against ids that
    differ. The folder then holds items.parquet, which rarec import takes, evidence.sqlite, which rarec corpus explain
    reads, problems.jsonl and corpus.json. It appears whole or not at all; after Ctrl-C the same command goes on, and
    sources that were read to their end are not read again.

    Example: rarec corpus build films.toml --out films, then rarec import films/items.parquet --store my-store
    """
    from rarec.corpus.build import build_corpus, work_of
    from rarec.corpus.recipe import load_corpus_recipe

    settings = load_corpus_recipe(recipe, folder=folder)
    try:
        with staged(unit="") as tell:
            built = build_corpus(settings, out_folder, previous=previous, work=work, progress=tell)
    except KeyboardInterrupt:
        kept = work or work_of(out_folder)
        raise Interrupted(f"What was read whole is in {kept}; run the same command again to go on.") from None
    if as_json:
        print_json(_built_document(built))
    else:
        _show_built(built)


@command
def explain(
    item: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="Of an item; or SOURCE:KEY of a record, an id that a source gives, an id of an earlier corpus.",
        ),
    ],
    corpus: Corpus,
    as_json: AsJson = False,
) -> None:
    """Show why an item of a corpus is what it is: its records, what joined them, and what was kept apart.

    Every union has a reason, with what both records say. Near-matches that were refused are listed with theirs:
    namesakes, remakes, ids that differ, titles that are not unique. Fields are shown with the records that they were
    taken from.

    Example: rarec corpus explain imdb-tt0111161 --corpus films
    """
    from rarec.corpus.explain import explain as explained

    found = explained(item, corpus)
    if as_json:
        print_json(_document(found))
    else:
        _show(found)


corpus_fetch.add_to(corpus)
corpus.command("build")(build)
corpus.command("explain")(explain)
corpus_quality.add_to(corpus)
corpus_store.add_to(corpus)


def _show_built(built: Built) -> None:
    from rich.table import Table

    table = Table("source", "kind")
    for name in ("records", "problems"):
        table.add_column(name, justify="right")
    table.add_column("dump of")
    table.add_column("read")
    for source in built.sources:
        read = ("now" if source.read else "before") + ("" if source.extent == "whole" else f", {source.extent}")
        table.add_row(source.name, source.kind, f"{source.records:,}", f"{source.problems:,}", source.date, read)
    out().print(table)
    written = built.written
    for title, counts in (("joined because", written.unions), ("kept apart because", written.refused)):
        table = Table(title)
        table.add_column("pairs", justify="right")
        for reason, count in sorted(counts.items(), key=lambda entry: -entry[1]):
            table.add_row(_reason(reason), f"{count:,}")
        if counts:
            out().print(table)
    out().print(plain(f"{built.folder}: {many(written.items, 'item')} of {many(written.records, 'record')}."))
    _show_problems(built.problems, built.folder / "problems.jsonl")
    notes = (
        (written.untitled, "group", "without a title, and therefore no item"),
        (written.refused_items, "item", "that the catalogue would refuse; see problems.jsonl"),
        (
            written.renamed,
            "item",
            "of the earlier corpus went into another; rarec corpus explain finds it by its old id",
        ),
    )
    if written.shared:
        shown = ", ".join(written.shared[:SHARED_LISTED]) + (", ..." if len(written.shared) > SHARED_LISTED else "")
        err().print(
            plain(f"Ids that many things of one source have, and that were taken for none: {shown}"), style="yellow"
        )
    for count, noun, text in notes:
        if count:
            err().print(f"{many(count, noun)} {text}.", style="yellow")
    if broken := [f"{source.name} was read {source.extent}" for source in built.sources if source.extent != "whole"]:
        err().print(
            plain(
                f"NOT WHOLE: {'; '.join(broken)}. rarec corpus update refuses this corpus: correct the files or the "
                "recipe, and build it again."
            ),
            style="bold red",
        )
        return
    out().print(
        plain(
            f"Next: rarec corpus report {built.folder}, and rarec init and rarec corpus update to put it into a store."
        ),
        style="dim",
    )


def _show_problems(found: Digest, path: Path) -> None:
    for line in found.worst:
        err().print(plain(line), style="red")
    if found.unread > len(found.worst):
        err().print(f"... and {many(found.unread - len(found.worst), 'file')} more", style="red")
    for line in found.examples:
        err().print(plain(line), style="yellow")
    counts = ((found.left_out, "left out"), (found.put_right, "put right"))
    told = " and ".join(
        f"{many(count, 'row')} {'was' if count == 1 else 'were'} {text}" for count, text in counts if count
    )
    if told or found.unread:
        whole = f"{many(found.unread, 'file')} could not be read to {_its(found.unread)} end" if found.unread else ""
        err().print(plain(f"{'; '.join(part for part in (whole, told) if part)}: all in {path}"), style="yellow")


def _its(number: int) -> str:
    return "its" if number == 1 else "their"


def _reason(name: str) -> str:
    from rarec.corpus.clusters import Reason

    return Reason[name.upper()].text


def _built_document(built: Built) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "folder": str(built.folder),
        "sources": [asdict(s) for s in built.sources],
        "counts": asdict(built.written),
        "problems": asdict(built.problems),
    }


def _show(found: Explanation) -> None:
    from rich.table import Table

    if found.asked:
        out().print(plain(f"{found.asked}."), style="dim")
    year = "" if found.year is None else f" ({found.year})"
    out().print(plain(f"{found.item}: {found.title}{year}, popularity {found.popularity:,.0f}"), style="bold")
    table = Table("record", "line", "titles", "year", "ids", "people", "counts")
    for record in found.records:
        table.add_row(*(plain(cell) for cell in _cells(record)))
    out().print(table)
    _show_links("Joined because", found.unions)
    _show_links("Kept apart because", found.refused)
    table = Table("field", "value", "taken from")
    for name, records in found.fields.items():
        origin = ", ".join(record.name for record in records)
        table.add_row(plain(name), _short(found.values.get(name, "")), plain(origin))
    out().print(table)


def _show_links(title: str, links: tuple[Why, ...]) -> None:
    if links:
        out().print(title, style="bold")
    for why in links[:LISTED]:
        same = f" [{'; '.join(why.shared)}]" if why.shared else ""
        other = why.other.titles[0] if why.other.titles else ""
        named = f" {other!r} ({why.other.year or 'year unknown'}, in {why.other.item})"
        out().print(plain(f"  {why.one.name} and {why.other.name}{named}: {why.text}{same}"))
    if len(links) > LISTED:
        out().print(f"  ... and {len(links) - LISTED:,} more; --json has them all", style="dim")


def _short(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    line = " ".join(plain(text).split())
    return line if len(line) <= VALUE_WIDTH else line[: VALUE_WIDTH - 1] + "…"


def _cells(record: Said) -> tuple[str, ...]:
    return (
        record.name,
        str(record.line or ""),
        " / ".join(record.titles[:3]),
        str(record.year or ""),
        ", ".join(f"{name} {value}" for name, value in record.ids.items()),
        ", ".join(record.people[:4]),
        ", ".join(f"{name} {count:,.0f}" for name, count in record.counts.items()),
    )


def _document(found: Explanation) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(found)
