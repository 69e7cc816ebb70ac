"""`rarec init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rarec.cli.command import command
from rarec.cli.console import many, out, print_json
from rarec.cli.options import STORE, AsJson, store_option


@command
def init(
    path: Annotated[Path, typer.Argument(envvar="RAREC_STORE", help="Folder to make.")] = STORE,
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="How items are written for the embedder: generic, film, books, games, shop, or a TOML file. "
            "Default: generic, or film with --starter.",
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Folder of the trained models. Default: the bundle that comes with rarec."),
    ] = None,
    starter: Annotated[
        bool, typer.Option("--starter/--empty", help="Fill it with the starter catalogue of well-known films.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a store: a folder with a catalogue, the settings (rarec.toml) and a bundle of trained models.

    The store is empty unless --starter is given; fill it with rarec import. An existing store is never touched.

    Example: rarec init my-store --layout film
    """
    from rarec.assembly import create_store
    from rarec.catalogue import CatalogueStore, starter_items

    paths = create_store(path, layout=layout or ("film" if starter else "generic"), bundle=bundle)
    with CatalogueStore.open(paths.catalogue) as catalogue:
        if starter:
            catalogue.add(starter_items())
        items, used = len(catalogue), catalogue.layout.name
    if as_json:
        print_json({"store": str(path), "items": items, "layout": used, "settings": str(paths.settings)})
        return
    place = store_option(path)
    console = out()
    console.print(f"Made a store at {path} with {many(items, 'item')}, layout {used}.")
    fill = f"rarec import FILE{place}, or rarec corpus update --corpus FOLDER{place} for what rarec corpus build made"
    console.print(f"Next: rarec embed{place}" if items else f"Next: {fill}", style="dim", soft_wrap=True)
