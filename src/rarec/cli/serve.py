"""`rarec serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from rarec.cli.command import command
from rarec.cli.console import err
from rarec.cli.options import LLM, STORE, BaseUrl, Database, Model, Store, llm_flags


@command
def serve(
    host: Annotated[
        str, typer.Option(metavar="HOST", help="Address to listen on; another than this machine's needs keys.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="0 takes a free one.")] = 8000,
    workers: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, max=64, help="Processes; each has the store in memory, and limits of its own."
        ),
    ] = 1,
    llm: LLM = None,
    model: Model = None,
    base_url: BaseUrl = None,
    store: Store = STORE,
    database: Database = None,
) -> None:
    """Serve the catalogue over HTTP: an OpenAI-compatible chat, recommendations, items, sessions and feedback.

    Any OpenAI client or chat front end works with the base URL that is printed, with /v1 behind it; /docs describes
    everything. Limits are in the table "serve" of rarec.toml. Without keys everybody on this machine is let in, and
    nobody else; once there is a key (rarec keys add) everybody needs one, and other addresses may be listened on. Logs
    are JSON lines on stderr. Ctrl-C ends it after the answers that are being written.

    Example: rarec serve --store shop --port 8000
    """
    from rarec.cli.opening import has_service_keys, opened, reached_by
    from rarec.service.app import create_app
    from rarec.service.running import check_binding, listen, run, run_workers, url_of
    from rarec.telemetry import check as check_telemetry

    flags = {**llm_flags(llm, model, base_url), "serve.database": database}
    check_binding(host, keys=has_service_keys(store, flags))
    with listen(host, port) as sock:

        def tell() -> None:
            err().print(f"rarec serves {url_of(sock)} (OpenAI clients: {url_of(sock)}/v1, help: {url_of(sock)}/docs)")

        with opened(store, flags=flags) as recommender:
            limits = reached_by(recommender.settings.serve, host)
            if limits.telemetry:  # workers would find out one by one
                check_telemetry()
            if workers == 1:
                run(create_app(recommender, limits), limits, sock, started=tell)
        if workers > 1:  # everything has an embedding by now, and what is wrong has been said
            tell()
            run_workers(store, limits, sock, workers=workers, flags={**flags, "serve.hosts": limits.hosts})
