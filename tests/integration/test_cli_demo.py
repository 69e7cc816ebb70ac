"""`rarec demo` in a terminal: it serves the page until it is interrupted."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from rarec.cli.demo_page import desktop

pty = pytest.importorskip("pty", reason="pseudo-terminals are of Unix")
COMMAND = (sys.executable, "-c", "from rarec.cli import main; main()", "demo", "--no-open")


def read_until(terminal: int, words: bytes, *, seconds: float = 120.0) -> bytes:
    text, end = b"", time.monotonic() + seconds
    while words not in text:
        assert time.monotonic() < end, text
        if select.select([terminal], [], [], 0.5)[0]:
            text += os.read(terminal, 4096)
    return text


def test_the_page_is_served_until_ctrl_c(make_store: Callable[[str], Path]) -> None:
    store = make_store("demo")
    master, slave = pty.openpty()
    process = os.posix_spawn(
        COMMAND[0],
        [*COMMAND, "--folder", str(store)],
        {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "DISPLAY": ""},
        file_actions=[(os.POSIX_SPAWN_DUP2, slave, descriptor) for descriptor in (0, 1, 2)],
    )
    os.close(slave)
    try:
        text = read_until(master, b"Ctrl-C ends it.").decode()
        found = re.search(r"http://127\.0\.0\.1:\d+", text)
        assert found, text
        with urllib.request.urlopen(found[0]) as page:
            assert b"/web/chat.js" in page.read()
        with urllib.request.urlopen(f"{found[0]}/v1/items?limit=1") as items:
            assert items.status == 200
        os.kill(process, signal.SIGINT)
        _, status = os.waitpid(process, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        process = 0
    finally:
        if process:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        os.close(master)
    assert "Traceback" not in text
    assert '"level"' not in text, "nobody wants log lines in a demo"


def test_a_browser_is_opened_only_where_there_is_a_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not desktop()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert desktop()
