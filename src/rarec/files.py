"""Writing files so that a kill at any moment leaves the old content or the new; of a growing file, whole lines."""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
import threading
import time
import tomllib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from rarec.errors import SettingsError, StoreError


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; on success fsync it and rename it over `path`.

    The file has the permissions of any new file (the umask's). An OSError of the caller's own code counts as one of
    writing.

    Raises:
        StoreError: the disk is full or the folder cannot be written; `path` is as it was.
    """
    # Not `tempfile`: it makes files for the owner only, and finding out the umask would change it for other threads.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _fsync(path.parent)
    except OSError as error:
        _remove(temporary)
        raise StoreError(
            f"cannot write {str(path)!r}: {error.strerror or error}; free some space or choose another folder"
        ) from error
    except BaseException:
        _remove(temporary)
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically; see `atomic_write`."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


def make_folder(folder: Path) -> None:
    """With those around it, if it is not there. Raises StoreError if it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make the folder {str(folder)!r}: {error.strerror}; choose another one") from error


@contextmanager
def not_left_empty(folder: Path) -> Iterator[None]:
    """Folders that the block makes on the way to this one are removed again if nothing came into them."""
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        yield
    finally:
        for one in made:
            with suppress(OSError):  # it holds something, or was never made
                one.rmdir()


def place_folder(folder: Path, target: Path) -> None:
    """Rename a finished folder to a name that is free, durably: its files are on the disk before it has the name.

    Raises:
        StoreError: the name is taken, or the folder around it cannot be written.
    """
    try:
        if target.exists():
            raise FileExistsError(errno.EEXIST, "it exists already")
        for path in (*folder.rglob("*"), folder):
            _fsync(path)
        folder.rename(target)
        _fsync(target.parent)
    except OSError as error:
        raise StoreError(f"cannot make {str(target)!r}: {error.strerror or error}; choose another folder") from error


def _fsync(path: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    with suppress(OSError):  # it may never have been made; what went wrong before is what counts
        path.unlink()


def try_lock(descriptor: int) -> bool:
    """Hold an open file for oneself until it is closed; False if another holds it, in this process or another one.

    Where the system has no such locks (Windows) two writers at once are the user's care, and this is True.
    """
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def held_alone(path: Path, *, taken: str) -> Iterator[None]:
    """Hold a lock file for oneself while the block runs; it and its folder are made if they are missing.

    Args:
        taken: the message of the error where another holds it: what is running, and the remedy.
    Raises:
        StoreError: another holds it, in this process or another one, or the file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise StoreError(
            f"cannot write {str(path)!r}: {error.strerror}; check its folder, or choose another one"
        ) from error
    try:
        if not try_lock(handle):
            raise StoreError(taken)
        yield
    finally:
        os.close(handle)


def use_wal(connection: sqlite3.Connection, *, timeout_s: float) -> None:
    """Put a database into WAL mode, waiting while others open or close it.

    SQLite's own busy timeout does not cover this switch: of two that open a new file at once, one fails at once.

    Raises:
        sqlite3.OperationalError: it stayed locked for `timeout_s`, or something else is wrong.
    """
    until = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() >= until:
                raise
            time.sleep(0.01)


class LineFile:
    """A file of lines that only grows; lines are on the disk before `add` returns.

    Threads that add at one time share one write and one fsync. A kill leaves a prefix of what was added: whole lines,
    and perhaps the start of one more, which the next line does not join. Several processes may add to one file.

    Args:
        path: made by the first `add` if it does not exist; its folder now.
        what: the file holds, for messages.
    Raises:
        StoreError: the folder cannot be made or the file not be read.
    """

    def __init__(self, path: Path, *, what: str) -> None:
        self.path = path
        self._what = what
        self._waiting: deque[tuple[bytes, Future[int]]] = deque()
        self._disk = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._torn = _ends_within_a_line(path)
        except OSError as error:
            raise self._failed("read", error) from error

    def read(self, start: int = 0) -> Iterator[tuple[int, bytes]]:
        """Byte offset and text of each line from a line's offset on, without its end; none if there is no file.

        Raises:
            StoreError: the file cannot be read.
        """
        try:
            if not self.path.exists():
                return
            with self.path.open("rb") as file:
                file.seek(start)
                for line in file:
                    yield start, line.removesuffix(b"\n")
                    start += len(line)
        except OSError as error:
            raise self._failed("read", error) from error

    def add(self, *lines: bytes) -> int:
        """Append lines, given without their ends; the offset of the first is returned.

        Raises:
            StoreError: the disk is full or the file cannot be written.
        """
        done: Future[int] = Future()
        self._waiting.append((b"".join(line + b"\n" for line in lines), done))
        with self._disk:  # whoever comes first writes for all that wait
            if not done.done():
                self._write_waiting()
        return done.result()

    def _write_waiting(self) -> None:
        batch: list[tuple[bytes, Future[int]]] = []
        while self._waiting:
            batch.append(self._waiting.popleft())
        content = b"".join(text for text, _ in batch)
        try:
            start = self._append(b"\n" + content if self._torn else content) - len(content)
        except BaseException as error:
            self._torn = True
            for _, done in batch:
                done.set_exception(self._failed("write", error))
            if not isinstance(error, OSError):
                raise
        else:
            self._torn = False
            for text, done in batch:
                done.set_result(start)
                start += len(text)

    def _append(self, content: bytes) -> int:
        """The end of the file after it."""
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(handle, rest) :]
            end = os.lseek(handle, 0, os.SEEK_CUR)
            os.fsync(handle)
        finally:
            os.close(handle)
        return end

    def _failed(self, what: str, error: BaseException) -> StoreError:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return StoreError(f"cannot {what} {self._what} {str(self.path)!r}: {reason}; check the folder and its space")


def _ends_within_a_line(path: Path) -> bool:
    """Only a kill leaves a last line without an end."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def read_recipe_toml(path: Path) -> dict[str, Any]:
    """The values of a recipe's file.

    Raises:
        SettingsError: the file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"cannot read the recipe {str(path)!r}: {error.strerror}; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"the recipe {str(path)!r} is not valid TOML: {error}") from error
