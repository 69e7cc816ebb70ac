"""`rarec backup` and `rarec restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rarec.cli.command import Interrupted, command
from rarec.cli.console import out, print_json
from rarec.cli.options import STORE, AsJson, Store
from rarec.cli.progress import counting

File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup, one tar file.")]


@command
def backup(
    file: File,
    store: Store = STORE,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a store into one file: catalogue, service database, settings, bundles and promotions.

    The store may be in use: each database is copied as it is at one moment. Embeddings are left out, since rarec embed
    makes them again. The hash of every file is kept in it. It holds conversations and the hashes of keys, so keep it
    safe. A database at a PostgreSQL URL is not in it; use pg_dump for that one.

    Example: rarec backup monday.tar --store my-store
    """
    from rarec.backup import back_up

    try:
        with counting("Back up", unit="bytes") as tell:
            manifest = back_up(store, file, force=force, progress=tell)
    except KeyboardInterrupt:
        raise Interrupted("No backup was written.") from None
    if as_json:
        print_json({"file": str(file), **manifest.model_dump()})
        return
    out().print(f"Wrote {len(manifest.files):,} files, {manifest.bytes:,} bytes, to {file}.")


@command
def restore(
    file: File,
    store: Store = STORE,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite the store that is there; what the backup lacks stays.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a store from a backup, or bring one back to it with --force.

    Every file is checked against its hash before anything of the store is touched. Stop what serves a store before it
    is overwritten: its databases change in one transaction each, but what a process has in memory does not. After an
    interruption run it again.

    Example: rarec restore monday.tar --store my-store
    """
    from rarec import backup as backups

    try:
        with counting("Restore", unit="bytes") as tell:
            manifest = backups.restore(file, store, force=force, progress=tell)
    except KeyboardInterrupt:
        raise Interrupted("Run it again; with --force the store may hold some of both.") from None
    if as_json:
        print_json({"store": str(store), **manifest.model_dump()})
        return
    place = "" if store == STORE else f" --store {store}"
    out().print(f"Restored {len(manifest.files):,} files to {store}. Next: rarec embed{place}")
