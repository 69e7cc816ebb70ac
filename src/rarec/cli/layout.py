"""`rarec layout`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from rarec.cli.command import Interrupted, command
from rarec.cli.console import out, plain, print_json
from rarec.cli.options import STORE, AsJson, Store
from rarec.cli.progress import staged

if TYPE_CHECKING:
    from rarec.catalogue import CatalogueStore
    from rarec.progress import OnProgress
    from rarec.types import Item

SHOWN = 2


@command
def layout(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME|FILE]", help="generic, film, books, games, shop, or a TOML file. Default: the store's own."
        ),
    ] = None,
    store: Store = STORE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how many items would be written otherwise; change nothing.")
    ] = False,
    embed: Annotated[
        bool, typer.Option("--embed/--no-embed", help="Embed the texts that are new before the store has the layout.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Show how items are written for the embedder, with examples, or change it.

    Only the items whose text becomes another one are embedded again, and only if no vector of that text was ever made
    here. A recommender that is running follows with its next turn. A layout is a TOML file: attributes in order, each
    with a prefix and a number of values, then so much of the text, all of it bounded by tokens of the embedder
    (max_tokens). The shipped retriever was trained on texts of the layout film; one of your own is trained on yours.

    Example: rarec layout books --store my-books --dry-run
    """
    from rarec.catalogue import CatalogueStore, load_layout
    from rarec.cli.embed import embed_stream
    from rarec.cli.texts import opened_when_needed, written_by
    from rarec.settings import StorePaths, read_settings

    read_settings(store)
    with (
        CatalogueStore.open(StorePaths(store).catalogue) as catalogue,
        staged(unit="items") as tell,
        opened_when_needed(store) as embedder,
    ):
        before = catalogue.layout
        wanted = before if name is None else load_layout(name)
        write, wrote = written_by(wanted, embedder), written_by(before, embedder)
        total = len(catalogue)
        examples = [write(item) for item in catalogue.page(n=SHOWN).items]
        changes = _Texts(catalogue, wrote, write, total)
        count = 0 if wanted == before else sum(1 for _ in changes.new(tell))
        written = 0
        if wanted != before and not dry_run:
            try:
                if embed and count:
                    embed_stream(embedder(), changes.new(None), total=count, tell=tell)
                tokens = embedder().tokens if before.max_tokens or wanted.max_tokens else None
                written = catalogue.set_layout(wanted, tokens)
            except KeyboardInterrupt:
                raise Interrupted("The layout is as it was; what was embedded is kept. Run it again.") from None
    if as_json:
        print_json(
            {"layout": wanted.name, "before": before.name, "items": total, "changed": written if not dry_run else count,
             "dry_run": dry_run, "examples": examples}
        )  # fmt: skip
        return
    console = out()
    for text in examples:
        console.print(plain(text))
        console.print("")
    if name is None:
        console.print(f"Layout {plain(wanted.name)}, {total:,} items.")
    elif wanted == before:
        console.print(f"The store has the layout {plain(wanted.name)} already.")
    elif dry_run:
        console.print(f"{count:,} of {total:,} items would have another text. Nothing was changed (--dry-run).")
    else:
        names = f"{plain(wanted.name)} in place of {plain(before.name)}"
        console.print(f"Layout {names}: {written:,} of {total:,} items have another text.")


@dataclass(frozen=True, slots=True)
class _Texts:
    catalogue: CatalogueStore
    wrote: Callable[[Item], str]
    write: Callable[[Item], str]
    total: int

    def new(self, tell: OnProgress | None) -> Iterator[str]:
        """The new texts of those items whose text changes."""
        for number, item in enumerate(self.catalogue, start=1):
            text = self.write(item)
            if text != self.wrote(item):
                yield text
            if tell is not None and number % 1000 == 0:
                tell("Compare texts", number, self.total, "")
