"""rarec delete on real stores, while another process serves one of them."""

import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rarec.catalogue import CatalogueStore
from rarec.cli.app import app

MakeStore = Callable[[str], Path]
runner = CliRunner()

SERVE = """
import json, sys
from rarec import Conversation, Recommender, Turn
with Recommender.open(sys.argv[1], flags={"llm.kind": "none"}) as recommender:
    for line in sys.stdin:
        answer = recommender.reply(Conversation((Turn("user", line.strip()),)), n=100)
        found = {"items": [r.item.id for r in answer.items], "mentions": [m.item for m in answer.mentions]}
        print(json.dumps(found), flush=True)
"""


def rarec(*words: str | Path, code: int = 0, input: str | bytes | None = None) -> Result:
    result = runner.invoke(app, [str(word) for word in words], input=input)
    assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
    return result


def ids_in(store: Path) -> list[str]:
    with CatalogueStore.open(store / "catalogue.sqlite") as catalogue:
        return list(catalogue.ids())


def version_of(store: Path) -> int:
    with CatalogueStore.open(store / "catalogue.sqlite") as catalogue:
        return catalogue.version


def test_named_items_are_deleted(make_store: MakeStore) -> None:
    store = make_store("s")
    done = rarec("delete", "marzipan", "low-tide-radio", "marzipan", "--store", store, "--yes", "--json")
    assert json.loads(done.stdout) == {"deleted": 2, "unknown": 0, "items": 18}
    assert {"marzipan", "low-tide-radio"}.isdisjoint(ids_in(store))
    assert "Deleted 1 item; 17 are left" in rarec("delete", "orchard-street", "--store", store, "-y").stdout


def test_ids_come_from_a_file_or_the_standard_input(make_store: MakeStore, tmp_path: Path) -> None:
    store, file = make_store("s"), tmp_path / "gone.txt"
    file.write_bytes("\ufeffmarzipan\r\n\r\nlow-tide-radio\n".encode())
    rarec("delete", "quiet-harbour", "--from", file, "--store", store, "--yes")
    assert len(ids_in(store)) == 17
    rarec("delete", "--from", "-", "--store", store, "--yes", input="orchard-street\npaper-lions\n")
    assert {"marzipan", "low-tide-radio", "quiet-harbour", "orchard-street", "paper-lions"}.isdisjoint(ids_in(store))
    assert len(ids_in(store)) == 15


def test_one_unknown_id_keeps_all_items(make_store: MakeStore) -> None:
    store = make_store("s")
    words = ["delete", "marzipan", "Marzipan", "nobody", "--store", store]
    before = version_of(store)
    for more in ([], ["--yes"], ["--yes", "--json"]):
        failed = rarec(*words, *more, code=2)
        assert "no items with the 2 ids 'Marzipan', 'nobody'" in failed.stderr
        assert "case included" in failed.stderr
    assert json.loads(failed.stdout)["error"]["type"] == "UnknownItem"
    assert (len(ids_in(store)), version_of(store)) == (20, before)
    done = rarec(*words, "--skip-unknown", "--yes", "--json")
    assert json.loads(done.stdout) == {"deleted": 1, "unknown": 2, "items": 19}
    assert "marzipan" not in ids_in(store)
    again = rarec(*words, "--skip-unknown").stdout  # nothing is left to ask about
    assert "Deleted 0 items, 3 ids were not in it; 19 are left" in again
    assert version_of(store) == before + 1, "a write that changed nothing is none"


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        ([], "name the ids", 2),
        (["--from", "none.txt"], "no file 'none.txt'", 2),
        (["--from", "empty.txt"], "holds no ids", 2),
        (["--from", "latin.txt"], "in UTF-8", 2),
        (["marzipan"], "--yes", 2),
        (["marzipan", "--yes", "--store", "elsewhere"], "rarec init", 3),
    ],
)
def test_what_cannot_be_meant_deletes_nothing(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str, code: int
) -> None:
    store = make_store("s")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAREC_STORE", str(store))
    (tmp_path / "empty.txt").write_text(" \n\n", encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    failed = rarec("delete", *words, code=code)
    assert message in " ".join(failed.stderr.split())
    assert len(ids_in(store)) == 20


@pytest.mark.parametrize(("typed", "code", "left"), [(b"n\n", 130, 20), (b"\x03", 130, 20), (b"y\n", 0, 18)])
def test_at_a_terminal_the_items_are_shown_and_a_yes_is_asked_for(
    make_store: MakeStore, typed: bytes, code: int, left: int
) -> None:
    store = make_store("s")
    ours, theirs = pty.openpty()
    program = "from rarec.cli import main; main()"
    command = [sys.executable, "-c", program, "delete", "marzipan", "paper-lions", "--store", str(store)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                          preexec_fn=_own_terminal) as process:  # fmt: skip
        os.close(theirs)
        shown = read_until(ours, b"?")
        os.write(ours, typed)
        shown += read_until(ours, b"\0", again=typed)
        assert process.wait(timeout=60) == code, shown
    os.close(ours)
    assert b"marzipan  Marzipan (1996)" in shown
    assert b"Delete 2 items?" in shown
    assert (b"Nothing was deleted." in shown) == (left == 20)
    assert len(ids_in(store)) == left


def _own_terminal() -> None:
    """Make standard input the controlling terminal, so that Ctrl-C reaches the process."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def read_until(terminal: int, mark: bytes, *, again: bytes = b"") -> bytes:
    """What is written until the mark, or the end; after seconds of silence `again` is typed.

    A Ctrl-C that comes in the moment before Python waits for a key is seen with the next key only.
    """
    found = b""
    while mark not in found:
        if again and not select.select([terminal], [], [], 5)[0]:
            os.write(terminal, again)
        try:
            piece = os.read(terminal, 1024)
        except OSError:  # Linux ends a terminal in this way
            break
        if not piece:
            break
        found += piece
    return found


def test_a_process_that_serves_follows_imports_and_deletions(make_store: MakeStore, tmp_path: Path) -> None:
    """The store stays open there; each answer is the next one after a command here."""
    store, table = make_store("s"), tmp_path / "new.jsonl"
    table.write_text(
        json.dumps({"id": "zephyr", "title": "Zephyr Regatta", "text": "Sailing boats race for a cup."}) + "\n",
        encoding="utf-8",
    )
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:

        def ask(text: str) -> dict[str, Any]:
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(text + "\n")
            server.stdin.flush()
            found: dict[str, Any] = json.loads(server.stdout.readline())
            return found

        assert "zephyr" not in ask("sailing boats")["items"]
        rarec("import", table, "--store", store)
        assert "zephyr" in ask("sailing boats")["items"]
        assert ask("I loved Zephyr Regatta")["mentions"] == ["zephyr"]
        rarec("delete", "zephyr", "marzipan", "--store", store, "--yes")
        left = ask("sailing boats")["items"]
        assert len(left) == 19
        assert {"zephyr", "marzipan"}.isdisjoint(left)
        assert ask("I loved Zephyr Regatta")["mentions"] == []
        assert server.stdin is not None
        server.stdin.close()
        assert server.wait(timeout=60) == 0


def test_one_item_comes_and_goes_without_loading_a_model(make_store: MakeStore, tmp_path: Path) -> None:
    """Torch alone takes longer to load than everything that these commands do."""
    store, table = make_store("s"), tmp_path / "new.jsonl"
    table.write_text('{"id": "zephyr", "title": "Zephyr Regatta"}\n', encoding="utf-8")
    program = """
import sys
from rarec.cli import main
try:
    main()
finally:
    print(sorted({"torch", "openai", "sentence_transformers", "pyarrow"} & sys.modules.keys()))
"""
    for words in (["import", str(table)], ["delete", "zephyr", "--yes"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *words, "--store", str(store)], check=True, capture_output=True, text=True
        )
        assert done.stdout.splitlines()[-1] == "[]"
    words = ["promote", "--rollback", "--store", str(store)]
    none = subprocess.run([sys.executable, "-c", program, *words], check=False, capture_output=True, text=True)
    assert none.returncode == 2
    assert "nothing was promoted" in none.stderr
    assert none.stdout.splitlines()[-1] == "[]"
