"""`rarec doctor`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rarec.cli.command import command
from rarec.cli.console import out, plain, print_json
from rarec.cli.options import STORE, AsJson

if TYPE_CHECKING:
    from rarec.cli.checks import Check

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@command
def doctor(
    store: Annotated[
        Path | None,
        typer.Option("--store", metavar="FOLDER", envvar="RAREC_STORE", help=f"Folder of the store. Default: {STORE}."),
    ] = None,
    llm: Annotated[bool, typer.Option("--llm", help="Ask the remote language model too; this may cost money.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check the installation and a store, and say how to mend what is wrong.

    Looks at Python, packages and threads; at the store, its bundle, embedder and embeddings; at the language model
    (a remote one only with --llm) and the free disk. Exits with 0 unless a check fails, else with the exit code of the
    first failure.

    Example: rarec doctor --store my-store
    """
    from rarec.cli import checks

    found = list(checks.installation())
    if all(check.status != "fail" for check in found):
        found += checks.store(store or STORE, named=store is not None, ask_llm=llm)
    if as_json:
        rows = [{k: v for k, v in asdict(check).items() if k != "exit_code"} for check in found]
        print_json({"ok": all(check.status != "fail" for check in found), "checks": rows})
    else:
        _show(found)
    raise typer.Exit(next((check.exit_code or 1 for check in found if check.status == "fail"), 0))


def _show(found: list[Check]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in ("check", "", "found", "what to do"):
        table.add_column(name, overflow="fold")
    for check in found:
        mark = Text(check.status, style=STYLES[check.status])
        table.add_row(check.name, mark, Text(plain(check.detail)), Text(plain(check.remedy)))
    out().print(table)
