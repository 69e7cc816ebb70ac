"""Catalogues that are not of films: from invented dumps to answers, by recipes alone, and with the next dump."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rarec.catalogue import CatalogueStore
from rarec.cli.app import app
from scripts import ROOT, load_script

runner = CliRunner()
WISHES = {"books": "A mystery for adults, please", "games": "Something with an auction", "shop": "A kettle for camping"}


def rarec(*words: str | Path, code: int = 0, input: str | None = None) -> Result:
    result = runner.invoke(app, [str(word) for word in words], input=input)
    assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
    return result


def document(result: Result) -> Any:
    return json.loads(result.stdout)


@pytest.mark.parametrize("name", ["books", "games", "shop"])
def test_from_dumps_to_a_chat_and_with_the_next_dump(tmp_path: Path, name: str) -> None:
    script = load_script("recipes/corpus/invent.py")
    data, store = tmp_path / "data", tmp_path / "store"
    script.invent(data)
    recipe = ROOT / "recipes" / "corpus" / f"{name}.toml"
    rarec("corpus", "build", recipe, "--folder", data, "--out", tmp_path / "first")
    rarec("init", store, "--layout", name)
    first = document(rarec("corpus", "update", "--store", store, "--corpus", tmp_path / "first", "--json"))
    assert (first["plan"]["added"], first["items"]) == (script.COUNT, script.COUNT)
    assert document(rarec("embed", "--store", store, "--json"))["embedded"] == 0
    with CatalogueStore.open(store / "catalogue.sqlite") as catalogue:
        assert all(item.attributes and item.text and item.popularity >= 0 for item in catalogue)
        assert any(" " in item.text for item in catalogue)
    answer = document(rarec("recommend", WISHES[name], "--store", store, "-n", "5", "--json"))
    assert len(answer["items"]) == 5
    assert not answer["degraded"]
    assert rarec("chat", "--store", store, input=f"{WISHES[name]}\n").stdout.strip()
    script.invent(data, later=True)
    rarec("corpus", "build", recipe, "--folder", data, "--out", tmp_path / "next", "--previous", tmp_path / "first")
    done = document(rarec("corpus", "update", "--store", store, "--corpus", tmp_path / "next", "--json"))["plan"]
    assert (done["added"], done["changed"], done["retired"]) == (
        script.LATER_NEW, script.LATER_CHANGED, script.LATER_GONE,
    )  # fmt: skip
    assert done["texts"] == script.LATER_NEW + script.LATER_CHANGED
