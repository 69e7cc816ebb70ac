"""`rarec corpus update`, `rollback` and `history`: a corpus and a live store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rarec.cli.command import Interrupted, command, report
from rarec.cli.console import err, out, plain, print_json
from rarec.cli.options import STORE, AsJson, Store, store_option
from rarec.cli.progress import staged

if TYPE_CHECKING:
    from rarec.catalogue.revisions import Revision
    from rarec.corpus.comparing import Plan, Shown
    from rarec.corpus.update import Updated

FIELDS_SHOWN = 12


@command
def update(
    corpus: Annotated[Path, typer.Option("--corpus", metavar="FOLDER", help="What rarec corpus build made.")],
    store: Store = STORE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and what speaks against it; write nothing.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Also retire many items, take sources that were not read whole, or older dumps."),
    ] = False,
    max_retired: Annotated[
        float,
        typer.Option(
            "--max-retired",
            metavar="PERCENT",
            min=0,
            max=100,
            help="So many of the corpus's items in the store may go without --force.",
        ),
    ] = 10.0,
    embed: Annotated[
        bool,
        typer.Option("--embed/--no-embed", help="Embed the texts that are new before the store shows the items."),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Put a corpus into a store that may be in use: add what is new, change what differs, retire what is gone.

    Only what changed is written, in one transaction: a kill at any moment leaves the store as it was or as it is after,
    and a recommender that is running follows with its next turn. Items that an earlier version of the corpus put there
    and this one does not name are retired; items that were added by hand, or by another corpus, stay. Where the corpus
    names an item that was changed by hand, the corpus holds. Into a store that was filled by rarec import put the same
    corpus first, so that its items are known to be the corpus's. It is refused if more than a tenth of the items would
    go, if a source was not read whole or lost more than a tenth of its records, or if a dump is older than the one that
    the store has. rarec corpus rollback takes it back.

    Example: rarec corpus update --store my-store --corpus films-2026-11 --dry-run
    """
    from rarec.catalogue import CatalogueStore
    from rarec.cli.embed import embed_stream
    from rarec.cli.texts import opened_when_needed, written_by
    from rarec.corpus.reading import open_corpus
    from rarec.corpus.update import UpdateRefused
    from rarec.corpus.update import update as update_store
    from rarec.settings import StorePaths, read_settings

    read_settings(store)
    found = open_corpus(corpus)
    with (
        CatalogueStore.open(StorePaths(store).catalogue) as catalogue,
        staged(unit="items") as tell,
        opened_when_needed(store) as embedder,
    ):

        def take(texts: Iterable[str], count: int) -> None:
            embed_stream(embedder(), texts, total=count, tell=tell)

        try:
            done = update_store(
                catalogue,
                found,
                write=written_by(catalogue.layout, embedder),
                embed=take if embed else None,
                tell=tell,
                dry_run=dry_run,
                force=force,
                max_retired=max_retired / 100,
            )
        except UpdateRefused as error:
            if not as_json:
                _show_plan(error.plan, found.name, done=False)
            raise typer.Exit(report(error, as_json=as_json, more={"plan": _document(error.plan)})) from None
        except KeyboardInterrupt:
            raise Interrupted(
                "The store is as it was; what was embedded is kept. Run the same command again to go on."
            ) from None
        total = len(catalogue)
    if as_json:
        number = None if done.revision is None else done.revision.number
        print_json(
            {"corpus": found.name, "revision": number, "items": total, "cautions": done.cautions,
             "plan": _document(done.plan)}
        )  # fmt: skip
        return
    _show_updated(done, found.name, total, store=store, dry_run=dry_run)


@command
def rollback(store: Store = STORE, as_json: AsJson = False) -> None:
    """Bring back what a store held before its last corpus update.

    In one transaction, so a recommender that is running follows with its next turn; nothing has to be embedded again.
    Items that were written by hand since stay as they are. The last three updates can be taken back, the newest first;
    to put a corpus in again, use rarec corpus update.

    Example: rarec corpus rollback --store my-store
    """
    from rarec.catalogue import CatalogueStore
    from rarec.corpus.update import only_one
    from rarec.settings import StorePaths, read_settings

    read_settings(store)
    with CatalogueStore.open(StorePaths(store).catalogue) as catalogue, only_one(catalogue):
        done = catalogue.revisions.take_back()
        total = len(catalogue)
    if as_json:
        print_json({**asdict(done), "items": total})
        return
    left = f" {done.left:,} items that were written by hand since were left as they are." if done.left else ""
    console = out()
    console.print(
        plain(
            f"Took back update {done.revision.number} of the corpus {done.revision.owner}: {done.removed:,} items "
            f"removed, {done.restored:,} changed back, {done.returned:,} brought back.{left}"
        )
    )
    console.print(f"{total:,} items in the store.")


@command
def history(store: Store = STORE, as_json: AsJson = False) -> None:
    """List the corpus updates of a store: when, which corpus and dumps, what they did, and which can be taken back.

    Updates are numbered from 1. What is needed to take one back is kept in the store for the last three of those that
    stand; the newest of them is the one that rarec corpus rollback takes back.

    Example: rarec corpus history --store my-store
    """
    from rarec.catalogue import CatalogueStore
    from rarec.settings import StorePaths, read_settings

    read_settings(store)
    with CatalogueStore.open(StorePaths(store).catalogue) as catalogue:
        revisions, owners, total = catalogue.revisions.all(), catalogue.revisions.owners(), len(catalogue)
    by_hand = total - sum(owners.values())
    if as_json:
        print_json({"revisions": [asdict(one) for one in revisions], "corpora": owners, "by_hand": by_hand})
        return
    console = out()
    if not revisions:
        console.print("No corpus was put into this store; see: rarec corpus update --help")
        return
    console.print(_history_table(revisions))
    parts = [*(f"{count:,} of {plain(name)}" for name, count in owners.items()), f"{by_hand:,} by hand"]
    console.print(f"{total:,} items in the store: {', '.join(parts)}.")


def _document(plan: Plan) -> dict[str, Any]:
    return asdict(plan)


def _show_updated(done: Updated, name: str, total: int, *, store: Path, dry_run: bool) -> None:
    _show_plan(done.plan, name, done=done.revision is not None)
    console = out()
    if dry_run:
        for caution in done.cautions:
            err().print(plain(f"It would be refused without --force: {caution}"), style="yellow")
        console.print("Nothing was written (--dry-run).")
    elif done.revision is None:
        console.print(f"The store is at this corpus already; nothing was written. {total:,} items.")
    else:
        console.print(
            f"Update {done.revision.number} is written; {total:,} items in the store. "
            f"To take it back: rarec corpus rollback{store_option(store)}",
            style="dim",
            soft_wrap=True,
        )


def _show_plan(plan: Plan, name: str, *, done: bool) -> None:
    from rich.table import Table

    console = out()
    table = Table("added", "changed", "unchanged", "retired", "texts to embed" if not done else "texts new")
    figures = (plan.added, plan.changed, plan.unchanged, plan.retired, plan.texts)
    table.add_row(*(f"{figure:,}" for figure in figures))
    console.print(table)
    if plan.fields:
        listed = ", ".join(f"{plain(field)} {count:,}" for field, count in list(plan.fields.items())[:FIELDS_SHOWN])
        console.print(f"Changed by field: {listed}")
    for kind, shown in plan.examples.items():
        for one in shown:
            console.print(f"  {kind:>7}  {_line(one)}")
    stay = [*(f"{count:,} of the corpus {plain(other)}" for other, count in plan.others.items())]
    if plan.by_hand:
        stay.append(f"{plan.by_hand:,} that belong to no corpus, unless {plain(name)} names them")
    if stay:
        console.print(f"Other items stay: {', '.join(stay)}.")


def _line(shown: Shown) -> str:
    year = "" if shown.year is None else f" ({shown.year})"
    fields = f": {', '.join(shown.fields)}" if shown.fields else ""
    return " ".join(plain(f"{shown.id}  {shown.title}{year}{fields}").split())


def _history_table(revisions: Iterable[Revision]) -> Any:
    from rich.table import Table

    table = Table("#", "written", "corpus", "added", "changed", "retired", "dumps", "")
    for one in revisions:
        dumps = ", ".join(f"{source} {date}" for source, date in dict(one.note.get("dumps", {})).items())
        state = f"taken back {one.taken_back}" if one.taken_back else "can be taken back" if one.kept else ""
        counts = (f"{count:,}" for count in (one.added, one.changed, one.retired))
        table.add_row(str(one.number), one.made, plain(one.owner), *counts, plain(dumps), state)
    return table


def add_to(group: typer.Typer) -> None:
    """Join these commands to the group ``rarec corpus``."""
    group.command("update")(update)
    group.command("rollback")(rollback)
    group.command("history")(history)
