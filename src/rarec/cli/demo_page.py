"""The chat page of `rarec demo`."""

from __future__ import annotations

import logging
import os
import sys
import webbrowser
from pathlib import Path

from rarec.cli.console import out, program

HOST = "127.0.0.1"


def serve_page(folder: Path, *, port: int, show: bool) -> None:
    """Serve a store on this machine until Ctrl-C, and say where.

    Args:
        port: 0 takes a free one.
        show: open the page in a browser, if there is a desktop.
    Raises:
        StoreError, InputError: the store cannot be opened, or the port is taken.
    """
    from rarec.cli.opening import opened
    from rarec.service.app import create_app
    from rarec.service.running import listen, run, url_of

    with listen(HOST, port) as sock, opened(folder) as recommender:

        def tell() -> None:
            out().print(f"\nThe page:       {url_of(sock)}\nFor its owner:  {url_of(sock)}/admin")
            out().print(f"Your own items: {program()} init shop, then {program()} import items.csv --store shop")
            out().print("Ctrl-C ends it.")
            if show and desktop():
                webbrowser.open(url_of(sock))

        settings = recommender.settings.serve
        run(create_app(recommender, settings), settings, sock, started=tell, level=logging.WARNING)


def desktop() -> bool:
    """Whether a browser with a window can be opened here."""
    if sys.platform in ("darwin", "win32"):
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
