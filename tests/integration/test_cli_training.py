"""train and evaluate: what the command line adds to the library."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
import torch
from pyarrow import parquet
from typer.testing import CliRunner, Result

from rarec.cli.app import app
from rarec.cli.evaluate import chosen_systems
from rarec.errors import InputError

runner = CliRunner(env={"COLUMNS": "200"})
Tell = Callable[[str, int, int, str], None]


def rarec(*words: str | Path, code: int = 0) -> Result:
    result = runner.invoke(app, [str(word) for word in words])
    assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
    return result


# train


class Trainer:
    """Stands for the hours of training: reports steps as it does, and keeps what it was asked."""

    def __init__(self, *, stop_at: int = 0) -> None:
        self.asked: dict[str, Any] = {}
        self.threads = 0
        self._stop_at = stop_at

    def __call__(self, recipe: Any, **asked: Any) -> dict[str, Any]:
        self.asked, self.threads = asked | {"recipe": recipe}, torch.get_num_threads()
        tell: Tell = asked["on_progress"]
        for step in range(1, 11):
            tell("pretrain", step, 10, f"epoch 1, loss {1 / step:.3f}")
            if step == self._stop_at:
                raise KeyboardInterrupt
        ranked = {"N@10": 0.2, "n": 1007, "change": 0.07655, "interval": [-0.01, 0.1]}
        return {"redial valid": {"retriever": {"N@10": 0.12345, "n": 1007}, "retriever+ranker": ranked}}


def test_figures_become_a_table_and_stages_have_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer()
    monkeypatch.setattr("rarec.training.train_bundle", trainer)
    before = torch.get_num_threads()
    done = rarec("train", "--data", tmp_path, "--out", tmp_path / "b", "--threads", "1", "--stage", "finetune")
    assert trainer.asked["data"] == tmp_path
    assert trainer.asked["out"] == tmp_path / "b"
    assert trainer.asked["work"] == tmp_path / "b-work"
    assert trainer.asked["until"] == "finetune"
    assert (trainer.threads, torch.get_num_threads()) == (1, before)
    assert "0.1235" in done.stdout
    assert "redial valid" in done.stdout
    assert "1,007" in done.stdout
    assert "The ranker changes N@10 by +0.0766 [-0.0100, +0.1000]" in done.stdout
    assert "pretrain: 10 of 10 steps, epoch 1, loss 0.100" in done.stderr


def test_data_of_ones_own_lie_beside_the_recipe_or_where_the_command_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer()
    monkeypatch.setattr("rarec.training.train_bundle", trainer)
    monkeypatch.setenv("RAREC_DATA", str(tmp_path / "films"))
    recipe = tmp_path / "own.toml"
    recipe.write_text('[data]\ncatalogue = "items.jsonl"\nconversations = "."\n', encoding="utf-8")
    rarec("train", "--recipe", recipe, "--out", tmp_path / "b")
    assert trainer.asked["recipe"].data.catalogue == tmp_path / "items.jsonl"
    rarec("train", "--recipe", recipe, "--out", tmp_path / "b", "--data", tmp_path / "there")
    assert trainer.asked["recipe"].data.catalogue == tmp_path / "there" / "items.jsonl"


def test_ctrl_c_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rarec.training.train_bundle", Trainer(stop_at=4))
    stopped = rarec("train", "--data", tmp_path, "--out", tmp_path / "b", "--work", tmp_path / "w", code=130)
    assert f"The checkpoints are in {tmp_path / 'w'}; run the same command again to go on." in stopped.stderr
    assert stopped.stdout == ""


def test_train_without_data_or_with_a_wrong_recipe(tmp_path: Path) -> None:
    words = ["train", "--data", tmp_path / "none", "--out", tmp_path / "b"]
    assert "none" in rarec(*words, code=2).stderr
    recipe = tmp_path / "r.toml"
    recipe.write_text("folds = 1\nspeed = 9\n", encoding="utf-8")
    failed = rarec(*words, "--recipe", recipe, code=2).stderr
    assert "folds" in failed
    assert "speed" in failed
    rarec(*words, "--stage", "nonsense", code=2)


# evaluate


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Five items, three training dialogues, two examples and a recording of them."""
    for folder in ("mapping", "corpus", "redial"):
        (tmp_path / folder).mkdir()
    ids = list(range(5))
    names = ["Salt and Rye", "Blue Tram", "Quiet Harbour", "Nine Lanterns", "Copper Moth"]
    parquet.write_table(
        pyarrow.table({"dataset": ["redial"] * 5, "corpus_id": ids}), tmp_path / "mapping" / "crs_items.parquet"
    )
    movies = pyarrow.table({"redial_id": [], "item": [], "title": []})
    parquet.write_table(movies, tmp_path / "mapping" / "redial_movie_ids.parquet")
    corpus = {"id": ids, "title": names, "year": [2000] * 5, "plot": [""] * 5, "imdb_votes": [50, 40, 30, 20, 10]}
    parquet.write_table(pyarrow.table(corpus), tmp_path / "corpus" / "movies.parquet")

    def turn(role: str, item: int) -> dict[str, Any]:
        return {"role": role, "text": "", "items": [item], "redial_ids": [None]}

    training = [{"conv_id": f"redial_{i}", "turns": [turn("seeker", 0), turn("recommender", 3)]} for i in range(3)]
    lines(tmp_path / "redial" / "train.jsonl", training)
    examples = [
        {"example_id": f"redial_{i}", "index": i, "dialog_id": f"d{i}", "turn_id": i,
         "context": ["", "I loved Salt and Rye (2000)"], "context_items": [0],
         "gt": [{"item": item, "title": names[item]}]}
        for i, item in enumerate((3, 2))
    ]  # fmt: skip
    lines(tmp_path / "test.jsonl", examples)
    recorded = {
        "dataset": ["redial"] * 2, "model": ["gpt-4"] * 2, "prompt": ["general"] * 2, "filtered": [True] * 2,
        "exclude_seen": [True] * 2, "row": [0, 1], "index": [0, 1], "condition": ["rec"] * 2, "rank": [2, None],
    }  # fmt: skip
    parquet.write_table(pyarrow.table(recorded), tmp_path / "ranks.parquet")
    return tmp_path


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def test_the_table_as_text_json_and_predictions(data: Path) -> None:
    words = ["evaluate", "--eval", data / "test.jsonl", "--data", data, "--ranks", data / "ranks.parquet"]
    words += ["--systems", "popularity, co-occurrence,gpt-4", "--samples", "100", "--seed", "3"]
    done = rarec(*words, "--json", data / "table.json", "--predictions", data / "p.jsonl")
    table = json.loads((data / "table.json").read_text(encoding="utf-8"))
    assert sorted(table) == ["meta", "rows"]
    assert [(row["system"], row["protocol"], row["n"]) for row in table["rows"]] == [
        ("popularity", "new-targets", 2), ("co-occurrence", "new-targets", 2), ("gpt-4", "new-targets", 2),
    ]  # fmt: skip
    assert table["rows"][1]["R@1"] == 0.5
    assert table["rows"][2]["R@50"] is None
    assert (table["meta"]["seed"], table["meta"]["samples"]) == (3, 100)
    assert "co-occurrence" in done.stdout
    assert "new-targets" in done.stdout
    assert "N@10 95 %" in done.stdout
    assert len((data / "p.jsonl").read_text(encoding="utf-8").splitlines()) == 6


def test_json_to_stdout_is_json_alone(data: Path) -> None:
    words = ["evaluate", "--eval", data / "test.jsonl", "--data", data, "--systems", "popularity,random", "--json", "-"]
    words += ["--protocol", "new-targets", "--protocol", "all-targets", "--against", "random", "--samples", "50"]
    done = rarec(*words)
    rows = json.loads(done.stdout)["rows"]
    assert [(row["system"], row["protocol"]) for row in rows] == [
        ("popularity", "new-targets"), ("random", "new-targets"),
        ("popularity", "all-targets"), ("random", "all-targets"),
    ]  # fmt: skip
    assert "vs" in rows[0]
    assert "popularity" in done.stderr


def test_evaluation_errors(data: Path) -> None:
    words = ["evaluate", "--eval", data / "test.jsonl", "--data", data]
    assert "unknown system 'nonsense'" in rarec(*words, "--systems", "nonsense", code=2).stderr
    assert "recorded" in rarec(*words, "--systems", "gpt-4", code=2).stderr
    for option in ("--json", "--predictions"):
        assert "no folder" in rarec(*words, "--systems", "popularity", option, data / "none" / "x", code=2).stderr
    failed = rarec("evaluate", "--eval", data / "none.jsonl", "--data", data, "--json", "-", code=2)
    assert json.loads(failed.stdout)["error"]["type"] == "InputError"
    assert "bundle" in rarec(*words, "--systems", "retriever", "--bundle", data / "none", code=3).stderr


def test_the_usual_systems() -> None:
    assert chosen_systems(None, recorded=True)[-1] == "gpt-4"
    assert "gpt-4" not in chosen_systems(None, recorded=False)
    assert chosen_systems("a, b", recorded=True) == ("a", "b")
    for wrong in ("", "a,", "a,b,a"):
        with pytest.raises(InputError):
            chosen_systems(wrong, recorded=False)
