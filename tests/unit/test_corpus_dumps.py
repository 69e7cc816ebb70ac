"""Invented dumps: the readers find each film that the truth names, and each line that was broken."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from corpus_sources import read_all
from rarec.corpus.recipe import load_corpus_recipe
from rarec.errors import InputError
from rarec.testing.dumps import DAMAGE, RECIPE, SOURCES, TRUTH, DumpOptions, write_dumps


def told(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dumps")
    write_dumps(folder, DumpOptions(films=1200, seed=3, damaged=0.04, messy=0.1))
    return folder


def test_readers_find_every_film_and_every_broken_line(dumps: Path) -> None:
    found = read_all(dumps / RECIPE)
    keys = defaultdict(set)
    for line in told(dumps / TRUTH):
        if (line["source"], line["planted"]) != ("imdb", "tv"):  # the recipe keeps films
            keys[line["source"]].add(line["key"])
    assert set(keys) == set(SOURCES)
    for name, source in found.items():
        assert len(source.records) == len(source.by_key)
        assert set(source.by_key) == keys[name], name
    broken = {(line["file"], line["line"]) for line in told(dumps / DAMAGE)}
    lost = {place for source in found.values() for place in source.places()}
    assert lost <= broken
    repeated = {(line["file"], line["line"]) for line in told(dumps / DAMAGE) if line["way"] == "repeated"}
    assert {file for file, _ in broken - lost} <= {"title.basics.tsv.gz"}
    assert broken - lost <= repeated  # a series that stands there twice is not read at all
    assert not any(problem.fatal for source in found.values() for problem in source.problems)
    notes = [problem.reason for source in found.values() for problem in source.problems if problem.used]
    assert any("is taken as" in note for note in notes)
    assert any("HTML" in note for note in notes)


def test_sources_agree_about_a_film(dumps: Path) -> None:
    films = {(line["source"], line["key"]): line for line in told(dumps / TRUTH)}
    said: dict[int, dict[str, set[Any]]] = defaultdict(lambda: defaultdict(set))
    for name, source in read_all(dumps / RECIPE).items():
        for record in source.records:
            film = films[name, record.key]
            for namespace, text in record.ids.items():
                if (namespace, film["planted"]) != ("tmdb", "duplicate"):
                    said[film["film"]][namespace].add(text)
            if record.year is not None:
                said[film["film"]]["year"].add(record.year)
    assert all(len(values) == 1 for about in said.values() for values in about.values())
    known = Counter(("imdb", text) for about in said.values() for text in about["imdb"])
    assert max(known.values()) == 1


def test_what_is_planted_is_there(dumps: Path) -> None:
    films = {line["film"]: line["planted"] for line in told(dumps / TRUTH) if line["planted"] != "duplicate"}
    counted = Counter(films.values())
    assert all(counted[planted] > 3 for planted in ("namesake", "twin", "remake", "tv"))
    double = Counter((line["source"], line["film"]) for line in told(dumps / TRUTH))
    assert {source for (source, _), count in double.items() if count > 1} == {"tmdb"}
    records = {record.key: record for record in read_all(dumps / RECIPE)["tmdb"].records}
    titles = defaultdict(list)
    for line in told(dumps / TRUTH):
        if line["source"] == "tmdb" and line["planted"] != "duplicate":
            titles[records[line["key"]].titles[0]].append(line)
    same = [lines for lines in titles.values() if len(lines) > 1]
    assert same
    assert all(len(lines) == 2 and any(line["planted"] for line in lines) for lines in same)


def test_the_same_options_give_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_dumps(tmp_path / name, DumpOptions(films=60, seed=seed, damaged=0.1))
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    content = {name: [(tmp_path / name / file).read_bytes() for file in names] for name in "abc"}
    assert content["a"] == content["b"]
    assert content["a"] != content["c"]


@pytest.mark.parametrize("source", SOURCES)
def test_one_dump_alone_has_a_recipe_that_reads_it(tmp_path: Path, source: str) -> None:
    write_dumps(tmp_path, DumpOptions(films=40, packed=False), sources=[source])
    recipe = load_corpus_recipe(tmp_path / RECIPE)
    assert [one.name for one in recipe.sources] == [source]
    found = read_all(tmp_path / RECIPE)[source]
    assert found.lost == []
    keys = {line["key"] for line in told(tmp_path / TRUTH) if line["planted"] != "tv"}
    assert set(found.by_key) == keys


def test_wrong_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="films must be from 1"):
        DumpOptions(films=0)
    with pytest.raises(InputError, match=r"twins = 1\.5"):
        DumpOptions(twins=1.5)
    with pytest.raises(InputError, match="at most 1"):
        DumpOptions(twins=0.6, tv=0.6)
    with pytest.raises(InputError, match="no dump 'imbd'"):
        write_dumps(tmp_path, sources=["imbd"])


def test_titles_that_are_all_planted_are_still_used_twice_at_most(tmp_path: Path) -> None:
    options = DumpOptions(films=300, namesakes=1, twins=0, remakes=0, tv=0, packed=False)
    write_dumps(tmp_path, options, sources=["imdb"])
    records = read_all(tmp_path / RECIPE)["imdb"].records
    assert max(Counter(record.titles[0] for record in records).values()) == 2
