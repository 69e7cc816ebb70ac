"""`rarec serve` as a process: how it starts, what it refuses, and how it ends."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rarec.errors import SettingsError
from rarec.service.running import check_binding, listen
from rarec.state import StateDatabase, add_key, parse_limits, revoke_key
from rarec.testing import FakeOpenAIServer, Reply
from serving import until

MakeStore = Callable[[str], Path]
COMMAND = (sys.executable, "-c", "from rarec.cli import main; main()", "serve")


@contextmanager
def serving(*options: str) -> Iterator[tuple[subprocess.Popen[str], str, int, list[str]]]:
    """A process that serves on a free port: it, host, port, and its lines on stderr, which grow."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", *options], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        env=environment,
    )  # fmt: skip
    assert process.stderr is not None
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stderr.readline, "")))  # type: ignore[union-attr]
    reader.start()
    try:
        until(lambda: process.poll() is not None or "/docs)" in "".join(lines), seconds=120)
        found = re.search(r"rarec serves http://([\d.]+):(\d+)", "".join(lines))
        assert found, lines
        yield process, found[1], int(found[2]), lines
    finally:
        process.kill()
        process.wait(60)
        reader.join(60)
        process.stderr.close()


def get(host: str, port: int, path: str) -> int:
    connection = http.client.HTTPConnection(host, port, timeout=60)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_after_the_streams_that_run(make_store: MakeStore, number: signal.Signals) -> None:
    answer = json.dumps({"ranking": [1], "reply": "Take [1]. " + "And so on. " * 40})
    with (
        FakeOpenAIServer([Reply(answer, piece_chars=5, piece_delay_s=0.02)]) as fake,
        serving("--store", str(make_store("shop")), "--model", "fake", "--base-url", fake.url) as live,
    ):
        process, host, port, lines = live
        connection = http.client.HTTPConnection(host, port, timeout=60)
        body = json.dumps({"model": "rarec", "messages": [{"role": "user", "content": "Trams?"}], "stream": True})
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        stream = connection.getresponse()
        assert stream.readline().startswith(b"data: ")
        process.send_signal(number)
        rest = stream.read()
        connection.close()
        assert rest.endswith(b"data: [DONE]\n\n")
        assert b'"degraded":false' in rest
        assert process.wait(60) == 0
        logged = [json.loads(line) for line in lines if line.startswith("{")]
    assert "Traceback" not in "".join(lines)
    assert any(entry.get("route") == "/v1/chat/completions" and entry["status"] == 200 for entry in logged)


def test_several_workers_answer_and_add_up_their_figures(make_store: MakeStore) -> None:
    with serving("--store", str(make_store("shop")), "--llm", "none", "--workers", "2") as (process, host, port, _):
        until(lambda: get(host, port, "/readyz") == 200, seconds=120)
        asked = 24
        for _ in range(asked):
            assert get(host, port, "/v1/models") == 200
        connection = http.client.HTTPConnection(host, port, timeout=60)
        connection.request("GET", "/metrics")
        figures = connection.getresponse().read().decode()
        connection.close()
        found = re.search(r'rarec_requests_total\{method="GET",route="/v1/models",status="200"\} ([\d.]+)', figures)
        assert found
        assert float(found[1]) == asked
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_what_keeps_the_model_from_answering_is_told_at_the_start(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    store = make_store("shop")
    with StateDatabase.open(store / "service.sqlite") as database:
        add_key(database, "site", parse_limits(["day.usd=5"], source="test"))
        revoke_key(database, add_key(database, "gone", parse_limits(["day.usd=5"], source="test"))[0].id)
    with serving("--store", str(store), "--model", "gpt-4o-mini") as (_, _, _, lines):
        said = " ".join("".join(lines).split())
    assert "Warning: ceilings in usd (site), but the prices of the model are not known" in said
    assert "OPENAI_API_KEY is not set, so OpenAI will refuse to answer" in said


def refused(*options: str) -> tuple[int, str]:
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=120)
    return done.returncode, " ".join(done.stderr.split())


def test_what_it_refuses(make_store: MakeStore, tmp_path: Path) -> None:
    code, said = refused("--store", str(tmp_path / "none"), "--port", "0")
    assert code == 3
    assert "rarec init" in said
    store = str(make_store("shop"))
    code, said = refused("--store", store, "--host", "0.0.0.0")
    assert code == 2
    assert "no keys" in said
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = refused("--store", store, "--port", str(port))
    assert code == 2
    assert "another --port" in said


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "shop.example", ""])
def test_only_loopback_without_keys(host: str) -> None:
    with pytest.raises(SettingsError, match="no keys"):
        check_binding(host, keys=False)


def test_answers_are_sent_at_once() -> None:
    """Without TCP_NODELAY the second packet of an answer waits until the first is acknowledged, 40 ms."""

    async def go() -> int:
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            told.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with listen("127.0.0.1", 0) as sock:
            async with await asyncio.start_server(accepted, sock=sock):
                _, writer = await asyncio.open_connection(*sock.getsockname())
                found = await told
                writer.close()
                await writer.wait_closed()
        return found

    assert asyncio.run(go()) != 0


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_is_allowed(host: str) -> None:
    check_binding(host, keys=False)


def test_with_keys_it_may_listen_anywhere() -> None:
    check_binding("0.0.0.0", keys=True)
