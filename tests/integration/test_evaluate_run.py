"""From a data folder of a few files and a few names to a table, through every reader."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pytest
import torch
from pyarrow import parquet

from rarec.conversations import Example
from rarec.errors import InputError
from rarec.evaluate import Catalogue, EvaluateSettings, load_recipe, run_evaluation, run_recipe
from rarec.evaluate.baselines import RepeatContext
from rarec.evaluate.context import DataContext, Resources
from rarec.evaluate.folder import opened
from rarec.evaluate.quick import infer_data_set
from rarec.evaluate.recipe import DataSetConfig
from rarec.ranker.model import Ranker, RankerConfig
from rarec.retriever.bundle import save_model, save_retriever
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.testing import HashEmbedder
from rarec.types import ItemId

TITLES = ["Salt and Rye", "Blue Tram", "Quiet Harbour", "Nine Lanterns", "Copper Moth"]


def turn(role: str, text: str, *items: int) -> dict[str, Any]:
    return {"role": role, "text": text, "items": list(items), "redial_ids": [None] * len(items)}


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def example(number: int, *targets: int, context: Sequence[int] = (0,)) -> dict[str, Any]:
    said = " and ".join(f"{TITLES[item]} (2000)" for item in context)
    return {
        "example_id": f"redial_{number}",
        "index": number,
        "dialog_id": f"d{number}",
        "turn_id": number,
        "context": ["", f"I loved {said}"],
        "context_items": list(context),
        "gt": [{"item": item, "title": f"{TITLES[item]} (2000)"} for item in targets],
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("mapping", "corpus", "eval"):
        (tmp_path / folder).mkdir()
    ids = list(range(5))
    mapping = pyarrow.table({"dataset": ["redial"] * 5, "corpus_id": ids})
    parquet.write_table(mapping, tmp_path / "mapping" / "crs_items.parquet")
    movies = pyarrow.table({"redial_id": [], "item": [], "title": []})
    parquet.write_table(movies, tmp_path / "mapping" / "redial_movie_ids.parquet")
    corpus = pyarrow.table(
        {"id": ids, "title": TITLES, "year": [2000] * 5, "plot": [""] * 5, "imdb_votes": [50, 40, 30, 20, 10]}
    )
    parquet.write_table(corpus, tmp_path / "corpus" / "movies.parquet")
    training = [
        {"conv_id": f"redial_{i}", "turns": [turn("seeker", "", 0), turn("recommender", "", 3)]} for i in range(3)
    ]
    jsonl(tmp_path / "redial" / "train.jsonl", training)
    jsonl(tmp_path / "eval" / "test.jsonl", [example(0, 3), example(1, 2)])
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
    assert tuple(row["system"] for row in table.rows()) == names
    assert {row["n"] for row in table.rows()} == {2}
    # 0 is mentioned and removed; 3 goes with it in training; then 1, 2, 4 by popularity.
    assert [p["rank"] for p in table.predictions() if p["system"] == "co-occurrence"] == [1, 3]
    assert table.row("co-occurrence")["R@1"] == 0.5
    assert [p["rank"] for p in table.predictions() if p["system"] == "gpt-4"] == [2, 0]
    gpt = table.row("gpt-4")
    assert (gpt["R@20"], gpt["R@50"], gpt["ci"]["R@50"]) == (0.5, None, None)
    assert table.row("random")["R@5"] == 1.0
    assert table.meta["data_set"] == "redial"
    assert table.meta["file"] == "test.jsonl"
    assert table.meta["versions"]["rarec"]
    assert table.meta["catalogue"] == 5
    assert table.meta["examples"] == table.meta["dialogues"] == {"new-targets": 2}


def test_two_protocols_are_two_blocks_and_recordings_follow_them(root: Path) -> None:
    table = run_evaluation(
        settings(
            root,
            "gpt-4",
            "repeat-context",
            ranks_file=root / "ranks.parquet",
            protocols=("new-targets", "all-targets"),
            against="gpt-4",
            samples=50,
        )
    )
    assert [(row["system"], row["protocol"]) for row in table.rows()] == [
        ("gpt-4", "new-targets"),
        ("repeat-context", "new-targets"),
        ("gpt-4", "all-targets"),
        ("repeat-context", "all-targets"),
    ]
    assert [p["rank"] for p in table.predictions() if p["system"] == "gpt-4"] == [2, 0, 3, 0]


def test_the_document_has_rows_with_intervals_differences_and_meta(root: Path) -> None:
    asked = settings(root, "popularity", "co-occurrence", against="popularity", samples=50, seed=3)
    document = json.loads(run_evaluation(asked).to_json())
    assert set(document) == {"rows", "meta"}
    assert (document["meta"]["seed"], document["meta"]["samples"]) == (3, 50)
    one, other = document["rows"]
    assert set(one) == {"system", "protocol", "n", "R@1", "R@5", "R@10", "R@20", "R@50", "N@10", "ci"}
    assert set(other) == {*one, "vs"}
    low, high = other["ci"]["R@1"]
    assert 0 <= low <= other["R@1"] <= high <= 1
    delta = other["vs"]["popularity"]["R@1"]
    assert delta["delta"] == other["R@1"] - one["R@1"]
    assert delta["ci"][0] <= delta["delta"] <= delta["ci"][1]
    assert json.loads(run_evaluation(asked).to_json()) == document


def test_ranks_on_disk_say_what_was_counted(root: Path, tmp_path: Path) -> None:
    """Repeated targets are no rows of new-targets, and a mentioned item takes no place in its lists."""
    jsonl(root / "eval" / "test.jsonl", [example(0, 0, 1, context=(0,)), example(1, 4, context=(0, 1))])
    table = run_evaluation(settings(root, "repeat-context", protocols=("new-targets", "all-targets")))
    table.write_predictions(tmp_path / "p.jsonl")
    written = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert [(p["example"], p["target"], p["protocol"], p["rank"]) for p in written] == [
        ("redial_0", "1", "new-targets", 1),
        ("redial_1", "4", "new-targets", 3),
        ("redial_0", "0", "all-targets", 1),
        ("redial_0", "1", "all-targets", 2),
        ("redial_1", "4", "all-targets", 5),
    ]
    assert {p["dialogue"] for p in written} == {"d0", "d1"}


def test_a_users_own_system_joins_and_may_take_a_baselines_name(root: Path) -> None:
    seen: list[Catalogue] = []

    def build(catalogue: Catalogue, seed: int) -> RepeatContext:
        seen.append(catalogue)
        assert len(catalogue.training) == 3
        return RepeatContext(catalogue.items)

    class Named(RepeatContext):
        def __init__(self, catalogue: Catalogue, seed: int) -> None:
            super().__init__(catalogue.items)
            self.name = "retriever"

    table = run_evaluation(settings(root, "repeat-context", "retriever",
                                    factories={"repeat-context": build, "retriever": Named}))  # fmt: skip
    one, other = table.rows()
    assert (one["system"], other["system"]) == ("repeat-context", "retriever")
    assert {**one, "system": ""} == {**other, "system": ""}
    assert len(seen) == 1


class Fixed:
    """Gives everyone the same list."""

    name = "fixed"

    def __init__(self, *items: int, forgets: int = 0) -> None:
        self._items, self._forgets = tuple(ItemId(str(item)) for item in items), forgets

    def rank(self, examples: Sequence[Example], *, n: int) -> list[tuple[ItemId, ...]]:
        return [self._items[:n]] * (len(examples) - self._forgets)


@pytest.mark.parametrize(
    ("system", "says"),
    [
        (Fixed(1, 2, 1), "'fixed' ranked '1' twice for 'redial_0'"),
        (Fixed(1, 9), "'fixed' ranked '9' for 'redial_0', which is not in the catalogue"),
        (Fixed(1, forgets=1), "gave 1 lists for 2 examples"),
    ],
)
def test_a_system_that_does_not_fit_is_refused(root: Path, system: Fixed, says: str) -> None:
    with pytest.raises(InputError, match=says):
        run_evaluation(settings(root, "mine", factories={"mine": lambda catalogue, seed: system}))


def test_progress_is_told_by_system(root: Path) -> None:
    told: list[tuple[str, int, int]] = []
    run_evaluation(settings(root, "popularity"), progress=lambda *at: told.append(at))
    assert ("redial: popularity", 2, 2) in told


def test_without_training_what_needs_none_still_runs(root: Path) -> None:
    (root / "redial" / "train.jsonl").unlink()
    assert run_evaluation(settings(root, "random")).row("random")["n"] == 2
    with pytest.raises(InputError, match="no split for training"):
        run_evaluation(settings(root, "popularity"))


@pytest.mark.parametrize(
    ("systems", "more", "says"),
    [
        ((), {}, "no systems were named"),
        (("popularty",), {}, "unknown system 'popularty'; use popularity, co-occurrence"),
        (("gpt-4",), {}, "'gpt-4' is a recorded model; give the file of recorded ranks"),
        (("popularity",), {"protocols": ()}, "no protocol was given"),
        (("popularity",), {"protocols": ("some",)}, "unknown protocol 'some'"),
        (("popularity",), {"data_set": "inspired"}, "'inspired'"),
        (("popularity",), {"data_set": "nothing"}, "unknown data set 'nothing'; use one of redial"),
        (("popularity", "popularity"), {}, "two systems are named 'popularity'"),
        (("popularity",), {"against": "retriever"}, "cannot compare against 'retriever'"),
    ],
)
def test_wrong_settings_are_refused(root: Path, systems: tuple[str, ...], more: dict[str, Any], says: str) -> None:
    with pytest.raises((InputError, ValueError), match=says):
        run_evaluation(settings(root, *systems, **more))


def test_the_data_set_is_read_from_the_first_id(tmp_path: Path) -> None:
    assert infer_data_set(jsonl(tmp_path / "a.jsonl", [{"example_id": "inspired_5"}])) == "inspired"
    with pytest.raises(InputError, match="'mine_5' begins with none of"):
        infer_data_set(jsonl(tmp_path / "b.jsonl", [{"example_id": "mine_5"}]))
    with pytest.raises(InputError, match="has no examples"):
        infer_data_set(jsonl(tmp_path / "c.jsonl", []))


LINKED = """
[run]
measures = ["R@1"]
headline = "R@1"
protocols = ["new-targets"]
slices = false
[[data_set]]
name = "redial"
folder = "FOLDER"
examples = "EXAMPLES"
mentions = "MENTIONS"
[[system]]
kind = "popularity"
[[system]]
kind = "co-occurrence"
[[system]]
kind = "ease"
[[system]]
kind = "item-knn"
weighting = "cosine"
[[system]]
kind = "embedding-similarity"
variant = "items"
[[system]]
kind = "retriever"
[[system]]
kind = "ranked"
of = "retriever"
llm = "local"
"""


def small_bundle(folder: Path, embedder: HashEmbedder) -> Path:
    """A retriever and a ranker that have learned nothing, which is enough to see what they read."""
    model = Retriever(RetrieverConfig(text_dimension=embedder.dimension, width=12, item_hidden=16), seed=3)
    save_retriever(folder, model, embedder=embedder.name, training={})
    config = RankerConfig(text_dimension=embedder.dimension, width=8, hidden=8)
    ranker = Ranker(config, seed=4)
    with torch.no_grad():  # it starts as the retriever's order; this one has a mind of its own
        ranker.out.weight.normal_(std=3.0, generator=torch.Generator().manual_seed(1))
    save_model(folder, ranker, kind="ranker", config=config, embedder=embedder.name, training={})
    return folder


def test_linked_mentions_reach_every_system_that_reads_them(root: Path, tmp_path: Path) -> None:
    film = {"id": [*range(6)], "title": [*TITLES, "Velvet Quarry"], "year": [2000] * 6, "plot": [""] * 6}
    parquet.write_table(
        pyarrow.table(film | {"imdb_votes": [50, 40, 30, 20, 10, 5]}), root / "corpus" / "movies.parquet"
    )
    training = [
        {"conv_id": f"redial_{i}", "turns": [turn("seeker", "", one), turn("recommender", "", other)]}
        for i, (one, other) in enumerate([(5, 4), (0, 3), (0, 3)])
    ]
    jsonl(root / "redial" / "train.jsonl", training)
    asked = example(0, 4) | {"context": ["I loved Velvet Quarry (2000)"], "context_items": []}
    jsonl(root / "eval" / "test.jsonl", [asked])
    embedder = HashEmbedder(24)
    bundle = small_bundle(tmp_path / "bundle", embedder)
    lists: dict[str, dict[str, tuple[ItemId, ...]]] = {}
    for mentions in ("annotated", "linked", "annotated"):  # in one folder: what was kept must not be taken for another
        text = LINKED.replace("FOLDER", str(root / "redial")).replace("MENTIONS", mentions)
        recipe = tmp_path / "linked.toml"
        recipe.write_text(text.replace("EXAMPLES", str(root / "eval" / "test.jsonl")), encoding="utf-8")
        resources = Resources(bundle=bundle, embedder=embedder)
        with opened(tmp_path / "run", name="linked", force=True) as folder:
            run = run_recipe(load_recipe(recipe), resources=resources, folder=folder, page=False)
        ((gold, found),) = run.data_sets
        assert [e.seen for e in gold.examples] == [("5",) if mentions == "linked" else ()]
        found_now = {predictions.system: predictions.lists[gold.examples[0].id] for predictions in found}
        assert lists.setdefault(mentions, found_now) == found_now
    for system, annotated in lists["annotated"].items():
        linked = lists["linked"][system]
        assert (linked != annotated) == (system != "popularity"), system
        assert sorted(linked) == ["0", "1", "2", "3", "4"]
    assert lists["linked"]["co-occurrence"][0] == "4"


def test_what_baselines_count_does_not_hang_on_the_turns_to_predict(root: Path) -> None:
    jsonl(root / "redial" / "train.jsonl", [{"conv_id": "redial_1", "turns": [turn("seeker", "", 5, 0, 9)]}])
    for mentions, counted in (("annotated", []), ("linked", ["5", "9"])):
        config = DataSetConfig(name="redial", folder=root / "redial", split="train", mentions=mentions)
        assert DataContext(config, Resources()).catalogue("data-set").counted == counted
