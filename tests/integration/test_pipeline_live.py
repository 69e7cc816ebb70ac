"""Items come and go while turns are answered, from this process or through another store object."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from rarec.assembly import MOST_MENTIONS, MOST_TOKENS, Engine, recent
from rarec.catalogue import CatalogueStore
from rarec.embed import CachedEmbedder
from rarec.errors import EmbedderError
from rarec.pipeline import Recommender
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.settings import Settings
from rarec.testing import HashEmbedder
from rarec.types import Conversation, Filters, Item, ItemId, Mention, Turn

CONFIG = RetrieverConfig(text_dimension=32, width=16, item_hidden=32)


def game(number: int, title: str = "", *, kind: str = "Tile") -> Item:
    name = title or f"Quarry Lane {number}"
    return Item(
        ItemId(f"b{number}"), name, f"Board number {number}.", 1950 + number % 70, {"kind": (kind,)}, number + 1.0
    )


def user(text: str) -> Conversation:
    return Conversation((Turn("user", text),))


def engine_on(folder: Path) -> Engine:
    catalogue = CatalogueStore.open(folder / "catalogue.sqlite", create=True)
    return Engine(catalogue, CachedEmbedder(HashEmbedder(32), folder / "embeddings.sqlite"), Retriever(CONFIG))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Recommender]:
    with CatalogueStore.open(tmp_path / "catalogue.sqlite", create=True) as store:
        store.add([game(i) for i in range(40)])
    with Recommender(engine_on(tmp_path), Settings.model_validate({"recommend": {"candidates": 100}}), None) as opened:
        yield opened


@pytest.fixture(params=["same object", "other object"])
def writer(request: pytest.FixtureRequest, shop: Recommender) -> Iterator[CatalogueStore]:
    if request.param == "same object":
        yield shop.engine.catalogue
    else:
        with CatalogueStore.open(shop.engine.catalogue.path) as other:
            yield other


def ids(shop: Recommender, text: str = "tiles", *, filters: Filters | None = None) -> set[str]:
    return {r.item.id for r in shop.reply(user(text), n=100, filters=filters).items}


def linked(shop: Recommender, text: str) -> list[str]:
    return [m.item for m in shop.reply(user(text), n=1).mentions]


def test_an_added_item_is_recommended_and_linked_in_the_next_turn(shop: Recommender, writer: CatalogueStore) -> None:
    assert "b77" not in ids(shop)
    assert linked(shop, "I played Zephyr Harbour yesterday") == []
    writer.add([game(77, "Zephyr Harbour")])
    assert "b77" in ids(shop)
    assert linked(shop, "I played Zephyr Harbour yesterday") == ["b77"]
    assert "b77" not in ids(shop, "I played Zephyr Harbour yesterday")


def test_a_deleted_item_is_gone_from_answers_and_links(shop: Recommender, writer: CatalogueStore) -> None:
    assert linked(shop, "I played Quarry Lane 7 yesterday") == ["b7"]
    writer.delete([ItemId("b7")])
    assert "b7" not in ids(shop)
    assert linked(shop, "I played Quarry Lane 7 yesterday") == []
    writer.add([game(7)])
    assert "b7" in ids(shop)


def test_an_updated_item_is_linked_by_its_new_title_and_filtered_by_its_new_values(
    shop: Recommender, writer: CatalogueStore
) -> None:
    tiles = Filters(any_of={"kind": ("tile",)})
    assert "b5" in ids(shop, filters=tiles)
    writer.update([game(5, "Ochre Regatta", kind="Race")])
    assert linked(shop, "I played Ochre Regatta yesterday") == ["b5"]
    assert linked(shop, "I played Quarry Lane 5 yesterday") == []
    assert "b5" not in ids(shop, filters=tiles)
    assert ids(shop, filters=Filters(any_of={"kind": ("race",)})) == {"b5"}


def test_a_changed_mention_changes_the_query(shop: Recommender) -> None:
    talk = Conversation((Turn("user", "more like it", (Mention(ItemId("b3"), "liked"),)),))
    shop.reply(talk)
    before = shop.engine.query(talk)
    shop.engine.catalogue.update([game(3, "Vermilion Chess League")])
    shop.reply(talk)
    assert not np.array_equal(before, shop.engine.query(talk)), "a carried state outlived the item"


@pytest.mark.parametrize("start", [0, 4, 40])
def test_a_catalogue_that_grew_and_shrank_live_scores_as_if_opened_now(tmp_path: Path, start: int) -> None:
    """Popularity counts by its rank among all items: forty more must not all be the most popular one."""
    with CatalogueStore.open(tmp_path / "catalogue.sqlite", create=True) as store:
        store.add([game(i) for i in range(start)])
    live = engine_on(tmp_path)
    live.catalogue.add([game(i) for i in range(start, 80)])
    live.refresh()
    live.catalogue.delete([ItemId(f"b{i}") for i in range(60, 80)])
    live.refresh()
    fresh = engine_on(tmp_path)
    query = fresh.query(Conversation())
    expected, found = (e.index.search(query[None], n=100)[0] for e in (fresh, live))
    assert dict(zip(found.ids, found.scores, strict=True)) == pytest.approx(
        dict(zip(expected.ids, expected.scores, strict=True)), abs=1e-5
    )
    live.close()
    fresh.close()


def test_the_layout_may_change_live(shop: Recommender) -> None:
    before = shop.engine.item_text(game(1))
    catalogue = shop.engine.catalogue
    catalogue.set_layout(catalogue.layout.model_copy(update={"max_text_chars": 0}))
    shop.reply(user("tiles"), n=1)
    assert shop.engine.item_text(game(1)) != before
    assert len(ids(shop)) == 40


def test_a_refresh_that_fails_is_tried_again_and_deletes_at_once(tmp_path: Path) -> None:
    class Flaky(HashEmbedder):
        down = False

        def embed(self, texts, **options):  # type: ignore[no-untyped-def]
            if self.down and len(texts):
                raise EmbedderError("the endpoint is down; try again")
            return super().embed(texts, **options)

    embedder = Flaky(32)
    catalogue = CatalogueStore.open(tmp_path / "c.sqlite", create=True)
    catalogue.add([game(i) for i in range(9)])
    engine = Engine(catalogue, embedder, Retriever(CONFIG))
    embedder.down = True
    catalogue.delete([ItemId("b1")])
    catalogue.add([game(20, "Zephyr Harbour")])
    with pytest.raises(EmbedderError):
        engine.refresh()
    assert ItemId("b1") not in engine.index
    embedder.down = False
    assert engine.refresh() == catalogue.version
    assert ItemId("b20") in engine.index
    assert engine.linker.link("I played Zephyr Harbour") != ()
    engine.close()


def test_refresh_from_two_threads_at_once_embeds_once(tmp_path: Path) -> None:
    class Counting(HashEmbedder):
        texts = 0

        def embed(self, texts, **options):  # type: ignore[no-untyped-def]
            self.texts += len(texts)
            return super().embed(texts, **options)

    embedder = Counting(32)
    catalogue = CatalogueStore.open(tmp_path / "c.sqlite", create=True)
    catalogue.add([game(i) for i in range(50)])
    engine = Engine(catalogue, embedder, Retriever(CONFIG))
    catalogue.add([game(50), game(51)])
    embedder.texts = 0
    barrier = threading.Barrier(4)

    def go(_: int) -> int:
        barrier.wait()
        return engine.refresh()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(go, range(4))) == {catalogue.version}
    assert embedder.texts == 2
    assert len(engine.index) == 52
    engine.close()


def test_turns_in_many_threads_while_items_come_and_go(shop: Recommender) -> None:
    """Every answer keeps the filter and has no item twice; none fails."""
    stop = threading.Event()

    def change() -> None:
        with CatalogueStore.open(shop.engine.catalogue.path) as other:
            for round_ in range(1000):
                if stop.is_set():
                    return
                other.delete([ItemId(f"b{i}") for i in range(10)])
                other.add([game(i, kind=("Tile", "Race")[round_ % 2]) for i in range(10)])

    def talk(number: int) -> int:
        conversation = Conversation() if number % 3 == 0 else user(f"I liked Quarry Lane {number % 12}")
        answer = shop.reply(conversation, n=100, filters=Filters(any_of={"kind": ("Tile",)}))
        found = [r.item.id for r in answer.items]
        assert len(found) == len(set(found))
        assert set(found).isdisjoint(m.item for m in answer.mentions)
        return len(found)

    with ThreadPoolExecutor(5) as pool:
        changing = pool.submit(change)
        try:
            sizes = list(pool.map(talk, range(24)))
        finally:
            stop.set()
        changing.result()
    assert min(sizes) >= 29  # thirty never change; one may be mentioned


def test_what_the_retriever_reads_is_bounded_and_moves_in_leaps() -> None:
    turns = tuple(Turn("user", str(i), (Mention(ItemId("b1")),) * (i % 3)) for i in range(3000))
    starts = set()
    for end in range(1, 3000, 31):
        kept = recent(Conversation(turns[:end])).turns
        size = sum(1 + len(t.mentions or ()) for t in kept)
        whole = sum(1 + len(t.mentions or ()) for t in turns[:end])
        assert min(whole, MOST_TOKENS // 2) <= size <= MOST_TOKENS + MOST_MENTIONS
        assert kept == turns[end - len(kept) : end]
        starts.add(end - len(kept))
    assert len(starts) < 30
    (flood,) = recent(Conversation((Turn("user", "x", tuple(Mention(ItemId(str(i))) for i in range(9999))),))).turns
    assert [m.item for m in flood.mentions or ()] == [str(i) for i in range(9999 - MOST_MENTIONS, 9999)]
    assert recent(Conversation()) == Conversation()
