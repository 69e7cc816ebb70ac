"""`rarec demo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from rarec.cli.command import command
from rarec.cli.console import interactive, out, program
from rarec.cli.options import STORE, store_option

if TYPE_CHECKING:
    from rarec.cli.session import Session
    from rarec.pipeline import Recommender

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Step:
    """What the user of the demo does in one turn: feels something, filters, then speaks."""

    text: str
    feels: tuple[int, Literal["liked", "disliked"]] | None = None
    filter: str = ""


SCRIPT = (
    Step("I loved Alien and The Thing. What else is tense, with monsters or space?"),
    Step("Good ones. Now something newer, please.", filter="year>=2000"),
    Step("More like that one, but from further away.", feels=(1, "liked"), filter="countries=Japan,South Korea"),
)


@command
def demo(
    folder: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder of the demo's store, made on the first run.")
    ] = Path("demo"),
    terminal: Annotated[
        bool, typer.Option("--terminal", help="Play a short conversation here and chat, instead of serving the page.")
    ] = False,
    chat: Annotated[
        bool, typer.Option("--chat/--no-chat", help="Whether a chat of your own follows what --terminal plays.")
    ] = True,
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="Of the page, on this machine; 0 takes a free one.")
    ] = 0,
    show: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser where there is a desktop.")
    ] = True,
) -> None:
    """Serve the chat page over the starter catalogue of films, and print its address.

    The first run makes a store and embeds over a thousand films, which takes a minute or two; later runs start at
    once. Everything runs on this machine: no key, no download, no network. With --terminal, and where no terminal is,
    a short conversation is played as text instead; with --no-chat it ends by itself.

    Example: rarec demo --no-open
    """
    prepare(folder)
    if interactive() and not terminal and chat:
        from rarec.cli.demo_page import serve_page

        serve_page(folder, port=port, show=show)
    else:
        _play_here(folder, chat=chat and interactive(), asked=terminal or not chat)


def _play_here(folder: Path, *, chat: bool, asked: bool) -> None:
    """Play as text.

    Args:
        chat: whether a chat of one's own follows.
        asked: whether text was asked for; else there is no terminal.
    """
    from rarec.cli.chat import converse
    from rarec.cli.opening import easer, filter_check, opened, vocabulary_of, word_reader
    from rarec.cli.session import Session

    with opened(folder) as recommender:
        play(Session(recommender, n=SHOWN, check_filters=filter_check(recommender)), recommender)
        if chat:
            out().print("\nYour turn. /help lists commands, /quit leaves.")
            session = Session(
                recommender,
                n=SHOWN,
                check_filters=filter_check(recommender),
                understand=word_reader(recommender),
                ease=easer(recommender),
                vocabulary=vocabulary_of(recommender),
            )
            converse(session, recommender)
        else:
            text = "" if asked else "No terminal is here, so this was text; the page is served with one. "
            out().print(f"\n{text}For the page: {program()} serve{store_option(folder)}")
            out().print(f"To chat in a terminal: {program()} chat{store_option(folder)}")
            out().print(f"With a catalogue of your own: {program()} init {STORE}, then {program()} import FILE")


def prepare(folder: Path) -> None:
    """Make the store, or finish one whose making was interrupted.

    Raises:
        StoreError: it cannot be made, or what is there is no store.
    """
    from rarec.assembly import create_store
    from rarec.catalogue import CatalogueStore, starter_items
    from rarec.settings import StorePaths

    paths = StorePaths(folder)
    if not paths.catalogue.exists():
        create_store(folder, layout="film")
    with CatalogueStore.open(paths.catalogue) as catalogue:
        if not len(catalogue):
            catalogue.add(starter_items())
        out().print(f"{len(catalogue):,} films in {folder}.")


def play(session: Session, recommender: Recommender) -> None:
    """Play the script; after each turn show the items with their reasons, the mentions and the timings."""
    from rarec.cli.chat_loop import ranked_lines, say, stream
    from rarec.cli.output import degraded_line, label, mentions_line, timings_line

    for step in SCRIPT:
        say("")
        if step.feels is not None:
            number, feeling = step.feels
            ranked = session.feel(number, feeling)
            say(f"you>   /{feeling.removesuffix('d')} {number}   ({label(ranked.item)})", style="bold")
        if step.filter:
            session.add_filters([step.filter])
            say(f"you>   /filter {step.filter}", style="bold")
        say(f"you>   {step.text}", style="bold")
        stream("rarec> ")
        answer = session.ask(step.text, on_text=stream)
        say("")
        for line in ranked_lines(answer.items):
            say(line)
        known = recommender.engine.catalogue.get_many((m.item for m in answer.mentions), missing="skip")
        say(f"mentioned so far: {mentions_line(answer.mentions, {i.id: i for i in known})}", style="dim")
        say(timings_line(answer), style="dim")
        if note := degraded_line(answer):
            say(note, style="yellow")
