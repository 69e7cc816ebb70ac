"""The program: its commands and what they have in common."""

from __future__ import annotations

import typer

from rarec import __version__
from rarec.cli.align import align
from rarec.cli.backup import backup, restore
from rarec.cli.chat import chat
from rarec.cli.command import EXIT_CODES, set_debug
from rarec.cli.compare import compare
from rarec.cli.console import out
from rarec.cli.corpus import corpus
from rarec.cli.data import data
from rarec.cli.delete import delete
from rarec.cli.demo import demo
from rarec.cli.doctor import doctor
from rarec.cli.embed import embed
from rarec.cli.evaluate import evaluate
from rarec.cli.import_file import import_file
from rarec.cli.init import init
from rarec.cli.keys import keys
from rarec.cli.layout import layout
from rarec.cli.mcp import mcp
from rarec.cli.promote import promote
from rarec.cli.recommend import recommend
from rarec.cli.replay import replay
from rarec.cli.serve import serve
from rarec.cli.simulate import simulate
from rarec.cli.train import train

EPILOG = "Exit codes: " + ", ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + "."

app = typer.Typer(
    name="rarec",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        out().print(f"rarec {__version__}")
        raise typer.Exit


@app.callback()
def rarec(
    debug: bool = typer.Option(False, "--debug", envvar="RAREC_DEBUG", help="Show the traceback of an error."),
    version: bool = typer.Option(  # noqa: ARG001 - read by its callback
        False, "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Conversational recommendation over your own catalogue, with any LLM.

    Start with "rarec demo", or with a catalogue of your own: rarec init, rarec import, rarec embed, rarec chat.
    """
    set_debug(debug)


app.command("init")(init)
app.command("import")(import_file)
app.command("delete")(delete)
app.command("embed")(embed)
app.command("layout")(layout)
app.add_typer(corpus, name="corpus")
app.command("train")(train)
app.command("align")(align)
app.command("promote")(promote)
app.command("chat")(chat)
app.command("recommend")(recommend)
app.command("serve")(serve)
app.command("mcp")(mcp)
app.command("evaluate")(evaluate)
app.command("compare")(compare)
app.command("replay")(replay)
app.command("simulate")(simulate)
app.add_typer(data, name="data")
app.add_typer(keys, name="keys")
app.command("backup")(backup)
app.command("restore")(restore)
app.command("doctor")(doctor)
app.command("demo")(demo)
