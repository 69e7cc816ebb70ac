"""`rarec delete`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rarec.cli.command import Interrupted, command
from rarec.cli.console import err, interactive, many, out, plain, print_json
from rarec.cli.options import STORE, AsJson, Store
from rarec.errors import InputError

if TYPE_CHECKING:
    from rarec.types import Item, ItemId

LISTED = 10
STDIN = Path("-")


@command
def delete(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Ids of items, as in the catalogue.")
    ] = None,
    store: Store = STORE,
    file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Ids from a file, one a line; - is the standard input."),
    ] = None,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Delete the others even if some ids are not in the catalogue.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete items from the store, in one transaction.

    A recommender that is running, in whatever process, neither offers nor links them from its next turn on. If an id is
    not in the catalogue nothing is deleted, unless --skip-unknown is given. The items are shown and a yes is asked for;
    scripts give --yes. Vectors stay in the cache, under a hash of the item's text, until embeddings.sqlite is deleted.

    Example: rarec delete b77 b78, or rarec delete --from gone.txt --skip-unknown --yes
    """
    from rarec.catalogue import CatalogueStore
    from rarec.settings import StorePaths, read_settings

    wanted = _ids(ids or [], file)
    read_settings(store)
    with CatalogueStore.open(StorePaths(store).catalogue) as catalogue:
        if not yes:
            # What is unknown is complained of before anything is asked.
            found = catalogue.get_many(wanted, missing="skip" if skip_unknown else "raise")
            if found and not _agreed(found):
                raise Interrupted("Nothing was deleted.")
        gone = catalogue.delete(wanted, missing="skip" if skip_unknown else "raise")
        total = len(catalogue)
    unknown = len(wanted) - gone
    if as_json:
        print_json({"deleted": gone, "unknown": unknown, "items": total})
        return
    skipped = f", {many(unknown, 'id')} {'was' if unknown == 1 else 'were'} not in it" if unknown else ""
    left = f"{total:,} {'is' if total == 1 else 'are'} left in the store"
    out().print(f"Deleted {many(gone, 'item')}{skipped}; {left}.")


def _ids(named: Sequence[str], file: Path | None) -> list[ItemId]:
    """The ids of the command line and of the file, each once."""
    from rarec.types import ItemId

    if not named and file is None:
        raise InputError("name the ids to delete, or give a file of them with --from")
    listed = [line for line in _text(file).splitlines() if line.strip()] if file is not None else []
    if not named and not listed:
        raise InputError(f"{str(file)!r} holds no ids; write one a line")
    return [ItemId(id) for id in dict.fromkeys([*named, *listed])]


def _text(file: Path) -> str:
    try:
        data = sys.stdin.buffer.read() if file == STDIN else file.read_bytes()
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"no file {str(file)!r}; --from takes a text file with one id a line") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read ids from {str(file)!r}: {error}; write one id a line, in UTF-8") from error


def _agreed(items: Sequence[Item]) -> bool:
    """Show what would go and ask."""
    if not interactive():
        raise InputError(f"{many(len(items), 'item')} would be deleted and nobody is there to agree; say so with --yes")
    console = err()
    for item in items[:LISTED]:
        year = "" if item.year is None else f" ({item.year})"
        console.print(plain(f"{item.id}  {item.title}{year}"))
    if len(items) > LISTED:
        console.print(f"... and {len(items) - LISTED:,} more")
    try:
        return typer.confirm(f"Delete {many(len(items), 'item')}?", err=True)
    except typer.Abort:  # Ctrl-C, or the end of the input
        return False
