"""Figures of a training: the naive row against the bench's own, and what is shown of them."""

import random
from collections import Counter

import numpy as np

from rarec.conversations import examples_from_conversations
from rarec.evaluate.baselines import Popularity
from rarec.retriever.data import ItemTable, conversation_data
from rarec.testing import HashEmbedder
from rarec.training.figures import notes, popularity_ranks, retriever_figures, rows
from rarec.types import Conversation, Item, ItemId, Mention, Turn

EMBEDDER = HashEmbedder(8)


def talks(n: int, items: int, seed: int) -> list[Conversation]:
    """Some items are mentioned often, some twice in a conversation, some not at all."""
    rng = random.Random(seed)
    made = []
    for at in range(n):
        turns = []
        for turn in range(rng.randrange(1, 7)):
            mentions = tuple(
                Mention(ItemId(str(int(rng.random() ** 2 * items)))) for _ in range(rng.choice((0, 1, 1, 3)))
            )
            turns.append(Turn("user" if turn % 2 == 0 else "assistant", "", mentions))
        made.append(Conversation(tuple(turns), id=f"c{at}"))
    return made


def test_popularity_ranks_are_those_of_the_bench() -> None:
    items = [Item(ItemId(str(i)), f"Item {i}", popularity=float(i % 4)) for i in range(30)]
    training, valid = talks(25, 30, 1), talks(60, 30, 2)
    table = ItemTable.of(items, EMBEDDER.embed([item.title for item in items]))
    candidates = np.arange(3, 28)  # some targets and mentions are outside
    catalogue = [items[row] for row in candidates]
    mentions = Counter(m.item for c in training for m in c.mentions())
    found = popularity_ranks(mentions, table, conversation_data(valid, table, EMBEDDER), candidates)
    expected = []
    for example in examples_from_conversations(valid):
        (order,) = Popularity(catalogue, training).rank([example], n=99)
        left = [item for item in order if item not in example.context_items]
        new = [item for item in dict.fromkeys(example.annotated) if item not in example.repeated]
        expected += [left.index(item) + 1 if item in left else len(catalogue) + 1 for item in new]
    assert found.tolist() == expected
    assert len(expected) > 60
    assert len(catalogue) + 1 in expected
    nobody = conversation_data([], table, EMBEDDER)
    assert popularity_ranks(mentions, table, nobody, candidates).tolist() == []


def test_tables_leave_room_for_what_was_not_measured() -> None:
    ranks = np.array([1, 7, 40])
    figures = {
        "retriever": retriever_figures(ranks, asked=4),
        "retriever+ranker": {"N@10": 0.25, "n": 1234, "change": -0.01, "interval": [-0.02, 0.003]},
    }
    assert rows(figures) == [
        ("retriever", "0.2500", "0.5000", "0.7500", "0.3333", "4"),
        ("retriever+ranker", "", "", "", "0.2500", "1,234"),
    ]
    (note,) = notes(figures)
    assert "changes N@10 by -0.0100 [-0.0200, +0.0030]" in note
    assert rows({}) == notes({}) == []
