"""Making a store and opening it: what is missing, damaged or wrong is said at once, and nothing is left open."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rarec.assembly import create_store, default_bundle
from rarec.catalogue import CatalogueStore
from rarec.embed import OpenAIEmbedder
from rarec.errors import BundleError, InputError, SettingsError, StoreError
from rarec.pipeline import Recommender
from rarec.ranker.model import Ranker, RankerConfig
from rarec.retriever.bundle import save_model, save_retriever
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.testing import FakeOpenAIServer, ScriptedLLM
from rarec.types import Conversation, Item, ItemId, Recommendation, Turn

HELLO = Conversation((Turn("user", "something with clay"),))


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("RAREC_", "OPENAI_")):
            monkeypatch.delenv(name)


@pytest.fixture
def server() -> Iterator[FakeOpenAIServer]:
    with FakeOpenAIServer(['{"ranking": [2, 1], "reply": "Take [2]."}']) as running:
        yield running


@pytest.fixture
def bundle(tmp_path: Path, server: FakeOpenAIServer) -> Path:
    """An untrained bundle for the embedder that `server` plays."""
    embedder = OpenAIEmbedder("clay", base_url=server.url, dimension=16)
    config = RetrieverConfig(text_dimension=16, width=8, item_hidden=8, blocks=1)
    save_retriever(tmp_path / "made", Retriever(config), embedder=embedder.name, training={})
    shape = RankerConfig(text_dimension=16, width=4, hidden=4)
    save_model(tmp_path / "made", Ranker(shape), kind="ranker", config=shape, embedder=embedder.name, training={})
    return tmp_path / "made"


@pytest.fixture
def store(tmp_path: Path, bundle: Path, server: FakeOpenAIServer) -> Path:
    """A store of pots."""
    paths = create_store(tmp_path / "pots", bundle=bundle)
    paths.settings.write_text(
        f'[embedder]\nkind = "openai"\nmodel = "clay"\ndimension = 16\nbase_url = "{server.url}"\n', encoding="utf-8"
    )
    with CatalogueStore.open(paths.catalogue) as catalogue:
        catalogue.add([Item(ItemId(f"p{i}"), f"Pot {i}", "Clay.", 1900 + i, {}, float(i)) for i in range(9)])
    return paths.root


def test_a_new_store_is_empty_and_has_the_bundle_and_the_settings(tmp_path: Path, bundle: Path) -> None:
    paths = create_store(tmp_path / "a" / "b", layout="film", bundle=bundle)
    assert {p.name for p in paths.bundle.iterdir()} == {p.name for p in bundle.iterdir()}
    assert "[llm]" in paths.settings.read_text(encoding="utf-8")
    with CatalogueStore.open(paths.catalogue) as catalogue:
        assert len(catalogue) == 0
        assert catalogue.layout.name == "film"


def test_an_existing_store_is_refused_and_untouched(store: Path, bundle: Path) -> None:
    before = {p: p.read_bytes() for p in store.rglob("*") if p.is_file()}
    with pytest.raises(StoreError, match=r"there is a store at .* already"):
        create_store(store, bundle=bundle)
    assert {p: p.read_bytes() for p in store.rglob("*") if p.is_file()} == before


def test_settings_that_are_there_are_kept_and_the_bundle_may_lie_in_its_place(tmp_path: Path, bundle: Path) -> None:
    root = tmp_path / "new"
    root.mkdir()
    (root / "rarec.toml").write_text("# mine\n", encoding="utf-8")
    bundle.rename(root / "bundle")
    paths = create_store(root, bundle=root / "bundle")
    assert paths.settings.read_text(encoding="utf-8") == "# mine\n"
    assert (paths.bundle / "retriever.json").is_file()


def test_what_cannot_become_a_store_leaves_nothing_behind(tmp_path: Path, bundle: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / "photos").mkdir()
    with pytest.raises(StoreError, match="cannot make a store"):
        create_store(tmp_path / "file", bundle=bundle)
    for wrong in ("nowhere", "photos", "file"):
        with pytest.raises(InputError, match=f"{wrong}.* is not a bundle folder; train one with: rarec train"):
            create_store(tmp_path / "new", bundle=tmp_path / wrong)
    with pytest.raises(SettingsError, match="no layout 'opera'"):
        create_store(tmp_path / "new", layout="opera", bundle=bundle)
    assert not (tmp_path / "new").exists()


def test_the_packaged_bundle_is_taken_if_none_is_named(tmp_path: Path) -> None:
    if not (default_bundle() / "retriever.json").exists():
        pytest.skip("this checkout has no packaged bundle yet")
    assert (create_store(tmp_path / "s").bundle / "retriever.safetensors").is_file()


def test_a_store_answers_with_its_own_ranker(store: Path) -> None:
    with Recommender.open(store) as recommender:
        answer = recommender.reply(HELLO, n=3)
    assert not answer.degraded
    assert answer.model == "local-ranker"
    assert [r.retriever_rank for r in answer.items] == [1, 2, 3], "an untrained ranker keeps the retriever's order"


def test_progress_tells_of_the_embedding(store: Path) -> None:
    seen: list[tuple[int, int]] = []
    with Recommender.open(store, progress=lambda done, total: seen.append((done, total))):
        pass
    assert seen[-1] == (9, 9)


def assert_alike(found: Recommendation, expected: Recommendation) -> None:
    """Not to the bit: matrix products of other shapes may round otherwise."""
    assert [r.item.id for r in found.items] == [r.item.id for r in expected.items]
    assert [r.score for r in found.items] == pytest.approx([r.score for r in expected.items], abs=1e-5)


def test_a_store_that_is_opened_in_parts_is_the_same(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Recommender.open(store) as whole:
        expected = whole.reply(HELLO, n=9)
    (store / "embeddings.sqlite").unlink()
    monkeypatch.setattr("rarec.assembly.AT_ONCE", 4)
    seen: list[tuple[int, int]] = []
    with Recommender.open(store, progress=lambda done, total: seen.append((done, total))) as parts:
        found = parts.reply(HELLO, n=9)
        assert len(parts.engine.index) == 9
    assert_alike(found, expected)
    assert seen[-1] == (9, 9)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_store_that_grows_much_while_it_answers_is_taken_over_in_parts(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rarec.assembly.AT_ONCE", 4)
    with Recommender.open(store) as live:
        asked: list[int] = []
        embed = live.engine.embedder.embed

        def counted(texts: Sequence[str], **more: Any) -> NDArray[np.float32]:
            asked.append(len(texts))
            return embed(texts, **more)

        monkeypatch.setattr(live.engine.embedder, "embed", counted)
        with CatalogueStore.open(store / "catalogue.sqlite") as catalogue:
            catalogue.add([Item(ItemId(f"q{i}"), f"Jar {i}", "Glass.", 1950, {}, float(i)) for i in range(11)])
        live.engine.refresh()
        assert asked == [4, 4, 4, 4, 4]
        found = live.reply(HELLO, n=20)
    with Recommender.open(store) as fresh:
        expected = fresh.reply(HELLO, n=20)
    assert_alike(found, expected)


def test_a_remote_model_is_asked(store: Path, server: FakeOpenAIServer) -> None:
    with Recommender.open(store, flags={"llm.kind": "http", "llm.model": "m", "llm.base_url": server.url}) as opened:
        answer = opened.reply(HELLO, n=2)
    assert [r.retriever_rank for r in answer.items] == [2, 1]
    assert answer.usage.calls == 1


def test_a_model_of_ones_own_wins_over_the_settings(store: Path) -> None:
    class Silent(ScriptedLLM):
        def __len__(self) -> int:
            return 0

    with Recommender.open(store, llm=Silent(['{"ranking": [3], "reply": "x"}'])) as opened:
        assert opened.reply(HELLO, n=1).items[0].retriever_rank == 3


def test_no_model(store: Path) -> None:
    with Recommender.open(store, flags={"llm.kind": "none"}) as opened:
        assert opened.llm is None
        assert opened.reply(HELLO, n=1).degraded


def test_without_the_usual_key_a_turn_is_answered_and_says_which_variable_is_missing(store: Path) -> None:
    flags = {"llm.kind": "http", "llm.model": "m", "llm.base_url": "https://models.invalid/v1"}
    with Recommender.open(store, flags=flags) as opened:
        answer = opened.reply(HELLO, n=2)
    assert len(answer.items) == 2
    assert answer.degraded
    assert "OPENAI_API_KEY" in answer.reason


def test_a_named_key_that_is_not_set_is_told_at_once_and_another_key_is_never_sent_instead(
    store: Path, server: FakeOpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-somebody-else")
    flags = {"llm.kind": "http", "llm.model": "m", "llm.base_url": server.url, "llm.api_key_env": "POTTERY_KEY"}
    with pytest.raises(SettingsError, match=r"'POTTERY_KEY' named by llm\.api_key_env is not set"):
        Recommender.open(store, flags=flags)
    monkeypatch.setenv("POTTERY_KEY", "clay-key")
    with Recommender.open(store, flags=flags) as opened:
        opened.reply(HELLO, n=1)
    sent = [r.headers.get("authorization") for r in server.requests if r.path.endswith("/chat/completions")]
    assert sent
    assert set(sent) == {"Bearer clay-key"}


def test_a_missing_store_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no store at .*; make one with: rarec init"):
        Recommender.open(tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["retriever.safetensors", "retriever.json", "ranker.safetensors", "ranker.json"])
@pytest.mark.parametrize("damage", ["missing", "cut", "flipped", "empty"])
def test_a_damaged_bundle_is_refused_by_name(store: Path, name: str, damage: str) -> None:
    path = store / "bundle" / name
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        flipped = bytes([data[0] ^ 255]) + data[1:]
        path.write_bytes({"cut": data[: len(data) // 2], "flipped": flipped, "empty": b""}[damage])
    with pytest.raises(BundleError, match=name.partition(".")[0]):
        Recommender.open(store)
    if name.startswith("ranker"):  # the retriever alone answers without a model of its own
        with Recommender.open(store, flags={"llm.kind": "none"}) as opened:
            assert opened.reply(HELLO, n=1).items


def test_a_bundle_of_another_embedder_is_refused(store: Path) -> None:
    with pytest.raises(BundleError, match="was trained with the embedder"):
        Recommender.open(store, flags={"embedder.model": "porcelain"})


def test_a_damaged_catalogue_is_refused(store: Path) -> None:
    (store / "catalogue.sqlite").write_bytes(b"not a database at all" * 99)
    with pytest.raises(StoreError, match="not a rarec catalogue"):
        Recommender.open(store)


def test_all_wrong_settings_come_at_once_with_their_place(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (store / "rarec.toml").open("a", encoding="utf-8") as file:
        file.write("[recommend]\ncandidates = 0\n")
    monkeypatch.setenv("RAREC_LLM__TEMPERATURE", "hot")
    with pytest.raises(SettingsError) as caught:
        Recommender.open(store, flags={"llm.max_retries": 99})
    text = str(caught.value)
    assert "recommend.candidates = 0 (file rarec.toml)" in text
    assert "llm.temperature = 'hot' (environment variable RAREC_LLM__TEMPERATURE)" in text
    assert "llm.max_retries = 99 (flag for llm.max_retries)" in text


def test_after_a_failed_opening_the_store_can_be_moved_and_opened(store: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        Recommender.open(store, flags={"llm.template": "nonesuch"})
    store.rename(tmp_path / "moved")
    with Recommender.open(tmp_path / "moved") as opened:
        assert opened.reply(HELLO, n=1).items
