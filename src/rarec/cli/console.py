"""Where the command line writes: results on stdout, everything else on stderr, and no control characters."""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

# Rich is imported when something is shown, so that a short command starts fast. Consoles are made on each use: they
# look up sys.stdout then, which tests and pipes replace.


PIPED_WIDTH = 160
"""Columns of tables that nobody watches, unless COLUMNS says otherwise."""


def out() -> Console:
    """The console of results; markup is off, because titles may hold brackets."""
    return _console(stderr=False)


def err() -> Console:
    """The console of progress, notes and errors."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    watched = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if watched or "COLUMNS" in os.environ else PIPED_WIDTH
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=not watched, width=width)


def program() -> str:
    """How this program is called, for commands that are shown to be pasted: `rarec` where the shell finds it.

    Else the path of the script that runs, for example of an environment that is not active.
    """
    started = Path(sys.argv[0])
    if started.name != "rarec" or shutil.which("rarec"):
        return "rarec"
    return os.path.relpath(started) if started.is_absolute() else str(started)


def many(number: int, noun: str) -> str:
    """A number with its noun: ``1 item``, ``2,000 items``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def plain(text: str) -> str:
    """Text without the control characters by which a title or a model could steer a terminal; newlines stay."""
    return "".join(c for c in text if c == "\n" or unicodedata.category(c) != "Cc")


def print_json(document: Any) -> None:
    """Write one JSON document to stdout; numbers that are not finite become null."""
    sys.stdout.write(json.dumps(_finite(document), ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def interactive() -> bool:
    """Whether somebody sits before the terminal."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if abs(value) != float("inf") and value == value else None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    return [_finite(entry) for entry in value] if isinstance(value, (list, tuple)) else value
