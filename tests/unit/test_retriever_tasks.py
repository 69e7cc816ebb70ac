"""What is learned: inputs of a step by hand, ranks by brute force, and a tiny world that is really learned."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rarec.errors import InputError
from rarec.retriever import tasks
from rarec.retriever.data import ConversationData, Interactions, ItemTable, conversation_data
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.retriever.sequence import ITEM, MESSAGE, START
from rarec.retriever.tasks import (
    FinetuneConfig,
    NextItem,
    NextMention,
    PretrainConfig,
    epoch_order,
    hide,
    hide_features,
    ndcg_at_10,
    pad,
    tokens,
    validation_ranks,
)
from rarec.retriever.trainer import Precision, TrainerConfig, products_in, train
from rarec.testing import HashEmbedder
from rarec.types import Conversation, Item, ItemId, Mention, Turn

pytestmark = pytest.mark.usefixtures("one_thread")

EMBEDDER = HashEmbedder(48)
CONFIG = RetrieverConfig(text_dimension=48, width=24, item_hidden=32, dropout=0.1)
GENRES = {
    "harbour": "sea boat storm tide salt",
    "desert": "sand sun camel dune thirst",
    "space": "star rocket orbit moon void",
    "court": "judge law trial jury oath",
    "kitchen": "soup bread spice oven salt",
    "winter": "snow ice frost sledge fur",
}  # fmt: skip
PER_GENRE = 10
COLD = tuple(g * PER_GENRE + k for g in range(len(GENRES)) for k in (8, 9))


def make_items() -> ItemTable:
    """Sixty items: row = genre * 10 + number; texts share two of five words of their genre."""
    generator, items = np.random.default_rng(1), []
    for genre, words in GENRES.items():
        for k in range(PER_GENRE):
            text = " ".join(generator.choice(words.split(), 2, replace=False)) + f" unique{genre}{k}"
            items.append(Item(ItemId(f"{genre}{k}"), text, popularity=float(generator.integers(1, 100))))
    return ItemTable.of(items, EMBEDDER.embed([item.title for item in items]))


TABLE = make_items()
IDS = list(TABLE.rows)
EVERYTHING = np.arange(len(TABLE))


def conversation(generator: np.random.Generator, *, cold: bool) -> Conversation:
    """Stays in one genre; the words of the user and the items mentioned say which."""
    genre = int(generator.integers(len(GENRES)))
    words = list(GENRES.values())[genre].split()
    numbers = generator.permutation(8)[:3]
    first, second, third = (Mention(ItemId(IDS[genre * PER_GENRE + int(k)])) for k in numbers)
    if cold:
        third = Mention(ItemId(IDS[genre * PER_GENRE + 8 + int(generator.integers(2))]))
    return Conversation(
        (
            Turn("user", f"something with {generator.choice(words)} please", ()),
            Turn("assistant", "what about this", (first,)),
            Turn("user", f"seen that, more {generator.choice(words)}", (second,)),
            Turn("assistant", "or this", (third,)),
        )
    )


def talks(n: int, seed: int, *, cold: bool = False) -> ConversationData:
    generator = np.random.default_rng(seed)
    return conversation_data([conversation(generator, cold=cold) for _ in range(n)], TABLE, EMBEDDER)


def people(n: int, seed: int, *, length: int = 6) -> list[Interactions]:
    """Each stays in one genre and never meets a cold item."""
    generator = np.random.default_rng(seed)
    return [
        Interactions(
            int(generator.integers(len(GENRES))) * PER_GENRE + generator.permutation(8)[:length],
            generator.integers(0, 3, length),
        )
        for _ in range(n)
    ]


def brute_ranks(model: Retriever, data: ConversationData, candidates: NDArray[np.int64]) -> list[int]:
    """One sequence, one target, one candidate at a time."""
    model.eval()
    ranks = []
    with torch.no_grad():
        vectors = model.items(TABLE.features)
        for sequence in data.sequences:
            codes = torch.from_numpy(sequence.codes)[:, :, None]
            queries = model.queries(tokens(codes, vectors, torch.arange(len(TABLE)), data.messages))
            for target in sequence.targets:
                query = queries[target.position, 0].double()
                score = {int(row): float(query @ vectors[row].double()) for row in candidates}
                if target.row not in score:
                    ranks.append(len(candidates) + 1)
                    continue
                rivals = [s for row, s in score.items() if row not in target.seen and row != target.row]
                ranks.append(1 + sum(s >= score[target.row] for s in rivals))
    return ranks


def test_ranks_equal_brute_force() -> None:
    model, data = Retriever(CONFIG, seed=1), talks(40, 5, cold=True)
    some = np.random.default_rng(0).permutation(60)[:35]
    for candidates in (EVERYTHING, some):
        expected = brute_ranks(model, data, candidates)
        for batch in (1, 7, 64):
            assert validation_ranks(model, TABLE, data, candidates, batch=batch).tolist() == expected
    outside = [t.row not in some for s in data.sequences for t in s.targets]
    assert 0 < sum(outside) < len(outside)
    assert all((rank == 36) == out for rank, out in zip(expected, outside, strict=True))


def test_ties_count_against_the_target_and_seen_items_do_not() -> None:
    model, data = Retriever(CONFIG), talks(5, 6)
    for parameter in model.tower.parameters():
        torch.nn.init.zeros_(parameter)
    seen = [len(t.seen) for s in data.sequences for t in s.targets]
    assert validation_ranks(model, TABLE, data, EVERYTHING).tolist() == [60 - n for n in seen]
    assert {0, 2} == set(seen)


def test_no_targets_have_no_ranks() -> None:
    ranks = validation_ranks(Retriever(CONFIG), TABLE, talks(0, 0), EVERYTHING)
    assert ranks.shape == (0,)
    assert ndcg_at_10(ranks) == 0


def test_ndcg_by_hand() -> None:
    assert ndcg_at_10(np.array([1, 3, 10, 11, 5000])) == pytest.approx((1 + 0.5 + 1 / math.log2(11)) / 5)


def test_hidden_tokens_become_start() -> None:
    codes = pad(talks(20, 7).sequences)
    codes[2][codes[0] == ITEM] = torch.arange(int((codes[0] == ITEM).sum())) % 3
    generator = torch.Generator().manual_seed(0)

    def hidden(**chances: float) -> torch.Tensor:
        zero = {"hide_sentiment": 0.0, "hide_message": 0.0, "hide_item": 0.0}
        result = codes.clone()
        hide(result, FinetuneConfig(**(zero | chances)), generator)
        return result

    assert torch.equal(hidden(), codes)
    assert torch.equal(hidden(hide_sentiment=1)[[0, 1, 3]], codes[[0, 1, 3]])
    assert int(hidden(hide_sentiment=1)[2].sum()) == 0
    for kind, other, name in ((ITEM, MESSAGE, "hide_item"), (MESSAGE, ITEM, "hide_message")):
        found = hidden(**{name: 1.0})
        assert bool((found[0][codes[0] == kind] == START).all())
        assert bool((found[0][codes[0] == other] == other).all())
        assert torch.equal(found[1:], codes[1:])
    share = float((hidden(hide_item=0.5)[0][codes[0] == ITEM] == START).double().mean())
    assert 0.25 < share < 0.75


def test_padding_is_start_at_the_end() -> None:
    data = conversation_data(
        [
            Conversation((Turn("assistant", "", (Mention(ItemId(IDS[3])),)),)),
            Conversation((Turn("user", "hello there"), Turn("assistant", "look", (Mention(ItemId(IDS[7])),)))),
        ],
        TABLE,
        EMBEDDER,
    )
    codes = pad(data.sequences)
    assert codes[0].T.tolist() == [[START, ITEM, START, START], [START, MESSAGE, MESSAGE, ITEM]]
    assert codes[3].T.tolist() == [[0, 3, 0, 0], [0, 0, 1, 7]]


def test_features_are_hidden_in_pairs_and_texts_never() -> None:
    features = torch.ones(4000, 10)
    found = hide_features(features, torch.Generator().manual_seed(0))
    assert bool((features == 1).all())
    assert bool((found[:, :6] == 1).all())
    for first in (6, 8):
        assert torch.equal(found[:, first], found[:, first + 1])
        assert float((found[:, first] == 0).double().mean()) == pytest.approx(0.1, abs=0.02)


def test_noise_is_of_the_texts_alone_and_as_long_as_asked() -> None:
    features = torch.ones(500, 388)
    found = hide_features(features, torch.Generator().manual_seed(0), noise=0.7)
    lengths = (found - features)[:, :384].norm(dim=1)
    assert float(lengths.mean()) == pytest.approx(0.7, abs=0.01)
    assert set(found[:, 384:].unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(found[0, :384], found[1, :384])


def test_fine_tuning_is_noisy_where_its_recipe_says_so() -> None:
    model = Retriever(CONFIG).eval()

    def loss(noise: float) -> float:
        config = FinetuneConfig(batch=16, negatives=10, text_noise=noise)
        task = NextMention(model, TABLE, talks(40, 2), EVERYTHING, config)
        return float(task.loss(0, 0, torch.Generator().manual_seed(1)).detach())

    assert loss(0.7) != loss(0.0) == loss(0.0)


def test_every_epoch_visits_everything_in_another_order() -> None:
    orders = [epoch_order(50, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert epoch_order(50, 1, 1) == orders[3]


def make_task(kind: str, model: Retriever) -> NextItem | NextMention:
    if kind == "items":
        return NextItem(model, TABLE, people(40, 2), PretrainConfig(batch=16, length=4, negatives=50))
    return NextMention(model, TABLE, talks(40, 2), EVERYTHING, FinetuneConfig(batch=16, negatives=10))


@pytest.mark.parametrize("kind", ["items", "mentions"])
def test_a_loss_depends_on_its_generator_and_step_only(kind: str) -> None:
    model = Retriever(CONFIG).eval()
    task = make_task(kind, model)
    assert task.steps() == 3

    def loss(epoch: int, step: int, seed: int) -> float:
        return float(task.loss(epoch, step, torch.Generator().manual_seed(seed)).detach())

    first = loss(0, 0, 5)
    noise = torch.get_rng_state()
    assert loss(1, 2, 6) != first
    assert loss(0, 0, 6) != first
    assert loss(0, 1, 5) != first
    assert loss(0, 0, 5) == first
    assert torch.equal(torch.get_rng_state(), noise), "the global generator is left alone"
    assert 0 < first < 20


@pytest.mark.parametrize("kind", ["items", "mentions"])
def test_every_parameter_learns(kind: str) -> None:
    model = Retriever(CONFIG)
    make_task(kind, model).loss(0, 0, torch.Generator().manual_seed(0)).backward()
    idle = {name for name, p in model.named_parameters() if p.grad is None or not bool(p.grad.any())}
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
    # Interactions have no messages. An item's last column is one bias for all, which no softmax sees.
    assert {n for n in idle if not n.startswith("tokens.message")} <= {"tower.demand.bias"}
    # None, not zeros, which the optimiser would take for a reason to decay the weights.
    message = [p.grad for name, p in model.named_parameters() if name.startswith("tokens.message")]
    assert all((grad is None) == (kind == "items") for grad in message)


@pytest.mark.parametrize("kind", ["items", "mentions"])
def test_bfloat16_rounds_a_step_and_no_more(kind: str) -> None:
    grads = []
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    for precision in precisions:
        model = Retriever(CONFIG).eval()
        with products_in(precision):
            loss = make_task(kind, model).loss(0, 0, torch.Generator().manual_seed(0))
        loss.backward()
        assert loss.dtype == torch.float32
        assert all(p.grad is None or p.grad.dtype == torch.float32 for p in model.parameters())
        grads.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    exact, rounded = grads
    assert 0 < float((exact - rounded).norm() / exact.norm()) < 0.05


def test_what_fills_up_the_tower_has_no_part_in_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Retriever(CONFIG).eval()

    def loss() -> float:
        with products_in("bfloat16"):
            return float(make_task("mentions", model).loss(0, 0, torch.Generator().manual_seed(0)).detach())

    assert len(tasks.filled(torch.ones(3, 2))) == 3
    with products_in("bfloat16"):
        assert len(tasks.filled(torch.ones(3, 2))) == 256
    with_more = loss()
    monkeypatch.setattr(tasks, "filled", lambda features: features)
    assert loss() == pytest.approx(with_more, abs=1e-4)


def test_windows_are_no_longer_than_asked_and_start_anywhere() -> None:
    person = Interactions(np.arange(8), np.zeros(8, dtype=np.int64))
    task = NextItem(Retriever(CONFIG), TABLE, [person], PretrainConfig(length=3))
    generator = torch.Generator().manual_seed(0)
    windows = [task._window(person, generator).rows.tolist() for _ in range(200)]
    assert {tuple(w) for w in windows} == {(k, k + 1, k + 2) for k in range(6)}


def test_a_step_where_chance_scores_nothing_still_has_a_loss() -> None:
    two = [Interactions(np.array([1, 2]), np.array([0, 0]))]
    task = NextItem(Retriever(CONFIG), TABLE, two, PretrainConfig(scored_share=1e-9, negatives=5))
    assert math.isfinite(float(task.loss(0, 0, torch.Generator().manual_seed(0)).detach()))


def test_nothing_to_learn_is_refused() -> None:
    single = [Interactions(np.array([1]), np.array([0]))]
    for nobody in ([], single):
        with pytest.raises(InputError, match="two interactions"):
            NextItem(Retriever(CONFIG), TABLE, nobody, PretrainConfig())
    with pytest.raises(InputError, match="no conversation"):
        NextMention(Retriever(CONFIG), TABLE, talks(0, 0), EVERYTHING, FinetuneConfig())


def mean_ranks(model: Retriever, data: ConversationData, rows: tuple[int, ...]) -> float:
    targets = [t.row in rows for s in data.sequences for t in s.targets]
    return float(validation_ranks(model, TABLE, data, EVERYTHING)[targets].mean())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_tiny_world_is_learned_cold_items_included(precision: Precision) -> None:
    model = Retriever(CONFIG, seed=4)
    warm, cold = talks(60, 11), talks(60, 12, cold=True)
    untrained = ndcg_at_10(validation_ranks(model, TABLE, warm, EVERYTHING))
    config = TrainerConfig(epochs=8, learning_rate=4e-3, patience=None, precision=precision)
    task = NextMention(model, TABLE, talks(200, 10), EVERYTHING, FinetuneConfig(batch=32, negatives=0))
    trained = [t.row for s in task._data.sequences for t in s.targets]
    assert not set(COLD) & set(trained)
    train(model, task, config, validate=lambda: ndcg_at_10(validation_ranks(model, TABLE, warm, EVERYTHING)))
    # Ten of sixty items fit; the best that can be known gives about 0.5, chance about 0.08.
    assert untrained < 0.15
    assert ndcg_at_10(validation_ranks(model, TABLE, warm, EVERYTHING)) > 0.3
    assert mean_ranks(model, cold, COLD) < 20, "chance is 30"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_interactions_teach_what_conversations_need(precision: Precision) -> None:
    model = Retriever(CONFIG, seed=5)
    warm, cold = talks(60, 11), talks(60, 12, cold=True)
    task = NextItem(model, TABLE, people(250, 3), PretrainConfig(batch=32, negatives=120))
    untrained = mean_ranks(model, cold, COLD)
    train(model, task, TrainerConfig(epochs=8, learning_rate=4e-3, precision=precision))
    assert mean_ranks(model, cold, COLD) < min(20, untrained - 5)
    later = [t.position > 0 and len(t.seen) > 0 for s in warm.sequences for t in s.targets]
    assert ndcg_at_10(validation_ranks(model, TABLE, warm, EVERYTHING)[later]) > 0.3
