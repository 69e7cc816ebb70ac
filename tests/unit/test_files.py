"""Atomic writes: the old content or the new, never a part."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from rarec.errors import StoreError
from rarec.files import atomic_write, held_alone, use_wal, write_text

KEEPS_WRITING = """
import sys
from pathlib import Path
from rarec.files import atomic_write
path = Path(sys.argv[1])
for round_ in range(10**9):
    with atomic_write(path) as file:
        for part in range(40):
            file.write(bytes([65 + round_ % 26]) * 4096)
            file.flush()
    print(round_, flush=True)
"""


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def only(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_new_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    write_text(path, "naïve\n")
    assert path.read_bytes() == "naïve\n".encode()
    write_text(path, "")
    assert path.read_bytes() == b""
    assert only(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_an_exception_leaves_the_old_content(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "notes.txt"
    write_text(path, "old")

    def fail() -> None:
        with atomic_write(path) as file:
            file.write(b"new")
            assert path.read_text(encoding="utf-8") == "old", "not before all is written"
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text(encoding="utf-8") == "old"
    assert only(tmp_path) == ["notes.txt"]


def test_a_full_disk_is_a_store_error_and_leaves_the_old_content(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "notes.bin"
    path.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # what a write past it gets looks like a full disk
    try:
        with (
            pytest.raises(StoreError, match=r"cannot write .*notes\.bin.*; free some space"),
            atomic_write(path) as file,
        ):
            file.write(b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert path.read_bytes() == b"old"
    assert only(tmp_path) == ["notes.bin"]


@pytest.mark.parametrize("place", ["missing/notes.txt", "file/notes.txt", "folder", "n" * 300])
def test_a_place_that_cannot_be_written(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="cannot write"):
        write_text(tmp_path / place, "x")
    assert only(tmp_path) == ["file", "folder"]


def test_no_space_while_syncing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        write_text(tmp_path / "notes.txt", "x")
    assert only(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="no permission bits")
@pytest.mark.usefixtures("umask")
def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    write_text(tmp_path / "ours", "x")
    (tmp_path / "any").write_bytes(b"x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "any").stat().st_mode
    assert (tmp_path / "ours").stat().st_mode & 0o777 == 0o640


def test_the_umask_of_the_process_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to all threads: a file that another one makes meanwhile would get other permissions."""

    def touched(mask: int) -> int:
        raise AssertionError(f"umask({mask}) was called")

    monkeypatch.setattr(os, "umask", touched)
    write_text(tmp_path / "notes.txt", "x")


def test_several_writers_at_once(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"

    def write(letter: str) -> None:
        for _ in range(6):
            write_text(path, letter * 50_000)
            assert len(set(path.read_text(encoding="utf-8"))) == 1

    failures: list[BaseException] = []

    def guarded(letter: str) -> None:
        try:
            write(letter)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(letter,)) for letter in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert only(tmp_path) == ["notes.txt"]


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_a_kill_leaves_one_whole_content(tmp_path: Path) -> None:
    path = tmp_path / "notes.bin"
    for rounds in (1, 2, 5):
        command = [sys.executable, "-c", KEEPS_WRITING, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(rounds):
                process.stdout.readline()
            process.kill()
        data = path.read_bytes()
        assert len(data) == 40 * 4096
        assert len(set(data)) == 1


def test_many_that_open_a_new_database_at_once_all_get_it(tmp_path: Path) -> None:
    def opened(_: int) -> str:
        with closing(sqlite3.connect(tmp_path / "new.sqlite", timeout=5)) as connection:
            use_wal(connection, timeout_s=20)
            return str(connection.execute("PRAGMA journal_mode").fetchone()[0])

    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(opened, range(64))) == {"wal"}


def test_a_database_that_stays_locked_is_told(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.sqlite", isolation_level=None)) as holder:
        holder.execute("CREATE TABLE t (x)")
        holder.execute("BEGIN EXCLUSIVE")
        other = sqlite3.connect(tmp_path / "a.sqlite", timeout=0)
        with closing(other), pytest.raises(sqlite3.OperationalError, match="locked"):
            use_wal(other, timeout_s=0.05)


HOLDS = """
import sys
from pathlib import Path
from rarec.files import held_alone
with held_alone(Path(sys.argv[1]), taken="taken"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_keeps_another_process_out_until_its_holder_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "new" / ".lock"
    command = [sys.executable, "-c", HOLDS, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(StoreError, match="wait for it"), held_alone(path, taken="wait for it"):
            pass
        process.kill()
    with held_alone(path, taken=""):
        pass
    with held_alone(path, taken=""):
        pass


def test_a_lock_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"), held_alone(tmp_path / "file" / "lock", taken=""):
        pass
