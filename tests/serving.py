"""A service that really runs: uvicorn on loopback, in a thread, and a plain client."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from rarec.service.running import Server, config_of, listen, url_of


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def problem(self, status: int) -> dict[str, Any]:
        """The body of an error, which must be a problem document of that status."""
        assert self.status == status, self.body[:500]
        assert self.headers["content-type"] == "application/problem+json"
        document = self.json
        assert document["status"] == status
        assert document["type"].startswith("urn:rarec:problem:")
        assert document["title"]
        assert len(document["detail"]) > 10
        assert document["request_id"] == self.headers["x-request-id"]
        return dict(document)


@dataclass(frozen=True, slots=True)
class Running:
    """A service at `url`."""

    url: str
    app: FastAPI
    server: Server

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self.address, timeout=60)

    def ask(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, raw: bytes = b""
    ) -> Answered:
        """One request on a connection of its own; `body` is sent as JSON, `raw` as it is."""
        sent = raw if body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json"} if sent else {}
        connection = self.connection()
        try:
            connection.request(method, path, sent or None, {**given, **(headers or {})})
            response = connection.getresponse()
            return Answered(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def figures(self) -> dict[str, float]:
        """What /metrics says: name with labels -> value."""
        lines = self.ask("GET", "/metrics").body.decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


@contextmanager
def running(app: FastAPI) -> Iterator[Running]:
    """Serve until the end of the block."""
    up = threading.Event()
    with listen("127.0.0.1", 0) as sock:
        server = Server(config_of(app, app.state.parts.settings), up.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        try:
            assert up.wait(60)
            yield Running(url_of(sock), app, server)
        finally:
            server.should_exit = True
            thread.join(60)
            assert not thread.is_alive()


def until(true: Any, *, seconds: float = 30.0) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)
