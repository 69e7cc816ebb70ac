"""A corpus into a store that is being served, and back; its layout; its report; what differs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from corpora import write_corpus
from rarec.catalogue import CatalogueStore
from rarec.cli.app import app
from rarec.pipeline import Recommender
from rarec.service import create_app
from rarec.settings import ServeSettings
from rarec.testing import FakeOpenAIServer
from rarec.types import Item, ItemId
from serving import Running, running

MakeStore = Callable[[str], Path]
runner = CliRunner()


def rarec(*words: str | Path, code: int = 0) -> Result:
    result = runner.invoke(app, [str(word) for word in words])
    assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
    return result


def document(result: Result) -> Any:
    return json.loads(result.stdout)


def items_in(store: Path) -> list[Item]:
    with CatalogueStore.open(store / "catalogue.sqlite") as catalogue:
        return list(catalogue)


def asked(served: Running, text: str) -> tuple[list[str], list[str]]:
    """Ids that are recommended, and those that are mentioned."""
    body = {"messages": [{"role": "user", "content": text}], "n": 50}
    answer = served.ask("POST", "/v1/recommend", body)
    assert answer.status == 200, answer.body
    return [i["id"] for i in answer.json["items"]], [m["item"] for m in answer.json["mentions"]]


TEA = Item(ItemId("tea"), "Zephyr Teahouse", "A story about tea.", 2020, {"genres": ("Drama",)}, 50.0)


def test_a_service_that_runs_follows_an_update_and_the_way_back(
    make_store: MakeStore, tmp_path: Path, small_catalogue: tuple[Item, ...], vector_server: FakeOpenAIServer
) -> None:
    store = make_store("shop")
    rarec("embed", "--store", store)
    first = write_corpus(tmp_path / "first", small_catalogue)
    second = write_corpus(tmp_path / "second", [*small_catalogue[:18], TEA])  # two of twenty go
    with Recommender.open(store) as recommender, running(create_app(recommender, ServeSettings())) as served:
        rarec("corpus", "update", "--store", store, "--corpus", first)
        ids, mentions = asked(served, "I liked the Zephyr Teahouse")
        assert ("tea" in ids, mentions) == (False, [])
        done = document(rarec("corpus", "update", "--store", store, "--corpus", second, "--json"))
        assert {kind: done["plan"][kind] for kind in ("added", "changed", "retired", "texts")} == {
            "added": 1, "changed": 0, "retired": 2, "texts": 1,
        }  # fmt: skip
        before = len(vector_server.requests_to("embeddings"))
        ids, mentions = asked(served, "I liked the Zephyr Teahouse")
        assert mentions == ["tea"]
        assert {item.id for item in small_catalogue[18:]}.isdisjoint(ids)
        assert "tea" in asked(served, "something to drink")[0]
        texts = [text for r in vector_server.requests_to("embeddings")[before:] for text in r.body["input"]]
        assert not any("story about" in text for text in texts)  # the new item had its vector before the turn
        back = document(rarec("corpus", "rollback", "--store", store, "--json"))
        assert (back["removed"], back["returned"], back["left"], back["items"]) == (1, 2, 0, 20)
        ids, mentions = asked(served, "I liked the Zephyr Teahouse")
        assert ("tea" in ids, mentions) == (False, [])
        assert {item.id for item in small_catalogue[18:]} <= set(ids)
    assert items_in(store) == list(small_catalogue)


SERVE = """
import json, sys
from rarec import Conversation, Recommender, Turn
with Recommender.open(sys.argv[1], flags={"llm.kind": "none"}) as recommender:
    for line in sys.stdin:
        answer = recommender.reply(Conversation((Turn("user", line.strip()),)), n=100)
        print(json.dumps([r.item.id for r in answer.items]), flush=True)
"""


def test_a_recommender_in_another_process_follows(
    make_store: MakeStore, tmp_path: Path, small_catalogue: tuple[Item, ...]
) -> None:
    store = make_store("shop")
    corpus = write_corpus(tmp_path / "next", [*small_catalogue, TEA])
    command = [sys.executable, "-c", SERVE, str(store)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin is not None
        assert other.stdout is not None

        def ids() -> list[str]:
            other.stdin.write("anything\n")  # type: ignore[union-attr]
            other.stdin.flush()  # type: ignore[union-attr]
            return list(json.loads(other.stdout.readline()))  # type: ignore[union-attr]

        assert "tea" not in ids()
        rarec("corpus", "update", "--store", store, "--corpus", corpus)
        assert "tea" in ids()
        rarec("corpus", "rollback", "--store", store)
        assert "tea" not in ids()
        other.stdin.close()


def test_an_update_says_what_it_does(make_store: MakeStore, tmp_path: Path, small_catalogue: tuple[Item, ...]) -> None:
    store = make_store("shop")
    assert "No corpus was put" in rarec("corpus", "history", "--store", store).stdout
    first = write_corpus(tmp_path / "first", small_catalogue, name="stories", dumps={"list": "2026-06-01"})
    rarec("corpus", "update", "--store", store, "--corpus", first)
    again = rarec("corpus", "update", "--store", store, "--corpus", first).stdout
    assert "at this corpus already" in again
    second = write_corpus(
        tmp_path / "second", [*small_catalogue[:15], TEA], name="stories", dumps={"list": "2026-05-01"}
    )
    dry = rarec("corpus", "update", "--store", store, "--corpus", second, "--dry-run")
    assert "added  tea Zephyr Teahouse (2020)" in dry.stdout
    assert "Nothing was written" in dry.stdout
    assert dry.stderr.count("refused without --force") == 2
    refused = rarec("corpus", "update", "--store", store, "--corpus", second, code=2)
    assert "5 of the 20 items" in refused.stderr
    assert "of 2026-05-01, the store has that of 2026-06-01" in refused.stderr
    failed = document(rarec("corpus", "update", "--store", store, "--corpus", second, "--json", code=2))
    assert (failed["error"]["type"], failed["plan"]["retired"]) == ("UpdateRefused", 5)
    assert len(items_in(store)) == 20
    rarec("corpus", "update", "--store", store, "--corpus", second, "--force", "--no-embed")
    listed = rarec("corpus", "history", "--store", store).stdout
    assert "16 of stories, 0 by hand" in listed
    assert listed.count("can be taken back") == 2
    rarec("corpus", "rollback", "--store", store)
    history = document(rarec("corpus", "history", "--store", store, "--json"))
    assert [one["taken_back"] is not None for one in history["revisions"]] == [False, True]
    assert history["corpora"] == {"stories": 20}
    rarec("corpus", "rollback", "--store", store)
    assert "nothing to take back" in rarec("corpus", "rollback", "--store", store, code=2).stderr
    assert "no store at" in rarec("corpus", "update", "--store", tmp_path / "no", "--corpus", first, code=3).stderr


def test_a_failing_embedder_changes_nothing(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store("shop")
    before = items_in(store)
    settings = (store / "rarec.toml").read_text()
    (store / "rarec.toml").write_text(settings.replace("dimension = 32", "dimension = 31"))
    corpus = write_corpus(tmp_path / "c", [TEA])
    rarec("corpus", "update", "--store", store, "--corpus", corpus, code=5)
    assert items_in(store) == before
    rarec("corpus", "update", "--store", store, "--corpus", corpus, "--no-embed")
    assert len(items_in(store)) == len(before) + 1


def test_the_layout_of_a_store(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store("shop")
    rarec("embed", "--store", store)
    shown = rarec("layout", "--store", store).stdout
    assert "Salt and Rye (1980)\nGenres: Drama\nCountries: Peru\nA story about rye." in shown
    assert "Layout generic, 20 items." in shown
    own = tmp_path / "own.toml"
    own.write_text('name = "own"\nother_attributes = true\nmax_text_chars = 20\n')
    dry = document(rarec("layout", own, "--store", store, "--dry-run", "--json"))
    longer = [item for item in items_in(store) if len(item.text) > 20]
    assert 0 < len(longer) < 20
    assert (dry["changed"], dry["dry_run"]) == (len(longer), True)
    assert "Layout generic" in rarec("layout", "--store", store).stdout
    changed = document(rarec("layout", own, "--store", store, "--json"))
    assert (changed["layout"], changed["before"], changed["changed"]) == ("own", "generic", len(longer))
    assert document(rarec("embed", "--store", store, "--json"))["embedded"] == 0
    assert "has the layout own already" in rarec("layout", own, "--store", store).stdout
    rarec("layout", "shop", "--store", store, "--no-embed")  # counts tokens, which the endpoint's tokeniser alone knows
    assert document(rarec("layout", "--store", store, "--json"))["layout"] == "shop"
    assert "no layout 'nothing'" in rarec("layout", "nothing", "--store", store, code=2).stderr


@pytest.mark.parametrize("whole", [True, False])
def test_report_and_diff(make_store: MakeStore, tmp_path: Path, small_catalogue: tuple[Item, ...], whole: bool) -> None:
    place = make_store("shop") if whole else write_corpus(tmp_path / "c", small_catalogue, name="shop")
    told = rarec("corpus", "report", place, "--html", tmp_path / "page.html")
    assert "shop: 20 items" in told.stdout
    assert "attributes.genres" in told.stdout
    assert "Scripts: Latin 100.0%" in told.stdout
    assert "<h1>shop</h1>" in (tmp_path / "page.html").read_text()
    found = document(rarec("corpus", "report", place, "--json"))
    assert (found["items"], found["title_year"]["groups"]) == (20, 0)
    other = write_corpus(tmp_path / "other", [*small_catalogue[2:], TEA])
    differs = document(rarec("corpus", "diff", place, other, "--json"))
    assert (differs["added"], differs["retired"], differs["changed"], differs["unchanged"]) == (1, 2, 0, 18)
    assert "retired  salt-and-rye Salt and Rye (1980)" in rarec("corpus", "diff", place, other).stdout
    assert "neither a corpus" in rarec("corpus", "report", tmp_path, code=2).stderr
    assert "make it first" in rarec("corpus", "report", place, "--html", tmp_path / "no" / "x.html", code=2).stderr


def test_a_difference_deep_in_a_text_is_shown_where_it_is(tmp_path: Path) -> None:
    long = "It begins in the same way for everybody who comes to the harbour town in that year. "
    before = write_corpus(tmp_path / "a", [replace(TEA, text=f"{long}They sail.")])
    after = write_corpus(tmp_path / "b", [replace(TEA, text=f"{long}They\nstay.")])
    told = runner.invoke(app, ["corpus", "diff", str(before), str(after)], env={"COLUMNS": "250"}).stdout
    assert f"in {before} -> " in told
    assert "They sail." in told
    assert "They ⏎ stay." in told
    assert "It begins" not in told


def test_what_to_do_next_names_the_store(tmp_path: Path) -> None:
    store, corpus = tmp_path / "my store", write_corpus(tmp_path / "c", [TEA])
    told = rarec("init", store).stdout
    assert f"rarec corpus update --corpus FOLDER --store '{store}'" in told
    told = rarec("corpus", "update", "--store", store, "--corpus", corpus, "--no-embed").stdout
    assert f"To take it back: rarec corpus rollback --store '{store}'" in told
