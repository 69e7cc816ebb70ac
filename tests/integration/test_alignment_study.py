"""The study of alignment from its files to its tables, on invented board games."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rarec.assembly import default_bundle
from rarec.conversations import write_jsonl
from rarec.embed.minilm import MiniLMEmbedder
from rarec.retriever.bundle import save_retriever
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.testing.second_domain import second_domain
from scripts import load_script

ROOT = Path(__file__).parents[2]
STUDY = """
format = 1
training = "none.toml"
seeds = [1, 3]
transfer = "top1-pg"
[base.data]
name = "games"
report = "test"
[base.sets]
n = 10
ranked = 5
[base.loop]
iterations = 2
batch = 4
proposal = 20
judged_turns = 6
validate_every = 1
[judges.era-lover]
kind = "simulated"
preset = "era-lover"
kinds = ["mechanics"]
people = ["designers"]
[judges.forgetful]
kind = "simulated"
preset = "forgetful"
kinds = ["mechanics"]
people = ["designers"]
[learners.sft-longer]
name = "sft-longer"
[learners.top1-pg]
name = "top1-pg"
[[variants]]
name = "n = 5"
judges = ["era-lover"]
learners = ["top1-pg"]
sets = { n = 5 }
"""


@pytest.mark.slow
def test_a_study_is_run_gone_on_with_and_made_into_tables(tmp_path: Path) -> None:
    domain = second_domain(3)
    splits = {"train": domain.train[:8], "valid": domain.valid[:6], "test": domain.test[:6]}
    write_jsonl(tmp_path / "data", items=domain.items, splits=splits)
    model = Retriever(RetrieverConfig(text_dimension=384, width=8, item_hidden=8, blocks=1), seed=1)
    out = tmp_path / "runs"
    save_retriever(out / "start", model, embedder=MiniLMEmbedder().name, training={})
    for path in default_bundle().glob("ranker.*"):
        shutil.copyfile(path, out / "start" / path.name)
    (tmp_path / "study.toml").write_text(STUDY)
    command = [
        sys.executable, str(ROOT / "recipes" / "alignment" / "study.py"), str(tmp_path / "study.toml"),
        "--data", str(tmp_path / "data"), "--out", str(out), "--jobs", "1", "--slim",
    ]  # fmt: skip
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    assert "9 of 9 runs" in first.stdout
    assert "6 of 6 bundles elsewhere" in first.stdout
    assert not list(out.glob("*/*/*/*/*/ledger.jsonl"))
    figures = {path: path.read_bytes() for path in out.rglob("figures.json")}
    subprocess.run(command, capture_output=True, text=True, check=True)
    assert {path: path.read_bytes() for path in out.rglob("figures.json")} == figures

    module = load_script("docs/generate_alignment.py")
    document = module.averaged(out)
    rows = document["judges"]["era-lover"]["rows"]
    own = [json.loads(figures[path])["seeds"] for path in figures if "main/era-lover/top1-pg" in path.as_posix()]
    judged = [next(iter(seeds.values()))["after the judge"] for seeds in own]
    assert rows["top1-pg"]["judged"] == pytest.approx(np.mean([one["after"] for one in judged]))
    assert rows["sft"]["judged"] == pytest.approx(np.mean([one["before"] for one in judged]))
    assert rows["top1-pg"]["over"]["sft"]["gain"] == pytest.approx(rows["top1-pg"]["judged"] - rows["sft"]["judged"])
    moved = document["judges"]["forgetful"]["transfer"]
    assert set(moved) == {"era-lover"}
    served = [json.loads((out / "served/forgetful" / f"era-lover-{seed}.json").read_text()) for seed in (1, 3)]
    assert moved["era-lover"]["judged"] == pytest.approx(np.mean([np.mean(one["judged"]) for one in served]))
    assert moved["era-lover"]["seeds"] == 2
    assert set(document["sizes"]["era-lover"]) == {"5", "10"}
    text = module.tables(document)
    gain = rows["top1-pg"]["over"]["sft"]
    assert f"{gain['gain']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]" in text  # in one unit
    assert "### Judge: forgetful" in text
    assert "| era-lover | 5 |" in text
    assert "\n| top1-pg | " in text  # the page has no name of its own for it
    assert "| judge | n | SFT, the start | SFT longer | top1-pg |" in text

    (tmp_path / "study.toml").write_text(STUDY.replace("batch = 4", "batch = 5"))
    changed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert changed.returncode != 0
    assert "other settings than the study" in changed.stderr

    (tmp_path / "study.toml").write_text(STUDY)
    before = {path: path.read_bytes() for path in (out / "served").glob("*/*.json")}
    other = Retriever(RetrieverConfig(text_dimension=384, width=8, item_hidden=8, blocks=1), seed=2)
    bundle = out / "main/era-lover/top1-pg/run-3/seed-3/bundle"
    save_retriever(bundle, other, embedder=MiniLMEmbedder().name, training={})
    with pytest.raises(ValueError, match=r"era-lover-3\.json is of other weights"):
        module.averaged(out)
    subprocess.run(command, capture_output=True, text=True, check=True)
    assert [path for path in before if path.read_bytes() != before[path]] == [out / "served/forgetful/era-lover-3.json"]
    assert not list((out / "served").glob("*/*.jsonl"))
    module.averaged(out)

    path = out / "served/forgetful/era-lover-1.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "turns": document["turns"][::-1]}))
    with pytest.raises(ValueError, match="of other turns"):
        module.averaged(out)
    save_retriever(out / "start", other, embedder=MiniLMEmbedder().name, training={})
    replaced = subprocess.run(command, capture_output=True, text=True, check=False)
    assert replaced.returncode != 0
    assert "is not the one that the runs beside it started from" in replaced.stderr
