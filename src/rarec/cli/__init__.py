"""The command line: thin, on top of the library. Every command is one file; shared parts are beside them."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the program named ``rarec`` with the arguments of the process, and exit."""
    from rarec.cli.app import app

    app(prog_name="rarec")
