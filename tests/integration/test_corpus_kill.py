"""A build that is killed: no corpus is there, what was read whole is not read again, and the end is the same."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from corpus_files import write_world
from rarec.corpus.build import build_corpus
from rarec.corpus.recipe import load_corpus_recipe

BUILDER = """
import sys
from pathlib import Path
from rarec.corpus.build import build_corpus
from rarec.corpus.recipe import load_corpus_recipe

def tell(stage, done, total, text):
    print(stage, flush=True)
    if stage.startswith(sys.argv[3]):
        sys.stdin.read()  # until the kill

build_corpus(load_corpus_recipe(sys.argv[1]), Path(sys.argv[2]), progress=tell)
"""


@pytest.mark.parametrize("stage", ["library: library.csv", "compare", "name items", "write items"])
def test_a_killed_build_goes_on(tmp_path: Path, stage: str) -> None:
    shop = [
        {"sku": f"s{n:05}", "name": f"Thing {n // 2} of all", "made": 1990 + n % 3, "by": [f"Ann Lee{n}"], "isbn": ""}
        for n in range(3000)
    ]
    recipe, out = write_world(tmp_path / "dumps", shop=shop), tmp_path / "books"
    command = [sys.executable, "-c", BUILDER, str(recipe), str(out), stage]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as builder:
        assert builder.stdout is not None
        for line in builder.stdout:
            if line.startswith(stage):
                break
        else:
            pytest.fail("the build ended before it could be killed")
        builder.send_signal(signal.SIGKILL)
    assert not out.exists()

    built = build_corpus(load_corpus_recipe(recipe), out, progress=lambda *_: None)
    assert [source.read for source in built.sources] == [False, stage.startswith("library")]
    whole = tmp_path / "whole"
    build_corpus(load_corpus_recipe(recipe), whole, progress=lambda *_: None)
    assert pq.read_table(out / "items.parquet").equals(pq.read_table(whole / "items.parquet"))
    counts = [json.loads((folder / "corpus.json").read_text(encoding="utf-8"))["counts"] for folder in (out, whole)]
    assert counts[0] == counts[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["books", "dumps", "whole"]
