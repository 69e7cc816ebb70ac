"""Loss curves of thirty steps in a tiny world, pinned; and settings that must not change them.

If a curve moves, say why in the commit and print the new numbers with ``python FILE``.
"""

import sys
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

pytestmark = pytest.mark.usefixtures("one_thread")

EMBEDDER = HashEmbedder(32)
CONFIG = RetrieverConfig(text_dimension=32, width=16, item_hidden=24)
TRAINER = TrainerConfig(epochs=6, learning_rate=4e-3, patience=None, seed=3, checkpoint_every_s=1e9)
STEPS = 30
GENRES = ("sea boat tide", "sand sun dune", "star moon void", "law jury oath", "soup oven salt", "snow ice fur")
FEELINGS: tuple[Sentiment, ...] = ("mentioned", "liked", "disliked")

MENTIONS = [
    6.526332, 6.140944, 6.551185, 4.917949, 4.957021, 4.723565, 4.298984, 4.29659, 4.209531, 4.335565,
    4.130744, 3.991707, 3.444631, 3.573716, 3.955051, 3.847631, 3.619301, 3.783319, 3.528719, 4.069802,
    3.672859, 3.819871, 3.628635, 3.4732, 3.796584, 3.719484, 3.761336, 3.656742, 3.366444, 3.66067,
]  # fmt: skip
INTERACTIONS = [
    6.755373, 5.189033, 5.888799, 5.360241, 5.144411, 4.70323, 4.598052, 4.883231, 3.800092, 4.262016,
    4.042696, 3.919357, 4.512196, 3.971107, 3.932332, 4.005721, 4.368071, 3.896101, 3.691491, 3.765471,
    3.958523, 3.946613, 3.737675, 3.678712, 3.73334, 3.828151, 3.688201, 3.802854, 3.950328, 3.953003,
]  # fmt: skip


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
