"""Writes docs/cli.md from the commands' own help: python docs/generate_cli.py"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from rarec.cli.app import app
from rarec.cli.command import EXIT_CODES
from rarec.files import write_text

TARGET = Path(__file__).with_name("cli.md")
HEAD = "<!-- Written by docs/generate_cli.py from the commands' own help; change that and run it again. -->\n"


def document() -> str:
    """The whole page."""
    program: Any = typer.main.get_command(app)
    parts = [HEAD, "# The command line", _help(program), _options(program), _exit_codes()]
    for name, command in _commands(program):
        parts += [f"## rarec {name}", _help(command), _usage(name, command), _options(command)]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The commands with their names; those of a group are named after it: "data show"."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def _help(command: Any) -> str:
    paragraphs = inspect.cleandoc(command.help).split("\n\n")
    return "\n\n".join(_example(" ".join(paragraph.split())) for paragraph in paragraphs)


def _example(paragraph: str) -> str:
    marker = "Example: "
    return f"Example: `{paragraph.removeprefix(marker)}`" if paragraph.startswith(marker) else paragraph


def _usage(name: str, command: Any) -> str:
    words = ["rarec", name, "[OPTIONS]"]
    for argument in _of_kind(command, "argument"):
        words.append(argument.name.upper() if argument.required else f"[{argument.name.upper()}]")
    return "```\n" + " ".join(words) + "\n```"


def _options(command: Any) -> str:
    lines = ["| argument or option | meaning |", "| --- | --- |"]
    for parameter in (*_of_kind(command, "argument"), *_of_kind(command, "option")):
        names = ", ".join(f"`{opt}`" for opt in (*parameter.opts, *parameter.secondary_opts))
        if parameter.param_type_name == "argument":
            names = f"`{parameter.name.upper()}`"
        lines.append(f"| {names}{_value(parameter)} | {_meaning(parameter)} |")
    return "\n".join(lines)


def _value(parameter: Any) -> str:
    if parameter.param_type_name == "argument" or getattr(parameter, "is_flag", False):
        return ""
    return f" {parameter.metavar}".replace("|", "\\|")


def _meaning(parameter: Any) -> str:
    notes = []
    default = getattr(parameter.default, "value", parameter.default)
    if isinstance(default, (str, int, float, Path)) and not isinstance(default, bool):
        notes.append(f"Default: `{default}`.")
    if parameter.envvar:
        notes.append(f"Environment: `{parameter.envvar}`.")
    if parameter.required:
        notes.append("Required.")
    return " ".join([" ".join(parameter.help.split()), *notes]).replace("|", "\\|")


def _of_kind(command: Any, kind: str) -> list[Any]:
    return [p for p in command.params if p.param_type_name == kind and p.name != "help"]


def _exit_codes() -> str:
    lines = [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join(["## Exit codes", "", "| code | meaning |", "| --- | --- |", *lines]) + (
        "\n\nLeaving a chat with Ctrl-C is 0. An error is one paragraph on stderr; with `--json` it is also written to "
        'stdout as `{"error": {"type", "message"}}`. `--debug`, or `RAREC_DEBUG=1`, shows the traceback.'
    )


if __name__ == "__main__":
    write_text(TARGET, document())
