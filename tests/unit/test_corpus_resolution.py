"""The measuring of the resolver: its counts, what the film corpus is taken apart into, and its judged pairs."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rarec.corpus.build import build_corpus
from rarec.corpus.recipe import load_corpus_recipe
from scripts import ROOT, load_script

ROW: dict[str, Any] = {
    "id": 5,
    "title": "Grey Harbour",
    "year": 1990,
    "genres": ["Drama"],
    "directors": ["Ann Lee"],
    "cast": ["Bo Marsh", "Ann Lee"],
    "imdb_id": "tt1",
    "tmdb_id": 7,
    "ml_ids": [11, 12],
    "letterboxd_slugs": ["grey-harbour"],
    "imdb_votes": 3,
    "tmdb_vote_count": None,
    "language": "en",
    "sources": ["imdb100", "kaggle_movies", "ml25m", "wikipedia", "netflix", "imdb2005", "letterboxd"],
}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return load_script("benchmarks/corpus_resolution.py")


def test_a_row_is_taken_apart_into_what_each_source_would_say(bench: ModuleType) -> None:
    said = {f"{record.source}:{record.key}": record for record in bench.records_of(ROW)}
    assert list(said) == [
        "imdb:tt1", "tmdb:7-5", "movielens:11", "movielens:12", "letterboxd:grey-harbour-5", "wikipedia:w5",
        "netflix:n5", "list2005:m5",
    ]  # fmt: skip
    assert said["imdb:tt1"].people == ("Ann Lee",)
    assert dict(said["movielens:12"].ids) == {"movielens": "12", "imdb": "tt1", "tmdb": "7"}
    assert (dict(said["wikipedia:w5"].ids), said["wikipedia:w5"].people) == ({}, ("Bo Marsh", "Ann Lee"))
    assert said["list2005:m5"].people == ()
    assert [record.titles for record in bench.records_of({**ROW, "title": "nan"})] == [()] * 8


def test_pairs_things_and_groups_are_counted(bench: ModuleType) -> None:
    class Nothing:
        joined: tuple[Any, ...] = ()

        class refused:
            reason: tuple[int, ...] = ()

    things, labels = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 2, 2, 4, 5], np.int32)
    found = bench.figures(bench.Resolved(Nothing(), things, labels))
    assert (found["precision_of_pairs"]["share"], found["precision_of_pairs"]["n"]) == (0.5, 2)
    assert (found["recall_of_pairs"]["share"], found["recall_of_pairs"]["n"]) == (0.25, 4)
    assert (found["things_in_one_group"]["share"], found["things_in_one_group"]["n"]) == (round(1 / 3, 5), 3)
    assert (found["groups_of_one_thing"]["share"], found["groups_of_one_thing"]["n"]) == (0.75, 4)


def test_planted_films_come_together_and_stay_apart(bench: ModuleType) -> None:
    found = bench.planted(400, hidden=False)
    assert found["precision_of_pairs"]["share"] > 0.999
    assert found["recall_of_pairs"]["low"] > 0.9
    assert found["planted"]["namesake"]["apart_from_others"]["share"] == 1.0
    hidden = bench.planted(400, hidden=True)
    assert hidden["precision_of_pairs"]["share"] > 0.99
    assert 0.6 < hidden["recall_of_pairs"]["share"] < found["recall_of_pairs"]["share"]


def test_the_judged_pairs_are_of_rows_verdicts_and_known_reasons() -> None:
    document = json.loads((ROOT / "benchmarks" / "data" / "corpus_pairs.json").read_text(encoding="utf-8"))
    pairs = document["pairs"]
    assert len({(one, other) for one, other, *_ in pairs}) == len(pairs) == 959
    assert {verdict for _, _, verdict, _, _ in pairs} == {"duplicate", "namesake", "unknown"}
    assert {reason for *_, reason, _ in pairs} <= set(document["reasons"])
    assert sum(by_hand for *_, by_hand in pairs) >= 150


def test_the_folder_of_the_parts_builds_as_a_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    apart = load_script("benchmarks/corpus_apart.py")
    rows = [
        {
            **ROW,
            "id": n,
            "title": f"Film {n}",
            "imdb_id": f"tt{n}",
            "tmdb_id": n,
            "ml_ids": [n],
            "letterboxd_slugs": [f"film-{n}"],
        }
        for n in range(1, 4)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "movies.parquet")
    counts = apart.write_folder(tmp_path / "movies.parquet", tmp_path / "apart")
    assert {source for source, count in counts.items() if count == 3} == {
        "imdb", "tmdb", "movielens", "letterboxd", "wikipedia", "netflix", "list2005"
    }  # fmt: skip
    recipe = load_corpus_recipe(tmp_path / "apart" / "recipe.toml")
    built = build_corpus(recipe, tmp_path / "out", progress=lambda *_: None)
    assert (built.written.items, built.written.records) == (3, 21)
    assert {source.problems for source in built.sources if source.records} == {0}
