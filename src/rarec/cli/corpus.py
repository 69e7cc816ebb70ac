"""`rarec corpus`: a catalogue out of dumps, and a store kept up to date with it."""

from __future__ import annotations

import typer

from rarec.cli import corpus_fetch

corpus = typer.Typer(
    help="Make a catalogue out of dumps, look at it, and keep a store up to date with it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
corpus_fetch.add_to(corpus)
