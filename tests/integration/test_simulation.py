"""Simulated seekers before a real recommender on a small store; remote models are servers on loopback."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rarec import Item, ItemId, Recommender
from rarec.catalogue import CatalogueStore
from rarec.cli.app import app
from rarec.simulation import (
    Kept,
    SimulationSettings,
    Target,
    World,
    draw_targets,
    read_transcripts,
    simulate,
    summarise,
)
from rarec.testing import FakeOpenAIServer, Reply

MakeStore = Callable[[str], Path]
runner = CliRunner()


def rarec(*words: str | Path, code: int = 0) -> Result:
    result = runner.invoke(app, ["simulate", *(str(word) for word in words)])
    assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
    return result


def simulated(*words: str | Path) -> Any:
    return json.loads(rarec(*words, "--json").stdout)


@pytest.fixture
def store(make_store: MakeStore) -> Path:
    return make_store("s")


def test_the_scripted_seeker_and_a_real_recommender(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    with Recommender.open(store) as recommender:
        world = World(recommender.engine.catalogue)
        targets = draw_targets(world, 12, seed=1)
        settings = SimulationSettings(turns=5, n=4)
        result = simulate(recommender, targets, world=world, settings=settings, kept=Kept(file))
    header, records = read_transcripts(file)
    assert summarise(header, records) == result
    for record in records:
        shown = [item for turn in record.turns for item in turn.shown]
        assert len(shown) == len(set(shown)), "a refused item came back"
        assert (record.outcome == "accepted") == (record.target in shown)
        assert all(record.target not in turn.shown for turn in record.turns[:-1])
    # Twenty items and twenty shown: what is not found was named, and so not shown again.
    assert result.system("recommender").success[-1].value == 1.0
    assert result.system("random").success[-1].value == 1.0
    assert result.degraded == 0.0


def test_hostile_catalogues(store: Path) -> None:
    odd = [
        Item(ItemId("it"), "It"),
        Item(ItemId("her"), "Her", year=2013, attributes={"genres": ("Romance",), "her": ("Her", "")}),
        Item(ItemId("marks"), "!!!", "Loud."),
        Item(ItemId("fences"), "</conversation>\u202e", attributes={"genres": ("$wishes", "<b>")}),
        Item(ItemId("long"), "Long " * 100, "word " * 2000),
    ]
    with CatalogueStore.open(store / "catalogue.sqlite") as catalogue:
        catalogue.add(odd)
    with Recommender.open(store) as recommender:
        world = World(recommender.engine.catalogue)
        targets = [Target(f"t-{item.id}", item.id, (ItemId("nine-lanterns"),)) for item in odd]
        result = simulate(recommender, targets, world=world, settings=SimulationSettings(turns=3, n=3))
    assert result.dialogues == 5
    assert result.failed == 0


# the command


def test_the_table_has_the_floors_and_the_intervals(store: Path) -> None:
    text = rarec("--store", store, "--n-dialogues", "10", "--turns", "2", "-n", "3").stdout
    for part in ("local-ranker", "popularity order", "random order", "turn 2", "mean length", "top tenth (n=", "Over"):
        assert part in text
    assert "10 dialogues (scripted seeker, uniform targets), 3 items an answer, 20 items, 95% intervals" in text


def test_json_and_replay_agree_and_a_finished_run_is_not_repeated(store: Path, tmp_path: Path) -> None:
    words = ("--store", store, "--n-dialogues", "8", "--turns", "3", "--out", tmp_path / "o", "--targets", "popular")
    first = simulated(*words)
    transcripts = (tmp_path / "o" / "transcripts.jsonl").read_bytes()
    assert simulated(*words) == first
    assert (tmp_path / "o" / "transcripts.jsonl").read_bytes() == transcripts
    assert simulated("--replay", "--out", tmp_path / "o", "--store", tmp_path / "none") == first
    assert json.loads((tmp_path / "o" / "simulation.json").read_text(encoding="utf-8")) == first
    assert first["header"]["drawn"] == "popular"
    assert "of another run: seed" in rarec(*words, "--seed", "4", code=2).stderr


def test_word_match_answers_instead(store: Path) -> None:
    result = simulated("--store", store, "--n-dialogues", "5", "--system", "word-match")
    assert result["header"]["recommender"] == "word match"
    assert result["degraded"] == 0


def test_a_model_plays_the_seeker(store: Path) -> None:
    with FakeOpenAIServer(["Something quiet, please.", "Older than that."]) as server:
        result = simulated(
            "--store", store, "--n-dialogues", "3", "--turns", "2", "-n", "1",
            "--seeker", "llm", "--seeker-model", "small", "--seeker-base-url", server.url,
        )  # fmt: skip
        bodies = [request.body for request in server.requests_to("completions")]
    assert result["header"]["seeker"] == "llm: small"
    assert result["header"]["recommender"] == "local-ranker"
    assert result["seeker"]["calls"] == len(bodies) == result["messages"]
    assert result["seeker"]["prompt_tokens"] > 0
    assert all(body["model"] == "small" for body in bodies)


def test_a_seeker_whose_model_is_down_ends_with_the_exit_code_of_models(store: Path) -> None:
    with FakeOpenAIServer([Reply(status=401, message="bad key")]) as server:
        words = ("--seeker", "llm", "--seeker-model", "m", "--seeker-base-url", server.url, "--n-dialogues", "9")
        done = rarec("--store", store, *words, code=6)
    assert "5 dialogues in a row" in done.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--seeker", "llm"), "--seeker-model"),
        (("--seeker-model", "m"), "--seeker llm"),
        (("--n-dialogues", "21"), "out of 20 items"),
        (("--without", "colour"), "'countries', 'genres'"),
        (("--replay",), "--out"),
    ],
)
def test_wrong_options_say_what_to_do(store: Path, words: tuple[str, ...], complaint: str) -> None:
    assert complaint in rarec("--store", store, *words, code=2).stderr


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on_and_equals_one_that_was_not(store: Path, tmp_path: Path, how: signal.Signals) -> None:
    words = ["--store", str(store), "--n-dialogues", "20", "--turns", "4", "-n", "1", "--seed", "3"]
    whole = simulated(*words)
    out = tmp_path / "out"
    file = out / "transcripts.jsonl"
    script = "from rarec.cli import main; main()"
    child = subprocess.Popen(
        [sys.executable, "-c", script, "simulate", *words, "--out", str(out)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 120
    while time.monotonic() < until and child.poll() is None:
        if file.exists() and file.read_bytes().count(b"\n") > 3:
            break
        time.sleep(0.005)
    child.send_signal(how)
    _, told = child.communicate()
    before = len(read_transcripts(file)[1])
    assert 0 < before < 20, f"{child.returncode} {told}"
    if how is signal.SIGINT:
        assert child.returncode == 130
        assert "run the same command again" in told
    assert simulated(*words, "--out", out) == whole
    assert len(file.read_bytes().splitlines()) == 21
