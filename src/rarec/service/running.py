"""Runs the service in this process, or in several."""

from __future__ import annotations

import gc
import json
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from rarec.errors import InputError, SettingsError
from rarec.service.access import is_loopback
from rarec.service.app import create_app
from rarec.service.logs import configure
from rarec.service.metrics import SHARED
from rarec.settings import ServeSettings

WHAT = "RAREC_SERVE_WHAT"
"""Tells the worker processes which store, with which flags."""

_KEEP_ALIVE_S = 75
"""A connection without a request is closed after it. Clients and proxies that keep theirs for a minute or less must be
first, or a request meets the closing; with uvicorn's five seconds those of OpenAI's client did."""

_SWITCH_S = 0.0005
"""How long one thread may keep the interpreter from the others. At Python's five milliseconds a transaction of the
database, which lets go of it at each statement, took so long among busy threads that others gave up waiting."""

_HEALTH_S = 60
"""Starting takes seconds, more on a busy machine; uvicorn would kill and start workers anew."""


def check_binding(host: str, *, keys: bool) -> None:
    """Refuse to be reached from elsewhere without knowing who calls.

    Raises:
        SettingsError: `host` is no loopback address, and there are no keys.
    """
    if not keys and not is_loopback(host):
        raise SettingsError(
            f"refusing to listen on {host!r}: there are no keys, so nobody could be told from anybody; make one with "
            "rarec keys add NAME, or listen on 127.0.0.1"
        )


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address; port 0 takes a free one.

    Raises:
        InputError: it is taken, or cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio leaves Nagle's algorithm on, and each answer waits 40 ms for an acknowledgement.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise InputError(f"cannot listen on {host} port {port}: {error.strerror}; choose another --port") from error
    sock.set_inheritable(True)
    return sock


def url_of(sock: socket.socket) -> str:
    """What to type into a browser."""
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


class Server(uvicorn.Server):
    """Ends quietly on Ctrl-C and SIGTERM, after the requests that run; a second one ends them.

    Args:
        started: is called once requests are taken.
    """

    def __init__(self, config: uvicorn.Config, started: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._tell = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._tell()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        with super().capture_signals():
            yield
            self._captured_signals.clear()  # uvicorn would raise them again, and nothing would be closed


def config_of(app: FastAPI | str, settings: ServeSettings, *, workers: int = 1) -> uvicorn.Config:
    """How uvicorn is run: it writes no log of its own, and believes no forwarded address unless it is told to."""
    return uvicorn.Config(
        app,
        factory=isinstance(app, str),
        workers=workers,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=settings.shutdown_s,
        timeout_worker_healthcheck=_HEALTH_S,
    )


def run(
    app: FastAPI,
    settings: ServeSettings,
    sock: socket.socket,
    *,
    started: Callable[[], None],
    level: int = logging.INFO,
) -> None:
    """Serve in this process until a signal; logs below `level` are not written."""
    configure(level)
    _take_over(app)
    Server(config_of(app, settings), started).run(sockets=[sock])


def run_workers(
    store: Path, settings: ServeSettings, sock: socket.socket, *, workers: int, flags: Mapping[str, Any]
) -> None:
    """Serve in so many processes until a signal; each opens the store for itself."""
    configure()
    kept = {name: value for name, value in flags.items() if value is not None}
    with tempfile.TemporaryDirectory(prefix="rarec-figures-") as figures:
        os.environ[SHARED] = figures
        os.environ[WHAT] = json.dumps({"store": str(store.absolute()), "flags": kept})
        config = config_of("rarec.service.running:worker_app", settings, workers=workers)
        Multiprocess(config, sockets=[sock]).run()


def worker_app() -> FastAPI:
    """The application of a worker process, as `WHAT` describes it."""
    configure()
    what = json.loads(os.environ[WHAT])
    app = create_app(what["store"], flags=what["flags"])
    _take_over(app)
    return app


def settle() -> None:
    """Spare the garbage collector what is there now: it stays.

    Of a large catalogue there are millions of objects, and whenever the collector looked through them everything stood
    still: .8 s for 231,171 films. What is let go of is freed all the same, unless it refers to itself.
    """
    gc.collect()
    gc.freeze()


def _take_over(app: FastAPI) -> None:
    """Set up what belongs to a process that does nothing else."""
    sys.setswitchinterval(_SWITCH_S)
    settle()
    app.state.parts.when_settled(settle)
