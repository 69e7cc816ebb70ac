"""A download that is stopped, by Ctrl-C or a kill, goes on where it was."""

import hashlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CONTENT = os.urandom(1 << 20) * 3
HASH = hashlib.sha256(CONTENT).hexdigest()


class SlowThenFast(http.server.BaseHTTPRequestHandler):
    """Sends the first answer's first megabyte, then waits to be dropped; later answers are whole."""

    asked: list[str | None]

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.asked.append(asked)
        start = int(asked.split("=")[1].rstrip("-")) if asked else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("ETag", '"one"')
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        if len(self.asked) == 1:
            self.wfile.write(CONTENT[: 1 << 20])
            self.wfile.flush()
            time.sleep(20)
        else:
            self.wfile.write(CONTENT[start:])

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, list[str | None]]]:
    asked: list[str | None] = []
    handler = type("Answers", (SlowThenFast,), {"asked": asked})
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    running.daemon_threads = True
    running.block_on_close = False
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}/file.bin", asked
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_the_same_command_goes_on(
    server: tuple[str, list[str | None]], tmp_path: Path, how: signal.Signals, code: int
) -> None:
    url, asked = server
    target, part = tmp_path / "file.bin", tmp_path / "file.bin.part"
    target.write_bytes(b"what was there before")
    words = [sys.executable, "-c", "from rarec.cli import main; main()", "data", "fetch", url]
    words += ["--sha256", HASH, "--out", str(target)]
    environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
    first = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size >= 1 << 19):
        assert time.monotonic() < until, "nothing came"
        assert first.poll() is None, first.communicate()[1]
        time.sleep(0.01)
    first.send_signal(how)
    _, said = first.communicate(timeout=30)
    assert first.returncode == code
    if how is signal.SIGINT:
        assert "What came is kept; run the same command again to go on." in " ".join(said.split())
    assert target.read_bytes() == b"what was there before"
    had = part.stat().st_size
    second = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert f"{len(CONTENT) - had:,} bytes downloaded" in second.stdout
    assert target.read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.bin"]
    assert asked == [None, f"bytes={had}-"]
