"""Errors on the command line: one paragraph, the documented exit code, no traceback."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from rarec.cli import console
from rarec.cli.command import EXIT_CODES, Interrupted, command
from rarec.cli.console import many, plain, print_json
from rarec.cli.options import STORE, LLMKind, llm_flags, store_option
from rarec.errors import (
    BundleError,
    EmbedderError,
    ImportRejected,
    InputError,
    LLMTimeout,
    MissingExtra,
    RarecError,
    SettingsError,
    StoreError,
    UnknownItem,
)

runner = CliRunner()
Action = Callable[[], object]


def program(action: Action) -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)

    @command
    def act(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
        """Act.

        Lines of one
        paragraph flow.
        """
        action()

    app.command()(act)
    return app


def raising(error: BaseException) -> Action:
    def action() -> None:
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RarecError("x"), 1),
        (InputError("x"), 2),
        (ImportRejected("x"), 2),
        (UnknownItem("x"), 2),
        (SettingsError("x"), 2),
        (StoreError("x"), 3),
        (BundleError("x"), 3),
        (MissingExtra.of("torch", "serve", "this"), 4),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 4),
        (EmbedderError("x"), 5),
        (LLMTimeout("x"), 6),
        (FileNotFoundError(2, "No such file or directory", "/nowhere"), 2),
        (ZeroDivisionError("x"), 1),
        (ModuleNotFoundError("No module named 'rarec.none'", name="rarec.none"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(error: BaseException, code: int) -> None:
    result = runner.invoke(program(raising(error)))
    assert result.exit_code == code
    assert code in EXIT_CODES
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr.strip()


def test_the_message_is_shown_as_it_is_but_for_control_characters() -> None:
    message = "item '[red]Heat[/red]' \x1b[2J is unknown\nsecond line; look it up " + "x" * 300
    result = runner.invoke(program(raising(InputError(message))))
    assert result.stderr == f"Error: {message.replace(chr(27), '')}\n"


def test_json_goes_to_stdout_beside_the_message() -> None:
    result = runner.invoke(program(raising(StoreError("no store; make one"))), ["--json"])
    assert json.loads(result.stdout) == {"error": {"type": "StoreError", "message": "no store; make one"}}
    assert result.stderr == "Error: no store; make one\n"
    assert result.exit_code == 3


def test_debug_shows_the_traceback() -> None:
    result = runner.invoke(program(raising(InputError("x"))), ["--debug"])
    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert "in raising" not in result.stdout
    assert result.stderr.rstrip().endswith("Error: x")


def test_an_internal_error_says_so() -> None:
    result = runner.invoke(program(raising(ZeroDivisionError("division by zero"))))
    assert "Internal error, ZeroDivisionError: division by zero" in result.stderr
    assert "--debug" in result.stderr


def test_a_missing_package_names_its_extra() -> None:
    result = runner.invoke(program(raising(ModuleNotFoundError("x", name="pyarrow.parquet"))))
    assert "pip install -e '.[train]'" in result.stderr
    result = runner.invoke(program(raising(ModuleNotFoundError("x", name="torch.nn"))))
    assert "pip install -e '.[serve]'" in result.stderr


def test_an_interrupt_may_have_something_to_say() -> None:
    result = runner.invoke(program(raising(Interrupted("3 of 9 are kept; run it again."))))
    assert result.stderr == "Stopped. 3 of 9 are kept; run it again.\n"


def test_exits_and_results_pass() -> None:
    assert runner.invoke(program(lambda: None)).exit_code == 0
    assert runner.invoke(program(raising(typer.Exit(5)))).exit_code == 5
    assert runner.invoke(program(lambda: None), ["--nonsense"]).exit_code == 2


def test_a_reader_that_left_is_no_error() -> None:
    result = runner.invoke(program(raising(BrokenPipeError(32, "Broken pipe"))))
    assert "rror" not in result.stderr


def test_help_paragraphs_flow() -> None:
    assert "Lines of one paragraph flow." in runner.invoke(program(lambda: None), ["--help"]).stdout


def test_plain_keeps_text_and_newlines() -> None:
    assert plain("a\x1b[31mb\x07\x9b\r\nc\td é 漢") == "a[31mb\nc" + "d é 漢"


def test_json_is_always_valid(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [float("nan"), float("inf"), 1.5], "b": {"c": (1, "é")}})
    text = capsys.readouterr().out
    assert "é" in text
    assert json.loads(text) == {"a": [None, None, 1.5], "b": {"c": [1, "é"]}}


def test_commands_to_paste_name_the_store_and_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert store_option(STORE) == ""
    assert store_option(Path("my shop")) == " --store 'my shop'"
    script = tmp_path / "bin" / "rarec"
    script.parent.mkdir()
    script.touch(mode=0o755)
    monkeypatch.setattr("sys.argv", [str(script)])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert console.program() == "bin/rarec", "an environment that is not active"
    monkeypatch.setenv("PATH", str(script.parent))
    assert console.program() == "rarec"


def test_numbers_with_their_nouns() -> None:
    assert [many(number, "item") for number in (0, 1, 2000)] == ["0 items", "1 item", "2,000 items"]


def test_a_model_implies_an_endpoint_and_contradicts_another_kind() -> None:
    assert llm_flags(None, "m", None)["llm.kind"] == "http"
    assert llm_flags(LLMKind.http, "m", None)["llm.kind"] == "http"
    for kind in (LLMKind.local, LLMKind.none):
        with pytest.raises(InputError, match="--base-url http://x is of --llm http"):
            llm_flags(kind, None, "http://x")
