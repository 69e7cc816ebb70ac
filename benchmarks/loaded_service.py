"""What a load test of the service needs beside its users, each a process of its own: endpoint, service and watcher."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rarec.testing import FakeOpenAIServer, Reply
from rarec.testing.replies import Recorded

RANKED = 10
REPLY = "Because you asked for it: [1] and then [2], and for another evening [3]. " * 4
STARTING_S = 900.0
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Pace:
    """How long the fake model takes.

    Attributes:
        latency_s: before the first byte of an answer.
        piece_s: before each event of a stream.
        piece_chars: characters in one.
    """

    latency_s: float
    piece_s: float = 0.02
    piece_chars: int = 20

    @property
    def answer(self) -> str:
        """What it says each time."""
        return json.dumps({"ranking": list(range(1, RANKED + 1)), "reply": REPLY})

    @property
    def plain_ms(self) -> float:
        """Until a whole answer that is not streamed."""
        return 1000 * self.latency_s

    @property
    def first_ms(self) -> float:
        """Until the first words of the reply in a stream: behind an event without text, and the ranking."""
        pieces = self.answer.index(REPLY[:8]) // self.piece_chars
        return 1000 * (self.latency_s + (pieces + 2) * self.piece_s)


class _Endpoint(FakeOpenAIServer):
    def record(self, request: Recorded) -> None:
        """Keep nothing: a long test asks often."""


def _answer(pipe: Connection, pace: Pace) -> None:
    reply = Reply(pace.answer, delay_s=pace.latency_s, piece_chars=pace.piece_chars, piece_delay_s=pace.piece_s)
    with _Endpoint([reply]) as fake:
        pipe.send(fake.url)
        _until_closed(pipe)


def _watch(pipe: Connection, host: str, port: int, every_s: float) -> None:
    """Ask for /healthz, which takes a step of the event loop and nothing else; give milliseconds when asked."""
    found: list[float] = []
    connection = http.client.HTTPConnection(host, port, timeout=60)
    try:
        while True:
            if pipe.poll(every_s):
                pipe.recv()
                pipe.send(found)
                found = []
            start = time.perf_counter()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            found.append(1000 * (time.perf_counter() - start))
    except (EOFError, OSError):
        return


def _until_closed(pipe: Connection) -> None:
    try:
        pipe.recv()
    except EOFError:
        return


@contextmanager
def _beside(work: Any, *arguments: Any) -> Iterator[Connection]:
    """Run `work` in a process of its own, which ends when the pipe is closed."""
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=work, args=(theirs, *arguments), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join(10)
        if process.is_alive():
            process.kill()


@contextmanager
def endpoint(pace: Pace) -> Iterator[str]:
    """A fake model; its base URL."""
    with _beside(_answer, pace) as pipe:
        yield str(pipe.recv())


class Watcher:
    """See `_watch`."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def take(self) -> list[float]:
        """Milliseconds of each look since the last call."""
        self._pipe.send("take")
        found: list[float] = self._pipe.recv()
        return found


@contextmanager
def watcher(url: str, every_s: float = 0.02) -> Iterator[Watcher]:
    """Something that looks at the service's event loop all the while."""
    where = urlsplit(url)
    with _beside(_watch, where.hostname, where.port, every_s) as pipe:
        yield Watcher(pipe)


class Service:
    """`rarec serve` as a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self._process, self.url = process, url

    @property
    def memory_mb(self) -> float:
        """Resident now, in MB (1e6 bytes)."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text(encoding="utf-8").split()[1])
        return pages * resource.getpagesize() / 1e6

    @property
    def processor_s(self) -> float:
        """Processor time of all its threads so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def get(self, path: str) -> tuple[int, Any]:
        """Status and document of one request."""
        where = urlsplit(self.url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            return response.status, json.loads(body) if body.startswith((b"{", b"[")) else body
        except OSError:
            return 0, None
        finally:
            connection.close()


@contextmanager
def service(store: Path, model_url: str, log: Path, settings: Mapping[str, object]) -> Iterator[Service]:
    """Serve a store on loopback until the end of the block.

    Args:
        log: gets what the process writes.
        settings: of the table "serve".
    """
    environment = os.environ | {f"RAREC_SERVE__{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-c", "from rarec.cli import main; main()", "serve", "--store", str(store)]
    options = ["--port", "0", "--llm", "http", "--model", "fake", "--base-url", model_url]
    with (
        log.open("wb") as stderr,
        subprocess.Popen([*command, *options], stdout=stderr, stderr=stderr, env=environment) as process,
    ):
        try:
            found = Service(process, _address(process, log))
            _wait(process, lambda: found.get("/readyz")[0] == 200, log)
            yield found
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    _wait(process, lambda: re.search(r"rarec serves http://\S+", log.read_text(encoding="utf-8")), log)
    found = re.search(r"http://[\d.]+:\d+", log.read_text(encoding="utf-8"))
    assert found is not None
    return found[0]


def _wait(process: subprocess.Popen[bytes], true: Any, log: Path) -> None:
    end = time.monotonic() + STARTING_S
    while not true():
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"the service did not start; it wrote: {log.read_text(encoding='utf-8')[-2000:]}")
        time.sleep(0.1)
