"""What docs/mcp.md and docs/operations.md tell people to type and to set exists."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import typer.main

from rarec.cli.app import app
from rarec.mcp.tools import TOOLS
from rarec.settings import ServeSettings, Settings
from scripts import ROOT

PROGRAM: Any = typer.main.get_command(app)
MCP = (ROOT / "docs" / "mcp.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def check_options(words: list[str]) -> None:
    """Every word with dashes is an option of the command."""
    command = PROGRAM
    while words and hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known, words


def test_commands_exist() -> None:
    commands = re.findall(r"^rarec ([^#\n]+)", MCP + OPERATIONS, re.MULTILINE)
    commands += re.findall(r"`rarec ([a-z][^`]+)`", MCP + OPERATIONS + SECURITY)
    assert len(commands) > 15
    for line in commands:
        if not line.startswith("--"):
            check_options(line.split())


def test_the_client_configuration_starts_a_command_that_exists() -> None:
    found = re.search(r"```json\n(.*?)```", MCP, re.DOTALL)
    assert found
    servers = json.loads(found[1])["mcpServers"]
    assert servers["rarec"]["command"] == "rarec"
    check_options(servers["rarec"]["args"])
    port = next(p.default for p in PROGRAM.commands["mcp"].params if p.name == "port")
    assert servers["rarec-http"]["url"] == f"http://127.0.0.1:{port}/mcp"


def test_every_tool_and_argument_is_named() -> None:
    for tool in TOOLS.values():
        row = next(line for line in MCP.splitlines() if line.startswith(f"| `{tool.name}` |"))
        for argument in tool.arguments.model_fields:
            assert f"`{argument}`" in row, (tool.name, argument)


def test_settings_that_are_named_exist() -> None:
    blocks = [tomllib.loads(text) for text in re.findall(r"```toml\n(.*?)```", OPERATIONS, re.DOTALL)]
    assert {section for block in blocks for section in block} == {"llm", "serve"}
    for block in blocks:
        Settings.model_validate(block)
    for name in re.findall(r"serve\.(\w+)", MCP + OPERATIONS + SECURITY):
        assert name in ServeSettings.model_fields, name
