"""Every baseline ranks in batches as one example at a time, and made again it ranks the same."""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.conversations import Example
from rarec.evaluate import ScoredSystem
from rarec.evaluate.baselines import (
    BM25,
    EASE,
    CoOccurrence,
    EmbeddingSimilarity,
    ItemKNN,
    Popularity,
    Random,
    RepeatContext,
    SASRec,
)
from rarec.testing import HashEmbedder
from rarec.types import Conversation, Item, ItemId, Mention, Turn

WORDS = ["salt", "tide", "lamp", "oven", "rust", "moss", "fern", "kiln", "reed", "loom", "bell", "tarn"]
IDS = [ItemId(word) for word in WORDS]
ITEMS = [Item(i, f"{i} {WORDS[at - 1]}", popularity=float(at * 7 % 12)) for at, i in enumerate(IDS)]
EMBEDDER = HashEmbedder(32)


def talk(items: Sequence[ItemId]) -> Conversation:
    return Conversation(tuple(Turn("user", f"{i} please", (Mention(i),)) for i in items))


def training() -> list[Conversation]:
    generator = np.random.default_rng(2)
    return [talk([IDS[int(i)] for i in generator.permutation(10)[:4]]) for _ in range(25)]  # two are never mentioned


def similarity(variant: str) -> ScoredSystem:
    vectors = EMBEDDER.embed([item.title for item in ITEMS])
    return EmbeddingSimilarity(ITEMS, vectors, embedder=EMBEDDER, variant=variant, name=variant)  # type: ignore[arg-type]


MAKERS: tuple[Callable[[], ScoredSystem], ...] = (
    lambda: BM25(ITEMS),
    lambda: CoOccurrence(ITEMS, training()),
    lambda: EASE(ITEMS, training()),
    lambda: ItemKNN(ITEMS, training()),
    lambda: Popularity(ITEMS, training()),
    lambda: Random(ITEMS, seed=4),
    lambda: RepeatContext(ITEMS),
    lambda: SASRec(ITEMS, training(), epochs=2, width=8, samples=6),
    lambda: similarity("text"),
    lambda: similarity("items"),
    lambda: similarity("both"),
)


@cache
def systems() -> tuple[tuple[ScoredSystem, ScoredSystem], ...]:
    """Each twice, made apart."""
    torch.set_num_threads(1)
    return tuple((make(), make()) for make in MAKERS)


@st.composite
def examples(draw: st.DrawFn) -> list[Example]:
    known_or_not = st.sampled_from([*IDS, ItemId("unknown")])
    made = []
    for at, items in enumerate(draw(st.lists(st.lists(known_or_not, max_size=5), max_size=7))):
        context = tuple(dict.fromkeys(items))
        made.append(Example(f"x{at}", at, "d", "t", talk(items), (IDS[0],), frozenset(), context))
    return made


@settings(deadline=None, max_examples=40)
@given(examples(), st.integers(1, 15), st.integers(1, 8))
def test_batches_and_single_examples_give_the_same_lists(asked: list[Example], n: int, batch: int) -> None:
    for system, again in systems():
        system.batch_size = batch
        for example, mine in zip(asked, system.rank(asked, n=n), strict=True):
            assert len(mine) == len(set(mine)) == min(n, len(ITEMS))
            assert set(mine) <= set(IDS)
            (alone,) = again.rank([example], n=n)
            # A product's last bits hang on its shape, so two that score alike may change places.
            scores = again.scores([example])[0]
            placed, expected = ([scores[again.columns[item]] for item in items] for items in (mine, alone))
            assert np.allclose(placed, expected, rtol=0, atol=1e-5), system.name


def test_orders_without_products_are_the_same_to_the_letter() -> None:
    asked = [
        Example(f"x{at}", at, "d", "t", talk(IDS[at : at + 3]), (), frozenset(), tuple(IDS[at : at + 3]))
        for at in range(9)
    ]
    for system, again in systems():
        if system.name not in ("text", "items", "both", "sasrec"):
            system.batch_size = 4
            assert system.rank(asked, n=9) == [again.rank([example], n=9)[0] for example in asked], system.name
