"""`rarec mcp`."""

from __future__ import annotations

from typing import Annotated

import typer

from rarec.cli.command import command
from rarec.cli.console import err
from rarec.cli.options import LLM, STORE, BaseUrl, Database, Model, Store, llm_flags


@command
def mcp(
    http: Annotated[
        bool, typer.Option("--http", help="Listen for streamable HTTP instead of talking over stdin and stdout.")
    ] = False,
    host: Annotated[
        str,
        typer.Option(metavar="HOST", help="With --http: address to listen on; another than this machine's needs keys."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="With --http: 0 takes a free one.")
    ] = 8765,
    llm: LLM = None,
    model: Model = None,
    base_url: BaseUrl = None,
    store: Store = STORE,
    database: Database = None,
) -> None:
    """Give an agent the catalogue as tools over the Model Context Protocol: recommend, search_items, get_item,
    give_feedback.

    Without --http the agent starts this command itself and talks over stdin and stdout; no key is asked for. With it
    the address that is printed answers, with the guards of rarec serve: limits are in the table "serve" of rarec.toml,
    and once there is a key (rarec keys add) it must be sent as "Authorization: Bearer SECRET". Sessions, feedback and
    ceilings are in the service's database. Logs are JSON lines on stderr.

    Example: rarec mcp --store shop

    Example: rarec mcp --store shop --http --port 8765
    """
    from rarec.cli.opening import has_service_keys, opened, reached_by
    from rarec.mcp import http_app, run_stdio
    from rarec.mcp.http import PATH
    from rarec.service.running import check_binding, listen, run, url_of

    flags = {**llm_flags(llm, model, base_url), "serve.database": database}
    if not http:
        with opened(store, flags=flags) as recommender:
            run_stdio(recommender)
        return
    check_binding(host, keys=has_service_keys(store, flags))
    with listen(host, port) as sock, opened(store, flags=flags) as recommender:
        limits = reached_by(recommender.settings.serve, host)
        told = f"rarec mcp answers at {url_of(sock)}{PATH}"
        run(http_app(recommender, limits), limits, sock, started=lambda: err().print(told))
