"""From a data folder of a few files to a table, through every reader."""

import json
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from rarec.errors import InputError
from rarec.evaluate import Context, EvaluateSettings, Options, run_evaluation
from rarec.evaluate.baselines import RepeatContext
from rarec.evaluate.run import infer_data_set

TITLES = ["Salt and Rye", "Blue Tram", "Quiet Harbour", "Nine Lanterns", "Copper Moth"]


def turn(role: str, text: str, *items: int) -> dict[str, Any]:
    return {"role": role, "text": text, "items": list(items), "redial_ids": [None] * len(items)}


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("mapping", "corpus", "eval"):
        (tmp_path / folder).mkdir()
    ids = list(range(5))
    mapping = pyarrow.table({"dataset": ["redial"] * 5, "corpus_id": ids})
    parquet.write_table(mapping, tmp_path / "mapping" / "crs_items.parquet")
    corpus = pyarrow.table(
        {"id": ids, "title": TITLES, "year": [2000] * 5, "plot": [""] * 5, "imdb_votes": [50, 40, 30, 20, 10]}
    )
    parquet.write_table(corpus, tmp_path / "corpus" / "movies.parquet")
    training = [
        {"conv_id": f"redial_{i}", "turns": [turn("seeker", "", 0), turn("recommender", "", 3)]} for i in range(3)
    ]
    jsonl(tmp_path / "redial" / "train.jsonl", training)
    truth = [[{"item": 3, "title": "Nine Lanterns (2000)"}], [{"item": 2, "title": "Quiet Harbour (2000)"}]]
    examples = [
        {
            "example_id": f"redial_{i}",
            "index": i,
            "dialog_id": f"d{i}",
            "turn_id": i,
            "context": ["", "I loved Salt and Rye (2000)"],
            "context_items": [0],
            "gt": truth[i],
        }
        for i in range(2)
    ]
    jsonl(tmp_path / "eval" / "test.jsonl", examples)
    recorded = {
        "dataset": ["redial"] * 4,
        "model": ["gpt-4"] * 4,
        "prompt": ["general"] * 4,
        "filtered": [True] * 4,
        "exclude_seen": [True, True, False, False],
        "row": [0, 1, 0, 1],
        "index": [0, 1, 0, 1],
        "condition": ["rec"] * 4,
        "rank": [2, None, 3, None],
    }
    parquet.write_table(pyarrow.table(recorded), tmp_path / "ranks.parquet")
    return tmp_path


def settings(root: Path, *systems: str, **more: Any) -> EvaluateSettings:
    return EvaluateSettings(eval_file=root / "eval" / "test.jsonl", data_root=root, systems=systems, **more)


def test_names_become_rows_in_their_order(root: Path) -> None:
    names = ("co-occurrence", "gpt-4", "popularity", "random", "repeat-context")
    table = run_evaluation(settings(root, *names, ranks_file=root / "ranks.parquet"))
    assert tuple(row.system for row in table.rows) == names
    by_name = {row.system: row.values for row in table.rows}
    # 0 is mentioned and removed; 3 goes with it in training; then 1, 2, 4 by popularity.
    assert [p.rank for p in table.predictions if p.system == "co-occurrence"] == [1, 3]
    assert by_name["co-occurrence"]["R@1"] == 0.5
    assert [p.rank for p in table.predictions if p.system == "gpt-4"] == [2, 0]
    assert (by_name["gpt-4"]["R@20"], by_name["gpt-4"]["R@50"]) == (0.5, None)
    assert by_name["random"]["R@5"] == 1.0
    assert table.meta["data_set"] == "redial"
    assert table.meta["file"] == "test.jsonl"
    assert table.meta["versions"]["rarec"]
    json.loads(table.to_json())


def test_two_protocols_are_two_blocks_and_recordings_follow_them(root: Path) -> None:
    asked = settings(
        root,
        "gpt-4",
        "repeat-context",
        ranks_file=root / "ranks.parquet",
        protocols=("new-targets", "all-targets"),
        options=Options(against="gpt-4", samples=50),
    )
    table = run_evaluation(asked)
    assert [(row.system, row.protocol) for row in table.rows] == [
        ("gpt-4", "new-targets"),
        ("repeat-context", "new-targets"),
        ("gpt-4", "all-targets"),
        ("repeat-context", "all-targets"),
    ]
    assert [p.rank for p in table.predictions if p.system == "gpt-4"] == [2, 0, 3, 0]


def test_a_users_own_system_joins_and_may_take_a_baselines_name(root: Path) -> None:
    seen: list[Context] = []

    def build(context: Context) -> RepeatContext:
        seen.append(context)
        return RepeatContext(context.items)

    class Named(RepeatContext):
        def __init__(self, context: Context) -> None:
            super().__init__(context.items)
            self.name = "retriever"

    table = run_evaluation(settings(root, "repeat-context", "retriever",
                                    factories={"repeat-context": build, "retriever": Named}))  # fmt: skip
    assert [row.system for row in table.rows] == ["repeat-context", "retriever"]
    assert table.rows[0].values == table.rows[1].values
    assert [len(context.training) for context in seen] == [3]


@pytest.mark.parametrize(
    ("systems", "more", "says"),
    [
        ((), {}, "no systems were named"),
        (("popularty",), {}, "unknown system 'popularty'; use popularity, co-occurrence"),
        (("gpt-4",), {}, "'gpt-4' is a recorded model; give the file of recorded ranks"),
        (("popularity",), {"protocols": ()}, "no protocol was given"),
        (("popularity",), {"data_set": "inspired"}, "has no items of 'inspired'"),
        (("popularity", "popularity"), {}, "two systems are named 'popularity'"),
    ],
)
def test_wrong_settings_are_refused(root: Path, systems: tuple[str, ...], more: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        run_evaluation(settings(root, *systems, **more))


def test_the_data_set_is_read_from_the_first_id(tmp_path: Path) -> None:
    assert infer_data_set(jsonl(tmp_path / "a.jsonl", [{"example_id": "inspired_5"}])) == "inspired"
    with pytest.raises(InputError, match="'mine_5' begins with none of"):
        infer_data_set(jsonl(tmp_path / "b.jsonl", [{"example_id": "mine_5"}]))
    with pytest.raises(InputError, match="has no examples"):
        infer_data_set(jsonl(tmp_path / "c.jsonl", []))
