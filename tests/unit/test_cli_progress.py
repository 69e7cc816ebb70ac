import io
from contextlib import suppress

import pytest
from rich.console import Console

from rarec.cli.progress import counting, staged
from rarec.progress import stage


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """stderr as a terminal that keeps what it shows."""
    shown = io.StringIO()
    monkeypatch.setattr("rarec.cli.progress.err", lambda: Console(file=shown, force_terminal=True, width=150))
    return shown


def test_a_log_gets_a_line_at_every_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    with counting("Embedding items", unit="texts") as tell:
        for done in range(1, 1001):
            tell(done, 1000)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[0] == "Embedding items: 100 of 1,000 texts"
    assert lines[-1] == "Embedding items: 1,000 of 1,000 texts"


def test_a_log_says_that_a_stage_begins_where_it_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    with staged(unit="texts") as tell:
        for _ in range(2):
            tell("embed", 0, 20, "")
        tell("embed", 20, 20, "fast")
        assert capsys.readouterr().err.splitlines() == ["embed ...", "embed: 20 of 20 texts, fast"]
        with suppress(KeyError), stage(tell, "compare"):
            raise KeyError
        assert capsys.readouterr().err.splitlines() == ["compare ..."]
        with stage(tell, "load"):
            pass
    assert capsys.readouterr().err.splitlines() == ["load ...", "load: done"]


def test_nothing_to_do_shows_nothing(capsys: pytest.CaptureFixture[str], terminal: io.StringIO) -> None:
    with counting("Embedding items", unit="texts"):
        pass
    assert terminal.getvalue() == ""
    assert capsys.readouterr() == ("", "")


def test_an_unknown_total_fills_no_log(capsys: pytest.CaptureFixture[str]) -> None:
    with counting("Reading rows", unit="rows") as tell:
        for done in range(1000, 5000, 1000):
            tell(done, 0)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_for_each_stage_with_rate_and_note(terminal: io.StringIO) -> None:
    with staged(unit="steps") as tell:
        for done in range(1, 6):
            tell("pretrain", done, 5, "loss [0.5]")
        tell("fold 1 of 2", 2, 9, "")
    last = terminal.getvalue().rpartition("pretrain")[2]
    assert "5/5" in last
    assert "loss [0.5]" in last
    assert "steps/s" in last
    assert "2/9" in last


def test_the_bar_is_closed_by_an_interrupt(terminal: io.StringIO) -> None:
    def interrupted() -> None:
        with counting("Embedding items", unit="texts") as tell:
            tell(3, 10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "3/10" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[?25h"), "the cursor is back"
