"""What every command has in common: errors become one paragraph and an exit code, never a traceback."""

from __future__ import annotations

import errno
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any

import typer

from rarec.cli.console import err, plain, print_json
from rarec.errors import MissingExtra, RarecError

EXIT_CODES = {
    0: "ok",
    1: "internal error",
    2: "wrong input or settings",
    3: "store or bundle missing, damaged or full",
    4: "optional package missing",
    5: "embedder failed",
    6: "language model failed",
    7: "promotion refused",
    8: "a replay differs from its run",
    130: "stopped by Ctrl-C",
}
"""What `rarec` returns. Leaving a chat by Ctrl-C is 0: it is one of the ways out."""

INTERRUPTED = 130
REFUSED = 7
_TRAINING = ("pyarrow", "zstandard")
_BENCH = ("bm25s", "cornac", "implicit", "jinja2", "lenskit", "matplotlib", "scipy")
_DEBUG = {"on": False}

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a command that has something to say about it."""


def set_debug(on: bool) -> None:
    """Whether errors show their traceback, for the command that is about to run."""
    _DEBUG["on"] = on


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Make a function a command: adds ``--debug`` and turns errors into messages and exit codes.

    With ``as_json`` set, or "-", the error is written to stdout as well: ``{"error": {"type", "message"}}``.
    """
    signature = inspect.signature(function, eval_str=True)

    def run(**options: Any) -> None:
        debug = options.pop("debug") or _DEBUG["on"]
        try:
            function(**options)
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt as stopped:
            err().print(f"Stopped. {stopped}".rstrip(), style="yellow")
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # the reader of a pipe is gone; that is no fault
            if debug:
                err().print(plain(traceback.format_exc()))
            raise typer.Exit(report(error, as_json=options.get("as_json") in (True, "-"))) from None

    more = inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Debug)
    keyword_only = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in signature.parameters.values()]
    run.__signature__ = signature.replace(parameters=[*keyword_only, more])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (*keyword_only, more)}
    run.__doc__, run.__name__, run.__module__ = _flowing(function), function.__name__, function.__module__
    return run


def _flowing(function: Callable[..., None]) -> str:
    """The docstring with one line a paragraph: a terminal breaks lines where it wants."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def report(error: Exception, *, as_json: bool = False, more: dict[str, Any] | None = None) -> int:
    """Show an error and return its exit code; `more` goes beside it into the JSON document."""
    known = _ours(error)
    if as_json:
        print_json({"error": {"type": type(known).__name__, "message": str(known)}, **(more or {})})
    if isinstance(known, RarecError):
        err().print(f"Error: {plain(str(known))}", style="red")
        return known.exit_code
    err().print(
        f"Internal error, {type(error).__name__}: {plain(str(error))}. This is a fault of rarec; the same command with "
        "--debug shows where.",
        style="red",
    )
    return 1


def _ours(error: Exception) -> Exception:
    """A missing package of somebody else is a missing extra; a full disk or a forbidden file is no fault of ours."""
    if isinstance(error, ModuleNotFoundError) and not isinstance(error, RarecError):
        package = (error.name or "").partition(".")[0]
        if package and package != "rarec" and package not in sys.stdlib_module_names:
            extra = "bench" if package in _BENCH else "train" if package in _TRAINING else "serve"
            return MissingExtra.of(package, extra, "this command")
    if isinstance(error, OSError) and not isinstance(error, RarecError) and error.filename and error.errno:
        return _Unusable(f"cannot use {str(error.filename)!r}: {os.strerror(error.errno)}; check the path and the disk")
    return error


class _Unusable(RarecError):
    """A file that the user named cannot be used."""

    exit_code = 2
