"""What every test gets: no network but loopback, and the folder of real data where there is one."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from postgres import NoPostgres, new_database, running

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# A shell may have started the tests with interrupts ignored, and what they start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def find_shared_data() -> Path | None:
    """The folder named by RAREC_DATA, else ../shared/data beside the repository."""
    folder = Path(os.environ.get("RAREC_DATA", "") or Path(__file__).parents[2] / "shared" / "data")
    return folder if (folder / "corpus" / "movies.parquet").exists() else None


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Sums in the same order whatever the machine: `pytestmark = pytest.mark.usefixtures("one_thread")`."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    folder = find_shared_data()
    if folder is None:
        pytest.skip("no folder of real data; set RAREC_DATA")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if find_shared_data() is None:
        for item in items:
            if item.get_closest_marker("shared_data"):
                item.add_marker(pytest.mark.skip(reason="no folder of real data; set RAREC_DATA"))


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches for the network fails instead of waiting."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else address
        if self.family != socket.AF_UNIX and host not in ("127.0.0.1", "::1", "localhost"):
            raise RuntimeError(f"a test tried to connect to {address!r}; tests use loopback only")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server that this test run has started for itself."""
    with running() as server:
        if isinstance(server, NoPostgres):
            pytest.skip(f"no PostgreSQL: {server.reason}")
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty service database can be made: a file, and a database of a real server."""
    if request.param == "sqlite":
        return str(tmp_path / "service.sqlite")
    return new_database(request.getfixturevalue("postgres"))
