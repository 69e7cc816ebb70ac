"""rarec promote: its table, exit codes, record and way back, on a store whose embedder answers over HTTP."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from rarec.cli.app import app
from rarec.conversations import write_jsonl
from rarec.retriever.bundle import load_retriever, read_manifest, save_retriever
from rarec.settings import StorePaths
from rarec.types import Conversation, Item, Mention, Turn

runner = CliRunner(env={"COLUMNS": "200"})


def rarec(*words: str | Path, code: int = 0) -> Result:
    result = runner.invoke(app, [str(word) for word in words])
    assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
    return result


@pytest.fixture
def store(make_store: Callable[[str], Path], small_catalogue: tuple[Item, ...], tmp_path: Path) -> Path:
    """A store, a data set with one right answer, and two bundles that were trained on nothing."""
    store = make_store("store")
    bundle = store / "bundle"
    name = read_manifest(bundle, "retriever").embedder
    for kind, seed in (("one", 1), ("other", 2)):
        shutil.copytree(bundle, tmp_path / kind)
        model = load_retriever(bundle, embedder=name)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weights in model.parameters():
                weights.add_(torch.randn(weights.shape, generator=generator))
        save_retriever(tmp_path / kind, model, embedder=name, training={})
    ids = [item.id for item in small_catalogue]
    talks = [
        Conversation(
            (Turn("user", "Like this?", (Mention(ids[n % 5]),)), Turn("assistant", "So.", (Mention(ids[10]),))), f"t{n}"
        )
        for n in range(130)
    ]
    write_jsonl(tmp_path / "data", items=small_catalogue, splits={"train": talks[:10], "valid": talks[10:]})
    with (store / "rarec.toml").open("a") as file:
        file.write('[llm]\nkind = "none"\n[recommend]\ncandidates = 10\n')
    return store


def test_promote_refuse_and_roll_back(store: Path, tmp_path: Path) -> None:
    given = ("--store", store, "--data", tmp_path / "data", "--data-set", "teas", "--threads", "1")
    tried = {
        kind: json.loads(
            runner.invoke(app, ["promote", str(tmp_path / kind), *map(str, given), "--dry-run", "--json"]).stdout
        )
        for kind in ("one", "other")
    }
    # The better of the two takes the worse one's place, whatever was live before.
    worse, better = sorted(tried, key=lambda kind: tried[kind]["new"])
    assert tried[worse]["new"] < tried[better]["new"]
    assert StorePaths(store).bundle == store / "bundle"
    shutil.rmtree(store / "bundle")
    shutil.copytree(tmp_path / worse, store / "bundle")

    said = rarec("promote", tmp_path / better, *given, "--dry-run").stdout
    assert "Would be promoted: it is better." in said
    assert StorePaths(store).bundle == store / "bundle"
    said = rarec("promote", tmp_path / better, *given).stdout
    for part in ("turns, dialogues", "120, 120", "98% interval by dialogue", "allowed loss", "Promoted: it is better."):
        assert part in said
    live = StorePaths(store).bundle
    assert read_manifest(live, "retriever").sha256 == read_manifest(tmp_path / better, "retriever").sha256
    assert (live / "ranker.json").exists()
    assert "retriever with" in rarec("doctor", "--store", store).stdout

    refused = rarec("promote", tmp_path / worse, *given, code=7)
    assert "Refused: it is worse." in refused.stdout
    assert "decided on 2 new bundles" in refused.stdout
    document = json.loads(rarec("promote", tmp_path / worse, *given, "--json", code=7).stdout)
    assert (document["promoted"], document["switched"], document["dialogues"]) == (False, False, 120)
    assert document["low"] <= document["gain"] <= document["high"] < 0
    assert StorePaths(store).bundle == live
    wide = json.loads(rarec("promote", tmp_path / worse, *given, "--margin", "0.5", "--json", code=7).stdout)
    assert wide["margin"] == pytest.approx(0.5 * wide["live"])

    assert "is live again" in rarec("promote", "--rollback", "--store", store).stdout
    assert StorePaths(store).bundle == store / "bundle"
    rarec("promote", "--rollback", "--store", store, code=2)
    events = [json.loads(line)["event"] for line in (store / "promotion" / "decisions.jsonl").read_text().splitlines()]
    assert events.count("promotion") == events.count("rollback") == 1


def test_a_recipe_brings_data_and_judge(store: Path, tmp_path: Path) -> None:
    (tmp_path / "teas.toml").write_text(
        '[data]\nname = "teas"\nfolder = "data"\n[judge]\nkind = "local"\n[sets]\nn = 5\nranked = 5\n'
    )
    given = ("--store", store, "--recipe", tmp_path / "teas.toml", "--threads", "1", "--dry-run", "--json")
    result = runner.invoke(app, [str(word) for word in ("promote", tmp_path / "one", *given)])
    assert result.exit_code in (0, 7)
    assert json.loads(result.stdout)["turns"] == 120
    assert len(list((store / "promotion" / "asked").glob("ledger-*.jsonl"))) == 2
    wrong = rarec("promote", tmp_path / "one", *given, "--split", "test", code=2)
    assert "test split" in wrong.stderr
    same = rarec("promote", tmp_path / "one", *given, "--split", "train", code=2)
    assert "learns from that split" in same.stderr
    recipe = (tmp_path / "teas.toml").read_text()
    (tmp_path / "teas.toml").write_text(
        recipe.replace('"data"\n', '"data"\ntuning = "dev"\nreport = "valid"\n').replace("n = 5", "n = 4")
    )
    result = runner.invoke(app, [str(word) for word in ("promote", tmp_path / "one", *given, "--split", "valid")])
    assert json.loads(result.stdout)["turns"] == 120  # that alignment measures on a split does not hinder it


def test_what_is_wrong_is_said(store: Path, tmp_path: Path) -> None:
    one = tmp_path / "one"
    assert "--data-set NAME, or --recipe" in rarec("promote", one, "--store", store, code=2).stderr
    assert "name the folder" in rarec("promote", "--store", store, code=2).stderr
    assert "takes neither" in rarec("promote", one, "--rollback", "--store", store, code=2).stderr
    both = ("--recipe", "x.toml", "--data-set", "teas")
    assert "do not go together" in rarec("promote", one, "--store", store, *both, code=2).stderr
    given = ("--store", store, "--data", tmp_path / "data", "--data-set", "teas")
    assert "same weights" in rarec("promote", store / "bundle", *given, code=2).stderr
    assert "there is no folder" in rarec("promote", tmp_path / "nothing", *given, code=3).stderr
    assert "margin" in rarec("promote", one, *given, "--margin", "-1", code=2).stderr
    assert "no store" in rarec("promote", one, "--data-set", "teas", "--store", tmp_path / "no", code=3).stderr


def test_what_an_endpoint_would_cost_is_said_before_it_is_asked(store: Path, tmp_path: Path) -> None:
    text = (
        '[data]\nname = "teas"\nfolder = "data"\n[judge]\nkind = "endpoint"\nmodel = "m"\n'
        'base_url = "http://127.0.0.1:9"\napi_key_env = "NO_SUCH_KEY"\n[sets]\nn = 5\nranked = 5\n'
        "[budget]\ncalls = 239\n[judge.prices]\ninput = 1.0\noutput = 2.0\n"
    )
    (tmp_path / "teas.toml").write_text(text)
    given = ("--store", store, "--recipe", tmp_path / "teas.toml", "--threads", "1")
    said = rarec("promote", tmp_path / "one", *given, "--plan").stdout
    assert "240 = 120 under the live bundle + 120 under the new one; 0 are answered" in said
    assert "budget.calls = 239 is less than these calls" in said
    assert re.search(r"money, at most +\S [0-9.]+ USD", said)
    document = json.loads(rarec("promote", tmp_path / "one", *given, "--plan", "--json").stdout)
    assert (document["calls"], document["turns"], document["items"]) == (240, 120, 20)
    assert 0 < document["usd"] < document["usd_most"]
    assert not list((store / "promotion").glob("asked/*"))
    assert not (store / "promotion" / "decisions.jsonl").exists()

    refused = rarec("promote", tmp_path / "one", *given, "--dry-run", "--json", code=2)  # there is no key
    assert "240 = 120 under the live bundle" in refused.stderr.partition("NO_SUCH_KEY")[0]
    assert list(json.loads(refused.stdout)) == ["error"]

    (tmp_path / "teas.toml").write_text(text.partition("[judge]")[0] + '[judge]\nkind = "local"\n')
    local = rarec("promote", tmp_path / "one", *given, "--plan").stdout
    assert "nothing" in local
    alone = ("--store", store, "--data", tmp_path / "data", "--data-set", "teas", "--plan")
    assert re.search(r"calls +\S none", rarec("promote", tmp_path / "one", *alone).stdout)
