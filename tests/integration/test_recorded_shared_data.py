"""Recorded language models on the real data: published figures, lists against ranks, and replaying."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rarec.conversations import Example, data_set_items, read_examples
from rarec.conversations.parquet import read_table
from rarec.evaluate.llm_systems import LLMAlone, RankedByLLM
from rarec.evaluate.metrics import Ranks, ndcg_at, recall_at
from rarec.evaluate.recorded import RecordedTable, Recording, recorded_predictions, recorded_table
from rarec.evaluate.recorded_lists import RecordedLists, read_recorded_lists
from rarec.types import Item

pytestmark = pytest.mark.shared_data

GENERAL = ("gpt-4", "gpt-3.5-turbo", "vicuna", "baize")
NAMES = (*GENERAL, *(f"{model}/{prompt}" for model in GENERAL[:3] for prompt in ("p2", "p3", "p4")))

PUBLISHED = {
    "gpt-4": (0.0236, 0.0861, 0.1313, 0.1742, 0.0693),
    "gpt-3.5-turbo": (0.0237, 0.0772, 0.1128, 0.1427, 0.0622),
    "baize": (0.0145, 0.0509, 0.0692, 0.0786, 0.0389),
    "vicuna": (0.0145, 0.0439, 0.0613, 0.0714, 0.0350),
}
HALF_A = {  # new targets of the half, computed once from the recorded ranks: R@1, 5, 10, 20 and N@10
    ("redial", "gpt-4"): [0.0528, 0.1419, 0.202, 0.2734, 0.1177],
    ("inspired", "gpt-4"): [0.0614, 0.1228, 0.193, 0.2456, 0.1217],
}


@pytest.fixture(scope="module")
def inspired_items(shared_data: Path) -> list[Item]:
    return data_set_items(shared_data, "inspired")


@pytest.fixture(scope="module")
def inspired(shared_data: Path, inspired_items: list[Item]) -> list[Example]:
    return read_examples(shared_data / "eval" / "inspired_test_a.jsonl.zst", catalogue_items=inspired_items)


@pytest.fixture(scope="module")
def lists(shared_data: Path, inspired: list[Example], inspired_items: list[Item]) -> dict[str, RecordedLists]:
    return {
        name: read_recorded_lists(
            shared_data / "recorded_llm" / "inspired_outputs_a.parquet",
            inspired,
            data_set="inspired",
            name=name,
            mapping=shared_data / "mapping" / "crs_items.parquet",
            items=inspired_items,
        )
        for name in NAMES
    }


def ranks_path(shared_data: Path) -> Path:
    return shared_data / "recorded_llm" / "per_example_ranks_a.parquet"


def figures(ranks: Sequence[int] | Ranks) -> list[float]:
    return [*(float(recall_at(ranks, k).mean()) for k in (1, 5, 10, 20)), float(ndcg_at(ranks, 10).mean())]


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_figures_of_reddit_come_out_to_the_fourth_digit(shared_data: Path, name: str) -> None:
    table = recorded_table(ranks_path(shared_data), "reddit", name)
    ranks = table.ranks[table.new]
    assert len(ranks) == (19_411 if name == "baize" else 19_438), "BAIZE broke off ten examples before the end"
    assert tuple(round(value, 4) for value in figures(ranks)) == PUBLISHED[name]
    assert len(set(table.clusters[table.new].tolist())) <= 9_500


def test_the_summary_of_reddit_comes_out(shared_data: Path) -> None:
    """Every model and prompt, for new, repeated and all targets; filtered, with and without what was seen for one."""
    compared = 0
    tables: dict[tuple[str, str, str], RecordedTable] = {}
    with (shared_data / "recorded_llm" / "summary_full.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            name = Recording(row["model"], row["prompt"]).name
            if not row["dataset"].startswith("reddit") or row["filtered"] != "True":
                continue
            if row["exclude_seen"] != "True" and name != "gpt-4":
                continue
            run = (row["dataset"], name, row["exclude_seen"])
            if run not in tables:
                tables[run] = recorded_table(
                    ranks_path(shared_data), row["dataset"], name, exclude_seen=row["exclude_seen"] == "True"
                )
            table = tables[run]
            ranks = {"rec": table.ranks[table.new], "dis": table.ranks[~table.new], "all": table.ranks}[
                row["condition"]
            ]
            assert len(ranks) == int(row["rows"])
            for measure in ("recall@1", "recall@5", "recall@10", "recall@20", "ndcg@5", "ndcg@10", "ndcg@20"):
                of, _, k = measure.partition("@")
                value = (recall_at if of == "recall" else ndcg_at)(ranks, int(k)).mean()
                assert value == pytest.approx(float(row[measure]), abs=0.000051), (name, row)
            compared += 1
    assert compared == 45


@pytest.mark.parametrize("name", NAMES)
def test_lists_rescored_by_names_give_the_recorded_ranks_in_every_row(
    shared_data: Path, inspired: list[Example], lists: dict[str, RecordedLists], name: str
) -> None:
    path = ranks_path(shared_data)
    columns = ("dataset", "model", "prompt", "filtered", "exclude_seen", "row", "index", "rank")
    recording = Recording.parse(name)
    rows = read_table(path, columns, purpose="a test").filter(_of(recording)).sort_by("row").to_pylist()
    for filtered in (True, False):
        for exclude_seen in (True, False):
            recorded: dict[int, list[int]] = {}
            for row in rows:
                if (row["filtered"], row["exclude_seen"]) == (filtered, exclude_seen):
                    recorded.setdefault(row["index"], []).append(row["rank"] or 0)
            ours = {
                example.index: list(lists[name].lists[example.id].ranks(filtered=filtered, exclude_seen=exclude_seen))
                for example in inspired
            }
            assert ours == recorded
            assert sum(map(len, recorded.values())) == 139


def _of(recording: Recording) -> object:
    import pyarrow.compute as compute

    return (
        (compute.field("dataset") == "inspired")
        & (compute.field("model") == recording.model)
        & (compute.field("prompt") == recording.prompt)
    )


@pytest.mark.parametrize(("data_set", "rows"), [("redial", 2198), ("inspired", 114)])
def test_the_half_is_read_with_both_treatments_and_to_the_depth_of_twenty(
    shared_data: Path, inspired: list[Example], inspired_items: list[Item], data_set: str, rows: int
) -> None:
    examples = inspired
    if data_set == "redial":
        items = data_set_items(shared_data, data_set)
        examples = read_examples(shared_data / "eval" / "redial_test_a.jsonl.zst", catalogue_items=items)
    new = [(e.id, target) for e in examples for target in e.targets if target not in e.repeated]
    assert len(new) == rows
    for name in GENERAL:
        found = recorded_predictions(ranks_path(shared_data), examples, data_set=data_set, name=name)
        assert (found.system, found.depth, found.lists) == (name, 20, {})
        assert len(found.ranks) == 2 * sum(len(e.targets) for e in examples)
        excluded = np.array([found.ranks[e, target, "excluded"] for e, target in new])
        kept = np.array([found.ranks[e, target, "kept"] for e, target in new])
        # Removing what was seen can only bring a new target forward.
        assert ((excluded > 0) >= (kept > 0)).all()
        assert (excluded[kept > 0] <= kept[kept > 0]).all()
        if (data_set, name) in HALF_A:
            assert [round(value, 4) for value in figures(excluded)] == HALF_A[data_set, name]
        assert ("19 of" in found.note) == ((data_set, name) == ("redial", "baize"))


def test_lists_of_items_hit_what_the_recording_hits(
    shared_data: Path, inspired: list[Example], lists: dict[str, RecordedLists]
) -> None:
    """Only places differ: names that are no item leave no gap."""
    for name in (*GENERAL, "gpt-4/p4"):
        recorded = recorded_predictions(ranks_path(shared_data), inspired, data_set="inspired", name=name)
        found = lists[name].predictions()
        assert set(found.lists) == {example.id for example in inspired}
        for example in inspired:
            left = [item for item in found.lists[example.id] if item not in example.context_items][:20]
            for target in example.targets:
                rank = recorded.ranks[example.id, target, "excluded"]
                if target not in example.repeated:
                    assert (target in left) == (rank > 0), (name, example.id)
                    assert not rank or left.index(target) < rank


def test_recorded_text_is_replayed_through_the_llm_alone_row(
    inspired: list[Example], inspired_items: list[Item], lists: dict[str, RecordedLists]
) -> None:
    known = {item.id for item in inspired_items}
    for name, least in (("gpt-4", 0.85), ("gpt-3.5-turbo", 0.85), ("vicuna", 0.85), ("baize", 0.75)):
        system = LLMAlone(lists[name].replay(), inspired_items)
        assert system.name == f"{name} alone"
        answers = system.answers(inspired, n=50)
        theirs = lists[name].predictions().lists
        shared = total = 0
        for example, answer in zip(inspired, answers, strict=True):
            assert answer.call is not None
            assert not answer.call.degraded
            assert (answer.call.latency_ms, answer.call.input_tokens) == (None, None), "they were not recorded"
            assert set(answer.items) <= known
            shared += len(set(answer.items) & set(theirs[example.id]))
            total += len(set(answer.items) | set(theirs[example.id]))
        assert shared / total > least, (name, shared / total)


def test_a_recording_has_nothing_to_say_on_other_examples(
    inspired: list[Example], inspired_items: list[Item], lists: dict[str, RecordedLists]
) -> None:
    from dataclasses import replace

    system = LLMAlone(lists["gpt-4"].replay(), inspired_items)
    (answer,) = system.answers([replace(inspired[0], id="redial_0")], n=5)
    assert answer.call is not None
    assert answer.call.degraded


def test_the_shipped_ranker_behind_the_protocol_gives_the_ranked_row(
    shared_data: Path, inspired: list[Example], inspired_items: list[Item]
) -> None:
    """The row `retriever+ranker` as it is without the protocol, on the first examples."""
    from rarec.assembly import default_bundle
    from rarec.embed.minilm import MiniLMEmbedder
    from rarec.evaluate.neural import RankedSystem, RetrieverSystem, remembering
    from rarec.evaluate.vectors import stored_vectors
    from rarec.ranker.local import LocalRanker

    embedder = remembering(MiniLMEmbedder())
    texts = stored_vectors(shared_data / "embeddings", [item.id for item in inspired_items])
    rows = {item.id: row for row, item in enumerate(inspired_items)}
    retriever = RetrieverSystem.load(default_bundle(), inspired_items, texts, embedder=embedder)
    ranker = LocalRanker.load(default_bundle(), embedder, lambda items: texts[[rows[item.id] for item in items]])
    few = inspired[:3]
    expected = RankedSystem(retriever, ranker).rank(few, n=60)
    behind = RankedByLLM(retriever, ranker, inspired_items, candidates=50, n=50)
    assert behind.rank(few, n=60) == expected
    assert expected != retriever.rank(few, n=60)
