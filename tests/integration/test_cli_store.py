"""init, import, embed and doctor on real stores."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet
from typer.testing import CliRunner, Result

from rarec.catalogue import CatalogueStore
from rarec.cli.app import app
from rarec.embed import OpenAIEmbedder
from rarec.errors import SettingsError
from rarec.pipeline import Recommender
from rarec.testing import FakeOpenAIServer
from rarec.types import Conversation, Item, ItemId, Turn

MakeStore = Callable[[str], Path]
runner = CliRunner()


def rarec(*words: str | Path, code: int = 0, input: str | None = None) -> Result:
    result = runner.invoke(app, [str(word) for word in words], input=input)
    assert result.exit_code == code, f"{result.stdout}\n{result.stderr}\n{result.exception!r}"
    return result


def document(result: Result) -> Any:
    return json.loads(result.stdout)


def items_in(store: Path) -> list[Item]:
    with CatalogueStore.open(store / "catalogue.sqlite") as catalogue:
        return list(catalogue)


@pytest.fixture
def empty(tmp_path: Path, small_bundle: Path) -> Path:
    rarec("init", tmp_path / "empty", "--bundle", small_bundle)
    return tmp_path / "empty"


# init


def test_init_makes_a_store(tmp_path: Path, small_bundle: Path) -> None:
    made = rarec("init", tmp_path / "s", "--bundle", small_bundle, "--layout", "film", "--json")
    assert document(made) == {
        "store": str(tmp_path / "s"), "items": 0, "layout": "film", "settings": str(tmp_path / "s" / "rarec.toml"),
    }  # fmt: skip
    assert sorted(p.name for p in (tmp_path / "s" / "bundle").iterdir()) == sorted(
        p.name for p in small_bundle.iterdir()
    )


def test_init_with_the_starter_catalogue(tmp_path: Path, small_bundle: Path) -> None:
    text = rarec("init", tmp_path / "s", "--bundle", small_bundle, "--starter").stdout
    assert "layout film" in text
    assert "rarec embed --store" in text
    assert len(items_in(tmp_path / "s")) > 1000


def test_init_never_touches_a_store(empty: Path, small_bundle: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in empty.rglob("*") if p.is_file()}
    failed = rarec("init", empty, "--bundle", small_bundle, "--starter", "--json", code=3)
    assert document(failed)["error"]["type"] == "StoreError"
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_init_with_a_wrong_layout_or_bundle_makes_nothing(tmp_path: Path, small_bundle: Path) -> None:
    assert (
        "no layout 'nonsense'"
        in rarec("init", tmp_path / "s", "--bundle", small_bundle, "--layout", "nonsense", code=2).stderr
    )
    assert "rarec train" in rarec("init", tmp_path / "s", "--bundle", tmp_path / "none", code=2).stderr
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("kind", ["retriever", "ranker"])
def test_init_with_a_damaged_bundle_makes_nothing(tmp_path: Path, small_bundle: Path, kind: str) -> None:
    broken = shutil.copytree(small_bundle, tmp_path / "broken")
    weights = broken / f"{kind}.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    assert f"{kind}.safetensors in" in rarec("init", tmp_path / "s", "--bundle", broken, code=3).stderr
    assert not (tmp_path / "s").exists()


def test_a_wrong_ranker_is_told_before_anything_is_embedded(
    make_store: MakeStore, vector_server: FakeOpenAIServer
) -> None:
    store = make_store("s")
    (store / "bundle" / "ranker.safetensors").write_bytes(b"")
    before = len(vector_server.requests)
    assert "ranker.safetensors" in rarec("recommend", "anything", "--store", store, code=3).stderr
    assert len(vector_server.requests) == before


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"llm.template": "nowhere.toml"}, "nowhere.toml"),
        ({"llm.template": "opera"}, "opera"),
        ({"llm.kind": "http", "llm.model": "m", "llm.api_key_env": "NO_SUCH_KEY"}, "'NO_SUCH_KEY' named by"),
    ],
)
def test_wrong_settings_of_the_model_are_told_before_anything_is_embedded(
    make_store: MakeStore, vector_server: FakeOpenAIServer, flags: dict[str, str], says: str
) -> None:
    store, before = make_store("s"), len(vector_server.requests)
    with pytest.raises(SettingsError, match=says):
        Recommender.open(store, flags=flags)
    assert len(vector_server.requests) == before
    with Recommender.open(store, flags={"llm.kind": "none"}):
        assert len(vector_server.requests) > before


def test_the_store_can_be_named_by_the_environment(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAREC_STORE", str(empty))
    assert document(rarec("embed", "--json"))["items"] == 0


# import


def test_import_maps_columns_and_counts(empty: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("movie_id,name,genre\n7,Paper Lions,Drama|War\n8,Marzipan,\n", encoding="utf-8")
    words = ["import", table, "--store", empty, "--map", "id=movie_id", "--map", "title=name"]
    words += ["--map", "attributes.genres=genre"]
    assert document(rarec(*words, "--json")) == {"added": 2, "updated": 0, "unchanged": 0, "rejected": [], "items": 2}
    assert items_in(empty)[0] == Item(ItemId("7"), "Paper Lions", attributes={"genres": ("Drama", "War")})
    assert document(rarec(*words, "--json"))["unchanged"] == 2
    shown = rarec(*words).stdout
    assert "unchanged" in shown
    assert "2" in shown


def bad_table(path: Path, good: int, bad: int) -> Path:
    rows = [json.dumps({"id": f"g{i}", "title": f"Good {i}"}) for i in range(good)]
    path.write_text("\n".join(rows + [json.dumps({"id": f"b{i}", "title": ""}) for i in range(bad)]), encoding="utf-8")
    return path


def test_a_refused_row_stops_the_import(empty: Path, tmp_path: Path) -> None:
    table, rejected = bad_table(tmp_path / "t.jsonl", 3, 25), tmp_path / "rejected.jsonl"
    failed = rarec("import", table, "--store", empty, "--rejected", rejected, code=2)
    assert items_in(empty) == []
    assert failed.stderr.count("title is empty") == 20
    assert "line 4: title is empty" in failed.stderr
    assert "and 5 more" in failed.stderr
    assert "25 rows refused, nothing imported" in failed.stderr
    assert "--skip-bad" in failed.stderr
    rows = [json.loads(line) for line in rejected.read_text(encoding="utf-8").splitlines()]
    assert [row["line"] for row in rows] == list(range(4, 29))


def test_refused_rows_as_json_are_all_there(empty: Path, tmp_path: Path) -> None:
    failed = rarec("import", bad_table(tmp_path / "t.jsonl", 1, 25), "--store", empty, "--json", code=2)
    assert document(failed)["error"]["type"] == "ImportRejected"
    assert [row["line"] for row in document(failed)["rejected"]] == list(range(2, 27))


def test_skip_bad_imports_the_rest(empty: Path, tmp_path: Path) -> None:
    table = bad_table(tmp_path / "t.jsonl", 3, 2)
    done = document(rarec("import", table, "--store", empty, "--skip-bad", "--json"))
    assert (done["added"], [row["line"] for row in done["rejected"]]) == (3, [4, 5])
    assert "line 5: title is empty" in rarec("import", table, "--store", empty, "--skip-bad").stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--map", "id"], "not FIELD=COLUMN"),
        (["--map", "id=a", "--map", "id=b"], "two columns"),
        (["--map", "colour=a"], "unknown field 'colour'"),
        (["--source", "corpus", "--map", "id=a"], "do not go with --source corpus"),
        (["--format", "xml"], "xml"),
    ],
)
def test_wrong_import_options(empty: Path, tmp_path: Path, words: list[str], message: str) -> None:
    table = bad_table(tmp_path / "t.jsonl", 1, 0)
    assert message in rarec("import", table, "--store", empty, *words, code=2).stderr
    assert items_in(empty) == []


def test_import_without_a_file_or_store(empty: Path, tmp_path: Path) -> None:
    rarec("import", tmp_path / "none.jsonl", "--store", empty, code=2)
    (tmp_path / "t.jsonl").write_text("", encoding="utf-8")
    assert "no rows" in rarec("import", tmp_path / "t.jsonl", "--store", empty, code=2).stderr
    assert "rarec init" in rarec("import", tmp_path / "t.jsonl", "--store", tmp_path / "none", code=3).stderr


def test_the_movie_corpus_has_its_own_reader(empty: Path, tmp_path: Path) -> None:
    corpus = pyarrow.table(
        {"id": [0, 1], "title": ["Quiet Harbour", "Nine Lanterns"], "year": [1999, None], "plot": ["A port.", None],
         "genres": [["Drama"], []], "imdb_votes": [50, 40]}
    )  # fmt: skip
    parquet.write_table(corpus, tmp_path / "movies.parquet")
    done = document(rarec("import", tmp_path / "movies.parquet", "--source", "corpus", "--store", empty, "--json"))
    assert done["added"] == 2
    assert items_in(empty)[0] == Item(
        ItemId("0"), "Quiet Harbour", "A port.", 1999, {"genres": ("Drama",)}, popularity=50.0
    )


# import --embed


def rows_of_new_items(path: Path, count: int = 3) -> Path:
    rows = [{"id": f"n{i}", "title": f"Zephyr {i}", "text": f"Boats of kind {i}."} for i in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def embedded_texts(server: FakeOpenAIServer, start: int) -> str:
    return json.dumps([request.body for request in server.requests_to("embeddings")[start:]])


def test_import_can_embed_before_a_running_recommender_sees_the_items(
    make_store: MakeStore, tmp_path: Path, vector_server: FakeOpenAIServer
) -> None:
    store, table = make_store("s"), rows_of_new_items(tmp_path / "t.jsonl")
    conversation = Conversation((Turn("user", "boats"),))
    with Recommender.open(store, flags={"llm.kind": "none"}) as serving:
        before = len(vector_server.requests_to("embeddings"))
        done = document(rarec("import", table, "--store", store, "--embed", "--json"))
        assert (done["added"], done["embedded"]) == (3, 3)
        assert "Zephyr 2" in embedded_texts(vector_server, before)
        before = len(vector_server.requests_to("embeddings"))
        found = {ranked.item.id for ranked in serving.reply(conversation, n=50).items}
        assert {"n0", "n1", "n2"} <= found
        assert "boats" in embedded_texts(vector_server, before)
        assert "Zephyr" not in embedded_texts(vector_server, before)
    assert "Embedded 0 new texts" in rarec("import", table, "--store", store, "--embed").stdout


def test_nothing_is_embedded_for_a_file_that_is_refused(
    make_store: MakeStore, tmp_path: Path, vector_server: FakeOpenAIServer
) -> None:
    store, table = make_store("s"), bad_table(tmp_path / "t.jsonl", 3, 1)
    before = len(vector_server.requests_to("embeddings"))
    rarec("import", table, "--store", store, "--embed", code=2)
    assert len(vector_server.requests_to("embeddings")) == before
    done = document(rarec("import", table, "--store", store, "--embed", "--skip-bad", "--json"))
    assert (done["added"], done["embedded"]) == (3, 3)


def test_nothing_is_imported_that_could_not_be_embedded(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, table = make_store("s"), rows_of_new_items(tmp_path / "t.jsonl")
    os.mkfifo(tmp_path / "pipe.jsonl")
    assert "read three times" in rarec("import", "--help").stdout
    assert (
        "reads the file three times"
        in rarec("import", tmp_path / "pipe.jsonl", "--store", store, "--embed", code=2).stderr
    )
    monkeypatch.setenv("RAREC_EMBEDDER__BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("RAREC_EMBEDDER__MAX_RETRIES", "0")
    rarec("import", table, "--store", store, "--embed", code=5)
    assert len(items_in(store)) == 20


def test_the_movie_corpus_can_be_embedded_too(make_store: MakeStore, tmp_path: Path) -> None:
    corpus = pyarrow.table({"id": [0], "title": ["Quiet Harbour"], "year": [1999], "plot": ["A port."]})
    parquet.write_table(corpus, tmp_path / "movies.parquet")
    words = ["import", tmp_path / "movies.parquet", "--source", "corpus", "--store", make_store("s"), "--embed"]
    assert document(rarec(*words, "--json"))["embedded"] == 1


# embed


def test_embed_once(make_store: MakeStore, vector_server: FakeOpenAIServer) -> None:
    store = make_store("s")
    first = document(rarec("embed", "--store", store, "--json"))
    assert (first["items"], first["embedded"], first["seeded"]) == (20, 20, 0)
    assert first["embedder"].startswith("openai:words@")
    asked = len(vector_server.requests_to("embeddings"))
    assert document(rarec("embed", "--store", store, "--json"))["embedded"] == 0
    assert len(vector_server.requests_to("embeddings")) == asked
    assert "20 items have a vector, 0 of them new" in rarec("embed", "--store", store).stdout


def test_ctrl_c_keeps_what_is_embedded(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store("s")

    @contextmanager
    def impatient(text: str, *, unit: str) -> Iterator[Callable[[int, int], None]]:
        def stop(done: int, total: int) -> None:
            if done:
                raise KeyboardInterrupt

        yield stop

    monkeypatch.setattr("rarec.assembly.EMBED_CHUNK", 8)
    with monkeypatch.context() as patched:
        patched.setattr("rarec.cli.embed.counting", impatient)
        stopped = rarec("embed", "--store", store, code=130)
    assert "What was embedded is kept; run the same command again to go on." in stopped.stderr
    assert document(rarec("embed", "--store", store, "--json"))["embedded"] == 12


def seeds(folder: Path, items: tuple[Item, ...], server: FakeOpenAIServer, *, wrong: bool = False) -> list[Path]:
    from rarec.catalogue import item_text

    texts = [item_text(item) for item in items]
    with OpenAIEmbedder("words", base_url=server.url, dimension=32) as embedder:
        vectors = embedder.embed(texts[::-1] if wrong else texts)
    parquet.write_table(pyarrow.table({"text": texts}), folder / "texts.parquet")
    np.save(folder / "vectors.npy", vectors.astype(np.float16))
    return [folder / "texts.parquet", folder / "vectors.npy"]


def test_ready_vectors_are_taken_over(
    make_store: MakeStore, tmp_path: Path, small_catalogue: tuple[Item, ...], vector_server: FakeOpenAIServer
) -> None:
    texts, vectors = seeds(tmp_path, small_catalogue[:15], vector_server)
    store = make_store("s")
    done = document(rarec("embed", "--store", store, "--seed-texts", texts, "--seed-vectors", vectors, "--json"))
    assert (done["seeded"], done["embedded"]) == (15, 5)


def test_wrong_vectors_are_refused(
    make_store: MakeStore, tmp_path: Path, small_catalogue: tuple[Item, ...], vector_server: FakeOpenAIServer
) -> None:
    texts, vectors = seeds(tmp_path, small_catalogue, vector_server, wrong=True)
    words = ["embed", "--store", make_store("s"), "--seed-texts"]
    assert "another model" in rarec(*words, texts, "--seed-vectors", vectors, code=2).stderr
    assert "go together" in rarec(*words, texts, code=2).stderr
    assert "no file" in rarec(*words, tmp_path / "none", "--seed-vectors", vectors, code=2).stderr
    assert "Parquet" in rarec(*words, vectors, "--seed-vectors", vectors, code=2).stderr
    assert ".npy" in rarec(*words, texts, "--seed-vectors", texts, code=2).stderr


def test_an_embedder_that_cannot_be_reached(make_store: MakeStore) -> None:
    store = make_store("s")
    settings = '[embedder]\nkind = "openai"\nmodel = "words"\nbase_url = "http://127.0.0.1:9/v1"\nmax_retries = 0\n'
    (store / "rarec.toml").write_text(settings, encoding="utf-8")
    assert "127.0.0.1:9" in rarec("embed", "--store", store, code=5).stderr


# doctor


def checks(result: Result) -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in document(result)["checks"]}


def test_doctor_of_a_good_store(make_store: MakeStore) -> None:
    store = make_store("s")
    found = checks(rarec("doctor", "--store", store, "--json"))
    assert found["embeddings"]["status"] == "warn"
    assert found["embeddings"]["remedy"] == f"run: rarec embed --store {store}"
    rarec("embed", "--store", store)
    after = rarec("doctor", "--store", store, "--json")
    assert document(after)["ok"] is True
    found = checks(after)
    assert found["embeddings"]["detail"] == "20 of 20 texts have a vector"
    assert found["language model"]["detail"] == "local-ranker ranks"
    assert {
        "python",
        "extra serve",
        "extra train",
        "threads",
        "settings",
        "disk",
        "store",
        "embedder",
        "bundle",
    } <= set(found)
    shown = rarec("doctor", "--store", store).stdout
    assert "20 items, layout generic" in shown


def test_doctor_without_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAREC_STORE", raising=False)
    assert checks(rarec("doctor", "--json"))["store"]["status"] == "warn"
    failed = rarec("doctor", "--store", tmp_path / "none", "--json", code=3)
    assert document(failed)["ok"] is False
    assert checks(failed)["store"]["remedy"].startswith("make one with: rarec init")


def test_doctor_finds_a_damaged_bundle(make_store: MakeStore) -> None:
    store = make_store("s")
    weights = store / "bundle" / "retriever.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    found = checks(rarec("doctor", "--store", store, "--json", code=3))
    assert found["bundle"]["status"] == "fail"
    assert "damaged" in found["bundle"]["detail"]
    assert found["bundle"]["remedy"]
    assert found["store"]["status"] == "ok", "one failure leaves the others standing"


def test_doctor_finds_a_foreign_embedder(make_store: MakeStore) -> None:
    store = make_store("s")
    settings = (store / "rarec.toml").read_text(encoding="utf-8")
    (store / "rarec.toml").write_text(settings + "max_chars = 99\n", encoding="utf-8")
    found = checks(rarec("doctor", "--store", store, "--json", code=3))
    assert "was trained with the embedder" in found["bundle"]["detail"]


def test_doctor_finds_wrong_settings_and_a_file_that_is_no_store(make_store: MakeStore) -> None:
    store = make_store("s")
    (store / "rarec.toml").write_text("[llm]\nkind = 3\n", encoding="utf-8")
    assert checks(rarec("doctor", "--store", store, "--json", code=2))["settings"]["status"] == "fail"
    other = make_store("t")
    (other / "catalogue.sqlite").write_text("not a database", encoding="utf-8")
    assert checks(rarec("doctor", "--store", other, "--json", code=3))["store"]["status"] == "fail"


def test_doctor_asks_a_remote_model_only_when_told(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store("s")
    monkeypatch.setenv("RAREC_LLM__KIND", "http")
    monkeypatch.setenv("RAREC_LLM__MODEL", "fake")
    with FakeOpenAIServer(["Yes."]) as server:
        monkeypatch.setenv("RAREC_LLM__BASE_URL", server.url)
        assert "not asked" in checks(rarec("doctor", "--store", store, "--json"))["language model"]["detail"]
        assert server.requests == []
        assert "answered" in checks(rarec("doctor", "--store", store, "--llm", "--json"))["language model"]["detail"]
    failed = checks(rarec("doctor", "--store", store, "--llm", "--json", code=6))
    assert failed["language model"]["status"] == "fail"
