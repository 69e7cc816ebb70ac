"""The terminal side of a chat: reads lines, writes answers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Literal

from rarec.cli.console import out, plain
from rarec.cli.filters import describe_filters
from rarec.cli.output import degraded_line, label, mentions_line, report_line, timings_line
from rarec.cli.session import Session
from rarec.constraints.result import Constraints
from rarec.errors import InputError, RarecError
from rarec.types import Item, ItemId, Mention, RankedItem

Titles = Callable[[tuple[Mention, ...]], Mapping[ItemId, Item]]

HELP = """\
Write what you are in the mood for, or what you liked. Commands:
  /why N        why item N is there
  /like N       you liked item N: the next answer knows (an empty line asks for it)
  /dislike N    you did not like it
  /filter EXPR  allow only year>=2000, year=1990..1999, genres=Drama,Comedy, genres!=Horror, price<=50 ...
  /filter       show the filters; /filter clear removes them, and what your words asked for
  /filters      list what your words asked for, with numbers; /drop N gives one up
  /n N          how many items an answer has
  /trace        timings, model and repairs of the last answer
  /reset        forget the conversation; filters stay
  /quit         leave (so do Ctrl-D and Ctrl-C)"""


class ChatLoop:
    """Runs a session until its lines end.

    Args:
        titles: mentions -> the items they are of, for showing them.
    """

    def __init__(self, session: Session, *, titles: Titles) -> None:
        self._session, self._titles = session, titles
        self._commands: dict[str, Callable[[str], None]] = {
            "why": self._why,
            "like": lambda rest: self._feel(rest, "liked"),
            "dislike": lambda rest: self._feel(rest, "disliked"),
            "filter": self._filter,
            "filters": lambda _: self._understood(),
            "drop": self._drop,
            "n": self._length,
            "trace": self._trace,
            "reset": self._reset,
            "help": lambda _: say(HELP),
        }

    def run(self, lines: Iterator[str]) -> None:
        """Take lines until one says /quit, they end, or Ctrl-C is pressed; errors are shown and the chat goes on."""
        try:
            for line in lines:
                text = line.strip()
                if text in ("/quit", "/exit"):
                    break
                try:
                    self._take(text)
                except RarecError as error:
                    say(f"Error: {error}", style="red")
        except KeyboardInterrupt:
            say("")
        say("Goodbye.", style="dim")

    def answer(self, text: str) -> None:
        """Ask, write the reply as it arrives, then the numbered items."""
        answer = self._session.ask(text, on_text=stream, on_understood=show_understood)
        say("")
        if not answer.items and (offer := loosening(self._session.understood)):
            say(offer, style="yellow")
        if note := degraded_line(answer):
            say(note, style="yellow")
        for number, ranked in enumerate(answer.items, start=1):
            say(f"{number:3}. {label(ranked.item)}")

    def _take(self, text: str) -> None:
        if not text.startswith("/"):
            if text or self._session.waiting:
                self.answer(text)
            return
        name, _, rest = text[1:].partition(" ")
        command = self._commands.get(name)
        if command is None:
            raise InputError(f"no command {'/' + name!r}; /help lists them")
        command(rest.strip())

    def _why(self, rest: str) -> None:
        ranked, answer = self._session.item(_number(rest, "/why")), self._session.last
        assert answer is not None
        say(f"{label(ranked.item)}: {plain(ranked.why) or 'no reason was given'}")
        say(f"  number {ranked.retriever_rank} of the retriever, score {ranked.score:.3f}")
        say(f"  mentioned so far: {mentions_line(answer.mentions, self._titles(answer.mentions))}")

    def _feel(self, rest: str, sentiment: Literal["liked", "disliked"]) -> None:
        ranked = self._session.feel(_number(rest, "/like" if sentiment == "liked" else "/dislike"), sentiment)
        say(f"Noted: you {'liked' if sentiment == 'liked' else 'did not like'} {label(ranked.item)}.")

    def _filter(self, rest: str) -> None:
        if rest == "clear":
            self._session.clear_filters()
        elif rest:
            self._session.add_filters([rest])
        shown = describe_filters(self._session.filters)
        say("Filters: " + (plain("; ".join(shown)) if shown else "none"))

    def _understood(self) -> None:
        parts = self._session.understood.parts
        for number, part in enumerate(parts, start=1):
            say(f"{number:3}. {plain(part.label)}" + ("" if part.hard else " (a lean, not enforced)"))
        for wish in self._session.understood.unenforced:
            say(f"  not enforced: {plain(wish.text)} ({plain(wish.why)})")
        shown = describe_filters(self._session.filters)
        say("Filters: " + (plain("; ".join(shown)) if shown else "none"))
        if parts:
            say("/drop N gives one up.", style="dim")

    def _drop(self, rest: str) -> None:
        part = self._session.drop(_number(rest, "/drop"))
        say(f"Given up: {plain(part.label)}. The next answer does without it.")

    def _length(self, rest: str) -> None:
        self._session.set_length(_number(rest, "/n"))
        say(f"Answers have {self._session.n} items from now on.")

    def _trace(self, _: str) -> None:
        answer = self._session.last
        if answer is None:
            raise InputError("nothing to trace yet; ask for something first")
        say(timings_line(answer))
        say(f"model: {plain(answer.model) or 'none'}; answer: {report_line(answer.report)}")
        tokens = answer.usage
        say(f"calls: {tokens.calls}, tokens: {tokens.prompt_tokens} read, {tokens.completion_tokens} written")
        if note := degraded_line(answer):
            say(note, style="yellow")

    def _reset(self, _: str) -> None:
        self._session.reset()
        kept = " The filters stay." if describe_filters(self._session.filters) else ""
        say(f"The conversation is forgotten.{kept}")


def typed_lines(prompt: str = "you> ") -> Iterator[str]:
    """Lines from the terminal, with editing and history where there is readline."""
    with suppress(ImportError):
        import readline  # noqa: F401 - its presence changes input()
    while True:
        try:
            yield input(prompt)
        except EOFError:
            say("")
            return


def piped_lines() -> Iterator[str]:
    """Lines from stdin when nobody sits there; each is shown, so that a log can be read."""
    for line in sys.stdin:
        say(f"you> {plain(line.rstrip())}", style="dim")
        yield line


def say(text: str, *, style: str | None = None) -> None:
    """Write a line of our own or of the catalogue's."""
    out().print(text, style=style)


def show_understood(understood: Constraints) -> None:
    """What the words ask for, on one line; nothing if they ask for nothing."""
    if summary := understood.summary():
        say(f"Understood: {plain(summary)}   (/filters to change)", style="dim")


def loosening(understood: Constraints) -> str:
    """An offer to give up one wish where nothing passes them all; empty if none is enforced."""
    newest = understood.loosenings()[:1]
    if not newest:
        return ""
    number = understood.parts.index(newest[0]) + 1
    return f"To loosen: /drop {number} gives up {plain(newest[0].label)!r}, /filters lists the others."


def stream(piece: str) -> None:
    """Write a piece of a reply at once."""
    sys.stdout.write(plain(piece))
    sys.stdout.flush()


def ranked_lines(items: tuple[RankedItem, ...]) -> Iterator[str]:
    """The items with their reasons, one line each."""
    for number, ranked in enumerate(items, start=1):
        yield f"{number:3}. {label(ranked.item)}" + (f": {plain(ranked.why)}" if ranked.why else "")


def _number(text: str, name: str) -> int:
    if not text.isdecimal() or len(text) > 6:
        raise InputError(f"{name} needs a number, got {text[:20]!r}; for example {name} 2")
    return int(text)
