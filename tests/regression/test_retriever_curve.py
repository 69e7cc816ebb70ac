"""Loss curves of thirty steps in a tiny world, pinned; and settings that must not change them.

If a curve moves, say why in the commit and print the new numbers with ``python FILE``.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from rarec.retriever.data import ConversationData, Interactions, ItemTable, conversation_data
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.retriever.tasks import FinetuneConfig, NextItem, NextMention, PretrainConfig
from rarec.retriever.trainer import Progress, TrainerConfig, train
from rarec.testing import HashEmbedder
from rarec.types import Conversation, Item, ItemId, Mention, Sentiment, Turn

EMBEDDER = HashEmbedder(32)
CONFIG = RetrieverConfig(text_dimension=32, width=16, item_hidden=24)
TRAINER = TrainerConfig(epochs=6, learning_rate=4e-3, patience=None, seed=3, checkpoint_every_s=1e9)
STEPS = 30
GENRES = ("sea boat tide", "sand sun dune", "star moon void", "law jury oath", "soup oven salt", "snow ice fur")
FEELINGS: tuple[Sentiment, ...] = ("mentioned", "liked", "disliked")

MENTIONS = [
    5.930724, 5.898283, 6.113691, 4.66922, 4.368994, 4.734397, 4.516751, 4.634569, 4.267429, 3.888764,
    4.151653, 4.089472, 3.986771, 3.727056, 3.991423, 3.769055, 3.664009, 3.641207, 3.929608, 3.766293,
    3.693121, 3.855531, 3.627284, 3.544855, 3.808923, 3.448712, 3.970925, 3.411691, 3.324927, 3.645102,
]  # fmt: skip
INTERACTIONS = [
    6.428912, 6.081766, 6.11344, 4.974298, 4.470002, 4.813796, 4.604419, 4.827483, 4.12973, 3.914163,
    4.450534, 4.176595, 4.055962, 4.130735, 3.962981, 3.858299, 3.825615, 3.459334, 4.126678, 3.955997,
    4.297834, 3.86906, 3.922746, 3.513182, 4.018625, 3.964009, 3.615022, 3.714709, 3.65257, 3.67085,
]  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_items() -> ItemTable:
    """Ten items a genre, without random draws: popularity and year follow from the row."""
    items = [
        Item(ItemId(f"{g}-{k}"), f"{words} thing{g}x{k}", year=1950 + 7 * k if k % 4 else None, popularity=k * (g + 1))
        for g, words in enumerate(GENRES)
        for k in range(10)
    ]
    return ItemTable.of(items, EMBEDDER.embed([item.title for item in items]))


TABLE = make_items()


def make_talks() -> ConversationData:
    """Eighty conversations, each in one genre, by arithmetic."""
    talks = []
    for n in range(80):
        genre, words = n % 6, GENRES[n % 6].split()
        first, second, third = (
            Mention(ItemId(f"{genre}-{(n * 7 + 3 * k) % 10}"), FEELINGS[(n + k) % 3]) for k in range(3)
        )
        turns = (
            Turn("user", f"something with {words[n % 3]} number {n}", ()),
            Turn("assistant", "what about this", (first,)),
            Turn("user", f"no, more {words[(n + 1) % 3]}", (second,)),
            Turn("assistant", "then these", (third, first)),
        )
        talks.append(Conversation(turns[: 2 + n % 3]))
    return conversation_data(talks, TABLE, EMBEDDER)


def make_people() -> list[Interactions]:
    return [
        Interactions((n % 6) * 10 + (np.arange(4 + n % 5) * 3 + n) % 10, (np.arange(4 + n % 5) + n) % 3)
        for n in range(80)
    ]


def make_task(kind: str, model: Retriever) -> NextItem | NextMention:
    if kind == "mentions":
        config = FinetuneConfig(batch=16, negatives=20)
        return NextMention(model, TABLE, make_talks(), np.arange(40), config, seed=3)
    return NextItem(model, TABLE, make_people(), PretrainConfig(batch=16, length=6, negatives=60), seed=3)


def curve(kind: str, *, seed: int = 3, checkpoint: Path | None = None, interrupt_at: int | None = None) -> list[float]:
    """The loss of every step; may be interrupted once on the way."""
    losses: list[float] = []

    def on_step(progress: Progress) -> None:
        losses.append(progress.loss)
        if len(losses) == interrupt_at:
            raise KeyboardInterrupt

    def go(weights: int) -> Retriever:
        model = Retriever(CONFIG, seed=weights)
        train(model, make_task(kind, model), TRAINER, checkpoint=checkpoint, on_step=on_step)
        return model

    if interrupt_at is not None:
        with pytest.raises(KeyboardInterrupt):
            go(seed)
        interrupt_at = None
        go(seed + 1)
    else:
        go(seed)
    return losses


@pytest.mark.parametrize(("kind", "pinned"), [("mentions", MENTIONS), ("items", INTERACTIONS)])
def test_the_curve_is_the_pinned_one(kind: str, pinned: list[float]) -> None:
    found = curve(kind)
    assert len(found) == len(pinned) == STEPS
    np.testing.assert_allclose(found, pinned, rtol=1e-3)
    assert np.mean(found[-5:]) < 0.9 * np.mean(found[:5]), "something is learned in thirty steps"


@pytest.mark.parametrize("kind", ["mentions", "items"])
def test_an_interrupted_run_draws_the_same_curve_to_the_bit(kind: str, tmp_path: Path) -> None:
    assert curve(kind, checkpoint=tmp_path / "run", interrupt_at=13) == curve(kind)


def test_another_seed_draws_another_curve() -> None:
    assert not np.allclose(curve("mentions"), curve("mentions", seed=4), rtol=1e-3)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for name in ("mentions", "items"):
        sys.stdout.write(f"{name}: {[round(loss, 6) for loss in curve(name)]}\n")
