"""`rarec data`: what is shown of a set, and its errors."""

import hashlib
import http.server
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rarec.cli.app import app
from rarec.conversations import JsonlSet, write_jsonl
from rarec.conversations.summary import Share, summarise
from rarec.types import Conversation, Item, ItemId, Mention, Turn

runner = CliRunner(env={"COLUMNS": "250"})
ITEMS = [Item(ItemId(name), title) for name, title in (("a", "Assam Gold"), ("b", "Blue Tram"), ("c", "Copper Moth"))]


def talk(name: str, *turns: tuple[str, str, tuple[str, ...]]) -> Conversation:
    found = (Turn(role, text, tuple(Mention(ItemId(i)) for i in items)) for role, text, items in turns)  # type: ignore[arg-type]
    return Conversation(tuple(found), id=name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    train = [talk("t1", ("user", "I drank Assam Gold.", ("a",)), ("assistant", "Try the tram one", ("b",)))]
    test = [
        talk("s1", ("user", "I drank Blue Tram.", ("b",)), ("assistant", "Copper Moth? or Blue Tram", ("c", "b"))),
        talk("s2", ("assistant", "Hello", ()), ("assistant", "Assam Gold!", ("a",)), ("user", "", ("c",))),
    ]
    write_jsonl(tmp_path / "teas", items=ITEMS, splits={"train": train, "test": test}, name="leaves")
    return tmp_path / "teas"


def test_every_figure_is_counted(folder: Path) -> None:
    summary = summarise(JsonlSet(folder), linker=True)
    assert (summary.name, summary.items, summary.corpus) == ("leaves", 3, None)
    train, test = summary.splits
    assert (train.conversations, train.turns, train.mentions, train.examples, train.targets) == (1, 2, 2, 1, 1)
    assert train.cold is None
    assert train.mentions_found == Share(1, 2)  # "the tram one" is not its title
    assert (test.conversations, test.turns, test.mentions, test.examples, test.targets) == (2, 5, 5, 2, 3)
    assert test.mentions_mapped == Share(5, 5)
    assert test.mentions_found == Share(4, 4)  # the turn without a text is not asked
    assert test.targets_mapped is None
    assert test.repeated == Share(1, 3)
    assert test.cold == Share(1, 3)  # Copper Moth
    assert test.outside == Share(0, 3)
    assert summarise(JsonlSet(folder)).splits[0].mentions_found is None


@pytest.mark.parametrize("name", [[], ["jsonl"], ["leaves"]])
def test_show_prints_figures_licence_and_source(folder: Path, name: list[str]) -> None:
    done = runner.invoke(app, ["data", "show", *name, "--data", str(folder)])
    assert done.exit_code == 0, done.output
    text = " ".join(done.stdout.split())
    for part in ("leaves", "catalogue: 3 items, no corpus", "licence: not stated", "source: not stated"):
        assert part in text
    assert "100.0% of 5" in text
    assert "33.3%" in text
    assert "linker finds" not in text


def test_show_writes_json_to_a_file_or_stdout(folder: Path, tmp_path: Path) -> None:
    words = ["data", "show", "--data", str(folder), "--linker", "--json"]
    done = runner.invoke(app, [*words, "-"])
    (document,) = json.loads(done.stdout)
    assert document["splits"][1]["cold"] == {"part": 1, "n": 3}
    assert document["info"]["licence"] == "not stated"
    assert runner.invoke(app, [*words, str(tmp_path / "out.json")]).exit_code == 0
    assert json.loads((tmp_path / "out.json").read_text()) == [document]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonsense"], "unknown data set 'nonsense'; use one of redial, inspired"),
        (["reddit-v1"], "has no files of 'reddit-v1'"),
        (["--json", "no/such/folder/x.json"], "no folder 'no/such/folder'"),
    ],
)
def test_show_says_what_is_wrong(folder: Path, words: list[str], message: str) -> None:
    done = runner.invoke(app, ["data", "show", *words, "--data", str(folder)])
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())


def test_examples_are_those_that_a_predictions_file_must_answer(folder: Path, tmp_path: Path) -> None:
    words = ["data", "examples", "leaves", "--data", str(folder)]
    done = runner.invoke(app, words)
    assert done.exit_code == 0, done.output
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"example": "s1_1", "dialogue": "s1", "turn": "1", "seen": ["b"], "targets": ["c", "b"]},
        {"example": "s2_1", "dialogue": "s2", "turn": "1", "seen": [], "targets": ["a"]},
    ]
    done = runner.invoke(app, [*words, "--split", "train", "--no-targets", "--out", str(tmp_path / "q.jsonl")])
    assert "q.jsonl: 1 examples of leaves train" in " ".join(done.stdout.split())
    assert json.loads((tmp_path / "q.jsonl").read_text()) == {
        "example": "t1_1", "dialogue": "t1", "turn": "1", "seen": ["a"],
    }  # fmt: skip
    lost = runner.invoke(app, [*words, "--split", "tests"])
    assert lost.exit_code == 2
    assert "train" in lost.stderr


def test_a_folder_without_data_sets_is_refused(tmp_path: Path) -> None:
    done = runner.invoke(app, ["data", "show", "--data", str(tmp_path)])
    assert (done.exit_code, "holds no data set" in done.stderr) == (2, True)
    done = runner.invoke(app, ["data", "show", "--data", str(tmp_path / "none")])
    assert (done.exit_code, "no folder" in done.stderr) == (2, True)


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """Address and hash of a small zip archive on loopback."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as zipped:
        zipped.writestr("deep/a.txt", "salt")
    content = held.getvalue()

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/a.zip", hashlib.sha256(content).hexdigest()
        server.shutdown()
        thread.join()


def test_fetch_downloads_checks_and_unpacks(archive: tuple[str, str], tmp_path: Path) -> None:
    url, sha256 = archive
    words = ["data", "fetch", url, "--sha256", sha256, "--out", str(tmp_path / "a.zip"), "--unzip", str(tmp_path / "o")]
    done = runner.invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "sha256 as expected" in done.stdout
    assert "1 files in" in done.stdout
    assert (tmp_path / "o" / "deep" / "a.txt").read_text() == "salt"
    assert "it was there already" in runner.invoke(app, words).stdout
    endless = runner.invoke(app, [*words, "--max-gb", "inf"])
    assert (endless.exit_code, "--max-gb must be a number, got inf" in endless.output) == (2, True)
    too_much = runner.invoke(app, [*words, "--max-gb", "0"])
    assert (too_much.exit_code, "more than the 0 that are allowed" in too_much.stderr) == (2, True)


def test_fetch_refuses_a_wrong_hash_and_needs_one(archive: tuple[str, str], tmp_path: Path) -> None:
    url, sha256 = archive
    done = runner.invoke(app, ["data", "fetch", url, "--sha256", "0" * 64, "--out", str(tmp_path / "a.zip")])
    assert done.exit_code == 2
    assert sha256 in done.stderr
    assert "0" * 64 in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert runner.invoke(app, ["data", "fetch", url, "--out", str(tmp_path / "a.zip")]).exit_code == 2


@pytest.mark.parametrize("name", ["show", "examples", "fetch"])
def test_help_has_a_paragraph_and_an_example(name: str) -> None:
    text = runner.invoke(app, ["data", name, "--help"]).stdout
    assert f"Example: rarec data {name}" in text
    assert "--debug" in text
