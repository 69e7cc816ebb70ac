"""The help: quick, complete, and what docs/cli.md says."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rarec import __version__
from rarec.cli.app import app
from rarec.cli.command import EXIT_CODES
from scripts import load_script

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "init",
    "import",
    "delete",
    "embed",
    "train",
    "promote",
    "chat",
    "recommend",
    "serve",
    "evaluate",
    "compare",
    "replay",
    "simulate",
    "doctor",
    "demo",
)
runner = CliRunner(env={"COLUMNS": "200"})


def test_all_commands_and_exit_codes_are_listed() -> None:
    result = runner.invoke(app, ["--help"])
    assert result.exit_code == 0
    for name in COMMANDS:
        assert f" {name} " in result.stdout
    for code, meaning in EXIT_CODES.items():
        assert f"{code} {meaning}" in " ".join(result.stdout.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_paragraph_and_an_example(name: str) -> None:
    text = runner.invoke(app, [name, "--help"]).stdout
    assert f"Example: rarec {name}" in text
    assert "--debug" in text
    assert len(text.split("Example:")[0].split()) > 25


@pytest.mark.parametrize(
    "name",
    [
        "init",
        "import",
        "delete",
        "embed",
        "recommend",
        "evaluate",
        "compare",
        "replay",
        "simulate",
        "doctor",
        "promote",
    ],
)
def test_scripts_get_json(name: str) -> None:
    assert "--json" in runner.invoke(app, [name, "--help"]).stdout


def test_version_and_no_arguments() -> None:
    assert runner.invoke(app, ["--version"]).stdout.strip() == f"rarec {__version__}"
    assert "Usage" in runner.invoke(app, []).output
    assert runner.invoke(app, ["nonsense"]).exit_code == 2


def test_the_documentation_is_not_stale() -> None:
    module = load_script("docs/generate_cli.py")
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == module.document(), "run: python docs/generate_cli.py"


def test_help_loads_nothing_heavy_and_is_quick() -> None:
    script = (
        "import sys\nfrom rarec.cli import main\nsys.argv = ['rarec', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('LOADED', *(m for m in ('torch', 'numpy', 'pydantic', 'sqlite3', 'openai') if m in sys.modules))"
    )
    seconds = []
    for _ in range(3):  # the processor's seconds: others may be using the machine
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert done.stdout.rstrip().endswith("LOADED")
    assert min(seconds) < 0.5
