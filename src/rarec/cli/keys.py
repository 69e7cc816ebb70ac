"""`rarec keys`: who may use the service, and for how much."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rarec.cli.command import command
from rarec.cli.console import err, out, plain, print_json
from rarec.cli.options import STORE, AsJson, Database, Store

if TYPE_CHECKING:
    from rarec.state import Key, StateDatabase

keys = typer.Typer(
    help="API keys of the service: make one, list them, revoke one.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@command
def add(
    name: Annotated[str, typer.Argument(help="What the key is called; it tells nothing and opens nothing.")],
    store: Store = STORE,
    database: Database = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            "--limit",
            metavar="SCOPE.WHAT=NUMBER",
            help="A ceiling of calls, tokens or usd for each request, session or day (UTC), or for the key's whole "
            "life (key): day.usd=2.5, session.calls=100. May be repeated. Default: no ceiling.",
        ),
    ] = None,
    admin: Annotated[
        bool, typer.Option("--admin", help="Of the owner: it may look at all sessions and switch bundles.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a key and show its secret, once: it is not kept, only a hash of it.

    A client sends the secret as "Authorization: Bearer SECRET". The ceilings are of what language models take: a call
    that could pass one is not made. Those in usd need the model's prices, input_usd and output_usd of rarec.toml.
    Whoever lost a secret revokes the key and makes another.

    Example: rarec keys add shop --store my-store --limit day.usd=2.5 --limit request.calls=2
    """
    from rarec.state import add_key, parse_limits

    limits = parse_limits(limit or [], source="--limit")
    with _opened(store, database) as opened:
        made, secret = add_key(opened, name, limits, admin=admin)
    if as_json:
        print_json({**_document(made), "secret": secret})
        return
    if note := _unpriced(store, made):
        err().print(note, style="yellow")
    err().print(f"Made the key {plain(made.name)}. Its secret, which is shown only now:", style="dim")
    out().print(secret)


@command
def show(store: Store = STORE, database: Database = None, as_json: AsJson = False) -> None:
    """List the keys with their ceilings and what they have spent so far, revoked ones too; secrets are not kept.

    What is spent is what was settled, and what calls on their way may take at most.

    Example: rarec keys list --store my-store
    """
    from rarec.state import Account, list_keys, reserved, spent

    with _opened(store, database) as opened:
        found = list_keys(opened)
        accounts = [Account("key", key.id) for key in found]
        used = [spent(opened, account) + reserved(opened, account) for account in accounts]
    if as_json:
        took = [{"calls": spend.calls, "tokens": spend.tokens, "usd": spend.usd} for spend in used]
        print_json([{**_document(key), "spent": spend} for key, spend in zip(found, took, strict=True)])
        return
    if not found:
        out().print("There are no keys; make one with: rarec keys add NAME")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in ("name", "id", "made", "revoked", "admin", "limits", "calls", "tokens", "USD"):
        table.add_column(column, overflow="fold", justify="right" if column in ("calls", "tokens", "USD") else "left")
    for key, spend in zip(found, used, strict=True):
        revoked = "" if key.revoked is None else f"{key.revoked:%Y-%m-%d}"
        told = ", ".join(_written(_document(key)["limits"])) or "none"
        row = (plain(key.name), key.id, f"{key.created:%Y-%m-%d}", revoked, "yes" if key.admin else "", told)
        table.add_row(*map(Text, row), f"{spend.calls:,}", f"{spend.tokens:,}", f"{spend.usd:.4f}")
    out().print(table)


@command
def revoke(
    name: Annotated[str, typer.Argument(help="Name or id of the key.")],
    store: Store = STORE,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Close a key for ever: within seconds its secret opens nothing. Again it changes nothing.

    Its sessions, feedback and spend stay, and its name is not given again.

    Example: rarec keys revoke shop --store my-store
    """
    from rarec.state import revoke_key

    with _opened(store, database) as opened:
        key = revoke_key(opened, name)
    if as_json:
        print_json(_document(key))
        return
    out().print(f"Revoked the key {plain(key.name)} ({key.id}).")


def _opened(store: Path, database: str | None) -> StateDatabase:
    from rarec.settings import StorePaths, read_settings
    from rarec.state import StateDatabase

    place = database or StorePaths(store).database(read_settings(store).serve)  # says so if there is no store
    return StateDatabase.open(place)


def _unpriced(store: Path, key: Key) -> str:
    """What has to be done before ceilings in dollars work; nothing where there is no store, or prices are known."""
    from rarec.cli.opening import prices_note
    from rarec.settings import StorePaths, read_settings

    return prices_note(read_settings(store).llm, [key]) if StorePaths(store).catalogue.is_file() else ""


def _written(limits: dict[str, dict[str, Any]]) -> list[str]:
    return [f"{scope}.{what}={number:g}" for scope, own in limits.items() for what, number in own.items()]


def _document(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "created": key.created.isoformat(),
        "revoked": None if key.revoked is None else key.revoked.isoformat(),
        "admin": key.admin,
        "limits": key.limits.model_dump(exclude_none=True, exclude_defaults=True),
    }


keys.command("add")(add)
keys.command("list")(show)
keys.command("revoke")(revoke)
