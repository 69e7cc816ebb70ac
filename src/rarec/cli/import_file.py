"""`rarec import`."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rarec.cli.command import command, report
from rarec.cli.console import err, many, out, plain, print_json
from rarec.cli.options import STORE, AsJson, Store
from rarec.cli.progress import counting
from rarec.errors import ImportRejected, InputError

if TYPE_CHECKING:
    from rarec.catalogue import CatalogueStore, ImportReport, Rejection
    from rarec.types import Item

LISTED = 20


class Source(enum.StrEnum):
    """What kind of file it is."""

    table = "table"
    corpus = "corpus"


class Format(enum.StrEnum):
    """How a table is written."""

    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"


@command
def import_file(
    file: Annotated[Path, typer.Argument(help="JSONL, CSV, TSV or Parquet; .gz and .zst are opened.")],
    store: Store = STORE,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="FIELD=COLUMN",
            help="Which column feeds which field: id, title, text, year, popularity or attributes.NAME. May be "
            "repeated. Without it columns are taken by name and every other column becomes an attribute.",
        ),
    ] = None,
    format: Annotated[
        Format | None, typer.Option(metavar="jsonl|csv|parquet", help="Default: by the file's name.")
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(
            metavar="CHARACTER", help="Between the columns of a CSV file. Default: a comma, or a tab for .tsv."
        ),
    ] = None,
    list_separator: Annotated[
        str, typer.Option(metavar="TEXT", help="Splits the values of an attribute in CSV files.")
    ] = "|",
    source: Annotated[
        Source, typer.Option(metavar="table|corpus", help="table, or corpus: the merged movie corpus (movies.parquet).")
    ] = Source.table,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Import the good rows even if some are refused.")
    ] = False,
    rejected: Annotated[
        Path | None, typer.Option(metavar="OUT.jsonl", help="Write every refused row's line and reason here.")
    ] = None,
    embed: Annotated[
        bool,
        typer.Option(
            "--embed", help="Embed the items before the store shows them. The file is read three times, so no pipe."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Import a catalogue file into the store, in one transaction.

    Items whose id is there already are replaced; nothing is deleted. Every refused row is shown with its line and the
    reason; if there is one, nothing is imported, unless --skip-bad is given. The store remembers which column --map
    took the ids from: a later file that has it is refused without that --map, for it would double the items. A
    recommender that is running has the items from its next turn on, and embeds there what has no vector yet: give
    --embed with a large file.

    Example: rarec import movies.csv --map id=movie_id --map title=name --map attributes.genres=genre
    """
    from rarec.catalogue import CatalogueStore, RowsRejected, import_items, read_items
    from rarec.catalogue.sources.corpus import corpus_items
    from rarec.cli.embed import embed_texts
    from rarec.settings import StorePaths, read_settings

    mapping = parse_map(columns or ())
    if source is Source.corpus and (mapping or format or delimiter):
        raise InputError("--map, --format and --delimiter do not go with --source corpus; its columns are known")
    settings = read_settings(store)
    embedded: int | None = None
    with CatalogueStore.open(StorePaths(store).catalogue) as catalogue:
        if embed:
            rows = partial(
                read_items, columns=mapping or None, format=format and format.value, delimiter=delimiter,
                list_separator=list_separator, before=catalogue.columns,
            )  # fmt: skip
            reader = corpus_items if source is Source.corpus else rows
            from rarec.assembly import cached_embedder  # here, for torch comes with it
            from rarec.embed.tokens import tokens_of

            layout = catalogue.layout
            with cached_embedder(StorePaths(store), settings) as embedder:
                write = partial(layout.render, tokens=tokens_of(embedder) if layout.max_tokens else None)
                embedded = embed_texts(embedder, *_texts(file, reader, write, skip_bad=skip_bad))
        try:
            if source is Source.corpus:
                done = _import_corpus(catalogue, file)
            else:
                with counting("Reading rows", unit="rows") as progress:
                    done = import_items(
                        catalogue,
                        file,
                        columns=mapping or None,
                        format=format and format.value,
                        delimiter=delimiter,
                        list_separator=list_separator,
                        skip_bad=skip_bad,
                        progress=lambda rows: progress(rows, 0),
                    )
        except RowsRejected as error:
            raise _refused(error, file, rejected, as_json=as_json) from None
        total = len(catalogue)
    _write_rejected(rejected, done.rejected)
    if as_json:
        counts = {"added": done.added, "updated": done.updated, "unchanged": done.unchanged}
        more = {} if embedded is None else {"embedded": embedded}
        print_json({**counts, "rejected": _documents(done.rejected), "items": total, **more})
    else:
        _show(done, total)
        if embedded is not None:
            out().print(f"Embedded {many(embedded, 'new text')}.")


def parse_map(entries: Sequence[str]) -> dict[str, str]:
    """``FIELD=COLUMN`` entries -> field -> column.

    Raises:
        InputError: an entry has no ``=``, or a field comes twice.
    """
    found: dict[str, str] = {}
    for entry in entries:
        field, equals, column = (part.strip() for part in entry.partition("="))
        if not (field and equals and column):
            raise InputError(f"--map {entry!r} is not FIELD=COLUMN, for example attributes.genres=genre")
        if field in found:
            raise InputError(f"--map gives {field!r} two columns, {found[field]!r} and {column!r}; keep one")
        found[field] = column
    return found


def _texts(
    file: Path,
    reader: Callable[[Path], Iterator[Item | Rejection]],
    write: Callable[[Item], str],
    *,
    skip_bad: bool,
) -> tuple[Iterator[str], int]:
    """What would be embedded for the items of a file, one at a time, and how many; none if it would be refused."""
    from rarec.catalogue import Rejection

    if file.exists() and not file.is_file():
        raise InputError(f"--embed reads the file three times, and {str(file)!r} is none; write it to a file first")
    count = 0
    for row in reader(file):
        if not isinstance(row, Rejection):
            count += 1
        elif not skip_bad:
            return iter(()), 0
    return (write(row) for row in reader(file) if not isinstance(row, Rejection)), count


def _import_corpus(catalogue: CatalogueStore, file: Path) -> ImportReport:
    from rarec.catalogue import ImportReport
    from rarec.catalogue.sources.corpus import corpus_items

    with counting("Reading items", unit="items") as progress:

        def counted() -> Iterator[Item]:
            for number, item in enumerate(corpus_items(file), start=1):
                if number % 1000 == 0:
                    progress(number, 0)
                yield item

        counts = catalogue.add(counted())
    return ImportReport(counts.added, counts.updated, counts.unchanged, ())


def _refused(error: ImportRejected, file: Path, rejected: Path | None, *, as_json: bool) -> typer.Exit:
    """Show refused rows, and the exit that ends the command."""
    from rarec.catalogue.rows import remedy_for

    rows: tuple[Rejection, ...] = getattr(error, "rejections", ())
    _write_rejected(rejected, rows)
    if not as_json:
        _show_rejected(rows)
    told = f"{many(len(rows), 'row')} refused, nothing imported; {remedy_for(file, rows) or 'correct the file'}"
    short = ImportRejected(f"{told}, or skip them with --skip-bad")
    return typer.Exit(report(short, as_json=as_json, more={"rejected": _documents(rows)}))


def _show(done: ImportReport, total: int) -> None:
    from rich.table import Table

    _show_rejected(done.rejected)
    table = Table("added", "updated", "unchanged", "rejected", "items in the store")
    figures = (done.added, done.updated, done.unchanged, len(done.rejected), total)
    table.add_row(*(f"{figure:,}" for figure in figures))
    out().print(table)


def _show_rejected(rows: Sequence[Rejection]) -> None:
    console = err()
    for row in rows[:LISTED]:
        console.print(plain(str(row)), style="yellow")
    if len(rows) > LISTED:
        console.print(f"... and {len(rows) - LISTED:,} more; --rejected OUT.jsonl writes them all", style="yellow")


def _documents(rows: Sequence[Rejection]) -> list[dict[str, object]]:
    return [{"line": row.line, "reason": row.reason} for row in rows]


def _write_rejected(path: Path | None, rows: Sequence[Rejection]) -> None:
    if path is not None:
        from rarec.files import write_text

        write_text(path, "".join(json.dumps(d, ensure_ascii=False) + "\n" for d in _documents(rows)))
