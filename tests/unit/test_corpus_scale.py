"""The measuring of a corpus at size: what it builds from, and how it tells the parts of a process apart."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from rarec.errors import InputError
from rarec.testing.dumps import SOURCES, TRUTH, DumpOptions, write_dumps
from scripts import load_script


@pytest.fixture
def bench() -> ModuleType:
    return load_script("benchmarks/corpus_scale.py")


def test_invented_films_have_no_id_of_a_real_one(tmp_path: Path) -> None:
    names = [name for name in SOURCES if name in ("imdb", "tmdb", "movielens")]
    write_dumps(tmp_path, DumpOptions(films=60, first_id=100_000_000), sources=names)
    told = [json.loads(line) for line in (tmp_path / TRUTH).read_text(encoding="utf-8").splitlines()]
    assert {one["source"] for one in told} == set(names)
    assert all(int(one["key"].removeprefix("tt")) > 100_000_000 for one in told)
    with pytest.raises(InputError, match="first_id"):
        DumpOptions(first_id=-1)


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_real_rows_stand_beside_invented_ones_and_parts_are_told_apart(tmp_path: Path, bench: ModuleType) -> None:
    real = tmp_path / "data" / "corpus"
    write_dumps(real, DumpOptions(films=40, seed=5), sources=["merged"])
    options = argparse.Namespace(films=30, seed=0, data=tmp_path / "data")
    invented = bench.invent(tmp_path / "work" / "dumps", options)
    assert (invented.name, invented.note) == ("invent the dumps", "30 films")
    steps = bench.build(tmp_path / "work")
    assert [step.name for step in steps] == ["read and stage", "compare", "resolve", "name", "merge and write"]
    assert all(step.peak_mb > 10 and step.cpu_seconds >= 0 for step in steps)
    manifest = json.loads((tmp_path / "work" / "corpus" / "corpus.json").read_text(encoding="utf-8"))
    assert manifest["sources"]["merged"]["records"] > 0
    assert manifest["counts"]["items"] >= 30 + manifest["sources"]["merged"]["records"]
