"""Carried states against computations from scratch."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rarec.embed.protocol import Kind, Progress
from rarec.retriever.encoder import ConversationEncoder
from rarec.retriever.model import Retriever, RetrieverConfig, State, Tokens
from rarec.retriever.sequence import conversation_events
from rarec.testing import HashEmbedder
from rarec.types import Conversation, ItemId, Mention, Turn

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = RetrieverConfig(text_dimension=32, width=16, item_hidden=24)
TOLERANCE = 5e-5  # queries have length 10


class CountingEmbedder(HashEmbedder):
    """Remembers what it was asked to embed."""

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension)
        self.asked: list[str] = []

    def embed(
        self, texts: Sequence[str], *, kind: Kind = "document", progress: Progress | None = None
    ) -> NDArray[np.float32]:
        assert kind == "query"
        self.asked += texts
        return super().embed(texts, kind=kind, progress=progress)


class CountingRetriever(Retriever):
    """Counts the steps of its recurrence."""

    steps = 0

    def advance(self, tokens: Tokens, state: State) -> tuple[torch.Tensor, State]:
        self.steps += len(tokens.kind)
        return super().advance(tokens, state)


class World:
    """A model, item vectors and an embedder that belong together."""

    def __init__(self, items: int = 20, seed: int = 3) -> None:
        generator = np.random.default_rng(seed)
        self.model = CountingRetriever(CONFIG, seed=seed)
        self.embedder = CountingEmbedder(CONFIG.text_dimension)
        self.vectors = {
            ItemId(f"i{k}"): generator.normal(size=CONFIG.width + 1).astype(np.float32) for k in range(items)
        }

    def lookup(self, ids: Sequence[ItemId]) -> dict[ItemId, NDArray[np.float32]]:
        return {i: self.vectors[i] for i in ids if i in self.vectors}

    def encoder(self, *, remembered: int = 1024) -> ConversationEncoder:
        return ConversationEncoder(self.model, self.embedder, self.lookup, remembered=remembered)

    def fresh(self, conversation: Conversation) -> NDArray[np.float32]:
        """All tokens anew, nothing remembered from before."""
        return self.encoder().query(conversation)


def talk(turns: int, seed: int = 0) -> Conversation:
    """Invented turns: some mention items, some say nothing."""
    generator = np.random.default_rng(seed)
    result = []
    for t in range(turns):
        ids = [ItemId(f"i{k}") for k in generator.integers(0, 20, generator.integers(0, 3))]
        text = "" if generator.random() < 0.1 else f"message {t} about word{generator.integers(50)}"
        feeling = ("liked", "disliked", "mentioned")
        mentions = tuple(Mention(i, feeling[generator.integers(3)]) for i in ids)
        result.append(Turn("assistant" if t % 2 else "user", text, mentions))
    return Conversation(tuple(result), f"talk-{seed}")


def head(conversation: Conversation, turns: int) -> Conversation:
    return replace(conversation, turns=conversation.turns[:turns])


def close(found: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE)


def test_queries_carried_over_turns_equal_fresh_ones_and_a_batch() -> None:
    world, conversation = World(), talk(12)
    encoder, prefixes = world.encoder(), [head(conversation, n) for n in range(13)]
    carried = [encoder.query(p) for p in prefixes]
    for found, prefix in zip(carried, prefixes, strict=True):
        close(found, world.fresh(prefix))
        assert found.shape == (encoder.width,)
    for batch in (1, 4, 64):
        close(world.encoder().queries(prefixes, batch=batch), np.stack(carried))
    assert np.linalg.norm(carried[-1] - carried[0]) > 1


def test_a_turn_costs_its_own_tokens_only() -> None:
    world, conversation = World(), talk(30)
    encoder = world.encoder()
    encoder.query(head(conversation, 29))
    world.embedder.asked.clear()
    before = world.model.steps
    encoder.query(conversation)
    new = len(conversation_events(conversation)) - len(conversation_events(head(conversation, 29)))
    assert world.model.steps - before == new
    assert len(world.embedder.asked) <= 1
    encoder.query(conversation)
    assert world.model.steps - before == new, "the same conversation again costs nothing"


def test_an_empty_conversation_has_a_finite_query() -> None:
    world = World()
    query = world.encoder().query(Conversation())
    assert np.isfinite(query).all()
    assert np.linalg.norm(query[:-1]) == pytest.approx(10.0, rel=1e-4)
    close(query, world.encoder().queries([Conversation()])[0])
    close(query, world.fresh(Conversation((Turn("user", " \n", ()), Turn("assistant", "", None)))))
    assert world.encoder().queries([]).shape == (0, CONFIG.width + 1)
    assert world.embedder.asked == []


def test_unknown_items_are_skipped() -> None:
    world = World()
    known, unknown = Mention(ItemId("i1"), "liked"), Mention(ItemId("nobody"), "liked")
    with_unknown = Conversation((Turn("user", "hello there", (unknown, known, unknown)),))
    without = Conversation((Turn("user", "hello there", (known,)),))
    close(world.fresh(with_unknown), world.fresh(without))
    only = Conversation((Turn("user", "hello there", (unknown,)),))
    close(world.encoder().queries([only, with_unknown])[0], world.fresh(Conversation((Turn("user", "hello there"),))))


def test_an_item_that_arrives_later_is_read_from_then_on() -> None:
    world, late = World(), ItemId("late")
    encoder = world.encoder()
    conversation = Conversation((Turn("user", "seen it", (Mention(late, "liked"),)),))
    before = encoder.query(conversation)
    world.vectors[late] = np.ones(CONFIG.width, dtype=np.float32)
    after = encoder.query(conversation)
    close(after, world.fresh(conversation))
    assert np.abs(after - before).max() > 0.01


def test_the_last_column_of_an_item_vector_is_ignored() -> None:
    world, conversation = World(), talk(6)
    expected = world.fresh(conversation)
    world.vectors = {i: v[: CONFIG.width] for i, v in world.vectors.items()}
    close(world.fresh(conversation), expected)


def test_changed_item_vectors_count_after_forget() -> None:
    world, conversation = World(), talk(8)
    encoder = world.encoder()
    old = encoder.query(conversation)
    world.vectors = {i: -v for i, v in world.vectors.items()}
    close(encoder.query(conversation), old)
    encoder.forget()
    close(encoder.query(conversation), world.fresh(conversation))
    assert np.abs(encoder.query(conversation) - old).max() > 0.01


def test_a_state_computed_while_items_change_is_not_kept() -> None:
    world, conversation = World(), talk(8)

    def lookup(ids: Sequence[ItemId]) -> dict[ItemId, NDArray[np.float32]]:
        found = world.lookup(ids)
        if not changed:
            changed.append(True)
            world.vectors = {i: -v for i, v in world.vectors.items()}
            encoder.forget()
        return found

    changed: list[bool] = []
    encoder = ConversationEncoder(world.model, world.embedder, lookup)
    encoder.query(conversation)
    close(encoder.query(conversation), world.fresh(conversation))


def test_nothing_is_remembered_when_told_so() -> None:
    world, conversation = World(), talk(8)
    encoder = world.encoder(remembered=0)
    tokens = len(conversation_events(conversation))
    for times in (1, 2):
        close(encoder.query(conversation), world.encoder().queries([conversation])[0])
        assert world.model.steps == times * tokens


def test_the_longest_unused_conversation_is_dropped_first() -> None:
    world = World()
    encoder, (a, b, c) = world.encoder(remembered=2), [talk(4, seed) for seed in range(3)]
    for conversation in (a, b, a, c):
        encoder.query(conversation)
    steps = world.model.steps
    encoder.query(a)
    assert world.model.steps == steps, "a was used after b"
    encoder.query(b)
    assert world.model.steps > steps


@pytest.mark.parametrize("change", ["sentiment", "words", "role", "item"])
def test_editing_an_earlier_turn_recomputes(change: str) -> None:
    world = World()
    turns = [Turn("user", "first words", (Mention(ItemId("i1"), "liked"),)), *talk(6).turns]
    encoder = world.encoder()
    before = encoder.query(Conversation(tuple(turns)))
    turns[0] = {
        "sentiment": replace(turns[0], mentions=(Mention(ItemId("i1"), "disliked"),)),
        "words": replace(turns[0], text="other words"),
        "role": replace(turns[0], role="assistant"),
        "item": replace(turns[0], mentions=(Mention(ItemId("i2"), "liked"),)),
    }[change]
    edited = Conversation(tuple(turns))
    close(encoder.query(edited), world.fresh(edited))
    assert np.abs(encoder.query(edited) - before).max() > 1e-3


def test_callers_cannot_spoil_each_others_queries() -> None:
    world, conversation = World(), talk(5)
    encoder = world.encoder()
    first = encoder.query(conversation)
    expected = first.copy()
    first[:] = 0
    assert np.array_equal(encoder.query(conversation), expected)


def test_dropout_is_off_even_for_a_model_in_training() -> None:
    world, conversation = World(), talk(5)
    world.model.train()
    encoder = world.encoder()
    close(encoder.queries([conversation])[0], encoder.query(conversation))


def test_two_thousand_turns_cost_in_proportion() -> None:
    world, conversation = World(), talk(2000)

    def seconds(turns: int) -> float:
        part, encoder = head(conversation, turns), world.encoder()
        start = time.thread_time()
        encoder.query(part)
        return time.thread_time() - start

    seconds(20)
    small, large = seconds(250), seconds(2000)
    assert large < 24 * small, f"8 times the turns took {large / small:.1f} times as long"
    assert large < 60
    encoder = world.encoder()
    encoder.query(head(conversation, 1999))
    steps = world.model.steps
    close(encoder.query(conversation), world.encoder().queries([conversation])[0])
    assert world.model.steps - steps <= 3


def test_two_threads_get_what_one_gets() -> None:
    world = World()
    prefixes = [head(talk(6, seed), n) for seed in range(6) for n in range(1, 7)]
    expected = world.encoder(remembered=0).queries(prefixes)
    encoder = world.encoder(remembered=10)

    def ask(seed: int) -> None:
        for row in np.random.default_rng(seed).permutation(len(prefixes)):
            close(encoder.query(prefixes[row]), expected[row])
            if row % 10 == 0:
                encoder.forget()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(ask, range(2)))
