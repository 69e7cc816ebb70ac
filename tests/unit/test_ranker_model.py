"""Features, scores, learning and the embedded default model."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.embed.protocol import Kind, Progress
from rarec.errors import BundleError, InputError, LLMTimeout
from rarec.llm.protocol import LLM
from rarec.prompt import parse
from rarec.ranker.features import CONTEXTS, NAMES, FeatureMaker, RankerInput
from rarec.ranker.local import LocalRanker
from rarec.ranker.model import Ranker, RankerConfig
from rarec.ranker.tasks import RankingTasks
from rarec.ranker.train import ChooseTarget, Example, RankerTrainingConfig, gains_at_10, order_of, padded_scores
from rarec.retriever.bundle import save_model
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.retriever.trainer import TrainerConfig, train
from rarec.testing import HashEmbedder, LLMContract, example_task
from rarec.types import Candidate, CompletionRequest, Conversation, Item, ItemId, Mention, RankingTask, Turn

D = 16
EMBEDDER = HashEmbedder(D)
CONFIG = RankerConfig(text_dimension=D, width=8, hidden=8)


def embeddings(items: Sequence[Item]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return EMBEDDER.embed([i.title for i in items])


def features() -> FeatureMaker:
    return FeatureMaker(EMBEDDER, embeddings)


def ranker(seed: int = 0) -> LocalRanker:
    return LocalRanker(Ranker(CONFIG, seed=seed), EMBEDDER, embeddings)


ITEM = st.builds(
    Item,
    id=st.uuids().map(lambda u: ItemId(str(u))),
    title=st.text(min_size=1, max_size=12),
    year=st.one_of(st.none(), st.integers(-3000, 3000)),
    attributes=st.dictionaries(st.text(max_size=4), st.lists(st.text(max_size=6), max_size=3).map(tuple), max_size=2),
    popularity=st.one_of(st.just(0.0), st.floats(0, 1e300)),
)


@st.composite
def tasks(draw: st.DrawFn) -> RankingTask:
    mentioned = draw(st.lists(ITEM, max_size=3))
    scores = draw(st.lists(st.one_of(st.just(0.5), st.floats(-1e9, 1e9)), min_size=1, max_size=6))
    candidates = tuple(Candidate(draw(ITEM), score) for score in scores)
    felt = st.sampled_from(["liked", "disliked", "mentioned"])
    turns = tuple(
        Turn(
            draw(st.sampled_from(["user", "assistant"])),
            draw(st.text(max_size=20)),
            tuple(Mention(i.id, draw(felt)) for i in mentioned if draw(st.booleans())),
        )
        for _ in range(draw(st.integers(0, 4)))
    )
    known = {i.id: i for i in mentioned if draw(st.booleans())}
    return RankingTask(Conversation(turns), known, candidates, len(candidates))


@settings(deadline=None, max_examples=50)
@given(tasks())
def test_features_of_any_task_are_finite_and_shaped(task: RankingTask) -> None:
    given_ = features()(task)
    count = len(task.candidates)
    assert given_.dense.shape == (count, len(NAMES))
    assert given_.items.shape == (count, D)
    assert given_.context.shape == (CONTEXTS, D)
    for array in (given_.dense, given_.items, given_.context):
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
    assert np.abs(given_.dense).max() < 100


@settings(deadline=None, max_examples=30)
@given(tasks(), st.integers(0, 99))
def test_an_untrained_ranker_keeps_the_retrievers_order(task: RankingTask, seed: int) -> None:
    ordered = sorted(task.candidates, key=lambda c: -c.score)
    given_ = RankingTask(task.conversation, task.mentioned, tuple(ordered), task.n)
    assert ranker(seed).order(given_) == list(range(task.n))


def test_features_by_hand() -> None:
    seen = Item(ItemId("s"), "Amber Tide", year=1990, attributes={"tone": ("dry",)})
    bad = Item(ItemId("b"), "Cold Soup", attributes={"maker": ("Bo",)})
    one = Item(ItemId("1"), "Amber Hill", year=2000, attributes={"tone": ("dry",)}, popularity=3.0)
    two = Item(ItemId("2"), "Grey Wall", attributes={"maker": ("Bo",), "tone": ("slow",)})
    turns = (Turn("user", "slow ones", (Mention(seen.id, "liked"), Mention(bad.id, "disliked"))),)
    task = RankingTask(Conversation(turns), {seen.id: seen, bad.id: bad}, (Candidate(one, 2.0), Candidate(two, 1.0)), 2)
    columns = dict(zip(NAMES, features()(task).dense.T, strict=True))
    assert columns["score"].tolist() == [1, -1]
    assert columns["order"] == pytest.approx([0, -math.log(2)])
    assert columns["asked"] == pytest.approx([0, math.log(2)])
    assert columns["asked_rare"].tolist() == [0, 1]
    assert columns["shared"] == pytest.approx([math.log(2), 0])
    assert columns["shared_disliked"] == pytest.approx([0, math.log(2)])
    assert columns["title_words"].tolist() == [0.5, 0]
    assert columns["year_gap"].tolist() == [0.5, 0]
    assert columns["popularity"].tolist() == [1, -1]
    assert columns["has_mentions"].tolist() == [1, 1]
    welcome = embeddings([seen])[0]
    assert columns["last_welcome"] == pytest.approx(embeddings([one, two]) @ welcome, abs=1e-6)
    backwards = features()(task, [1, 0]).dense[:, NAMES.index("order")]
    assert backwards == pytest.approx([-math.log(2), 0])


@settings(deadline=None, max_examples=30)
@given(st.lists(tasks(), min_size=1, max_size=4))
def test_padded_scores_equal_single_ones(several: list[RankingTask]) -> None:
    model = Ranker(CONFIG).eval()
    with torch.no_grad():
        model.out.weight.normal_(generator=torch.Generator().manual_seed(1))
        together = padded_scores(model, inputs := [features()(t) for t in several])
        for row, one in zip(together, inputs, strict=True):
            size = len(one.dense)
            torch.testing.assert_close(row[:size], padded_scores(model, [one])[0], atol=1e-4, rtol=1e-4)
            assert torch.isneginf(row[size:]).all()


def test_gains_by_hand() -> None:
    order = np.array([2, 0, 1])
    (found,) = gains_at_10([order], [(2, 1)])
    assert found == pytest.approx([1.0, 1 / 2])  # ranks 1 and 3: 1 / log2(2), 1 / log2(4)
    (late,) = gains_at_10([np.arange(12)], [(9, 10)])
    assert late == pytest.approx([1 / math.log2(11), 0])
    assert gains_at_10([order], [()])[0].shape == (0,)
    assert gains_at_10([], []) == []


def made(targets: tuple[int, ...], count: int = 4, seed: int = 0) -> Example:
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(count, len(NAMES))).astype(np.float32)
    dense[:, NAMES.index("asked")] = [5.0 if i in targets else 0.0 for i in range(count)]
    unit = embeddings([Item(ItemId("x"), f"t{seed} {i}") for i in range(count + CONTEXTS)])
    return Example(RankerInput(dense, unit[:count], unit[count:]), targets)


def test_choose_target_learns_a_preference() -> None:
    examples = [made((i % 4,), 4 + i % 3, seed=i) for i in range(24)]
    held = [made((i % 4,), 5, seed=100 + i) for i in range(12)]
    model = Ranker(CONFIG)

    def right() -> float:
        orders = order_of(model, [e.given for e in held], batch=5)
        return float(np.mean([o[0] == e.targets[0] for o, e in zip(orders, held, strict=True)]))

    before = right()
    task = ChooseTarget(model, examples, RankerTrainingConfig(batch=8))
    assert task.steps() == 3
    train(model, task, TrainerConfig(epochs=10, learning_rate=0.04, patience=None))
    assert before < 0.7
    assert right() > 0.9


def test_the_loss_by_hand_and_what_it_leaves_out() -> None:
    model = Ranker(CONFIG).eval()
    example = made((1, 3))
    task = ChooseTarget(model, [example, made(())], RankerTrainingConfig())
    scores = torch.from_numpy(example.given.dense[:, NAMES.index("score")])
    expected = -torch.log_softmax(scores, 0)[[1, 3]].mean()
    assert float(task.loss(0, 0, torch.Generator()).detach()) == pytest.approx(float(expected), abs=1e-5)
    with pytest.raises(InputError, match="none of 1 examples has its target"):
        ChooseTarget(model, [made(())], RankerTrainingConfig())


def test_a_short_task_beside_a_long_one_has_a_finite_gradient() -> None:
    model = Ranker(CONFIG)
    ChooseTarget(model, [made((0,), 1), made((6,), 7)], RankerTrainingConfig()).loss(0, 0, torch.Generator()).backward()  # type: ignore[no-untyped-call]
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


# --- tasks out of conversations


def test_examples_are_the_assistants_first_mentions() -> None:
    items = [Item(ItemId(f"i{k}"), f"Item {k}") for k in range(8)]
    model = Retriever(RetrieverConfig(text_dimension=D, width=8, item_hidden=8)).eval()
    extra = np.zeros((8, 4), dtype=np.float32)
    vectors = model.project(torch.from_numpy(np.concatenate([embeddings(items), extra], axis=1))).numpy()
    posed = RankingTasks(model, items, vectors, EMBEDDER, embeddings, n=5)

    def says(role: Any, *ids: str) -> Turn:
        return Turn(role, "words", tuple(Mention(ItemId(i)) for i in ids))

    first = (says("user", "i0"), says("assistant", "i0"), says("assistant", "i1", "i2", "i1", "ghost"))
    conversation = Conversation((*first, says("user", "i3"), says("assistant", "i3", "i1"), says("assistant", "i4")))
    seen: list[tuple[int, int]] = []
    examples = posed.examples([conversation, Conversation()], progress=lambda done, total: seen.append((done, total)))
    assert len(examples) == 2, "repeating what was said is no recommendation"
    assert seen[-1] == (2, 2)
    assert len(examples[0].targets) + examples[0].missed == 3
    assert examples[0].missed >= 1, "an item that is not in the catalogue cannot be found"
    assert len(examples[1].targets) + examples[1].missed == 1
    for example, turns in zip(examples, (conversation.turns[:2], conversation.turns[:5]), strict=True):
        (task,) = posed.tasks([Conversation(turns)])
        offered = [c.item.id for c in task.candidates]
        assert set(offered).isdisjoint(m.item for t in turns for m in t.mentions or ())
        assert [c.score for c in task.candidates] == sorted((c.score for c in task.candidates), reverse=True)
        np.testing.assert_allclose(example.given.dense, features()(task).dense, atol=1e-5)
    (rest,) = posed.tasks([Conversation((says("user", *(i.id for i in items[:7])),))])
    assert [c.item.id for c in rest.candidates] == ["i7"]
    (nothing,) = posed.tasks([Conversation((says("user", *(i.id for i in items)),))])
    assert nothing.candidates == ()
    assert posed.examples([]) == []


# --- the model behind the protocol


class Waiting(HashEmbedder):
    """Takes for ever, until it is let go."""

    def __init__(self) -> None:
        super().__init__(D)
        self.go = threading.Event()

    def embed(self, texts: Sequence[str], *, kind: Kind = "document", progress: Progress | None = None) -> Any:
        self.go.wait(60)
        return super().embed(texts, kind=kind, progress=progress)


class TestLocalRanker(LLMContract):
    @pytest.fixture(autouse=True)
    def waiting(self) -> Iterator[None]:
        self.slow = Waiting()
        yield
        self.slow.go.set()

    def make(self) -> LLM:
        return ranker()

    def make_slow(self) -> LLM:
        return LocalRanker(Ranker(CONFIG), self.slow, embeddings)


@settings(deadline=None, max_examples=15)
@given(tasks(), st.integers(1, 6))
def test_its_answer_is_what_the_prompt_asks_for(task: RankingTask, n: int) -> None:
    asked = RankingTask(task.conversation, task.mentioned, task.candidates, min(n, len(task.candidates)))
    request = CompletionRequest((), task=asked)
    text = anyio.run(ranker().complete, request).text
    answer = parse(text, offered=len(task.candidates), n=asked.n)
    assert not answer.report.repaired
    assert list(answer.order) == ranker().order(asked)[: asked.n]
    assert answer.reply == json.loads(text)["reply"] != ""


def test_what_it_refuses() -> None:
    with pytest.raises(InputError, match="this one has none"):
        anyio.run(ranker().complete, CompletionRequest(()))
    with pytest.raises(InputError, match="at least one candidate"):
        ranker().order(RankingTask(Conversation(), {}, (), 1))
    with pytest.raises(LLMTimeout, match="within 0 s"):
        anyio.run(ranker().complete, CompletionRequest((), task=example_task(), deadline_s=0))


def test_save_and_load(tmp_path: Path) -> None:
    model = Ranker(CONFIG)
    torch.nn.init.normal_(model.out.weight, generator=torch.Generator().manual_seed(3))
    save_model(tmp_path, model, kind="ranker", config=CONFIG, embedder=EMBEDDER.name, training={})
    loaded = LocalRanker.load(tmp_path, EMBEDDER, embeddings)
    task = example_task()
    assert loaded.order(task) == LocalRanker(model, EMBEDDER, embeddings).order(task)
    with pytest.raises(BundleError, match="was trained with the embedder"):
        LocalRanker.load(tmp_path, HashEmbedder(32), embeddings)
    about = json.loads((tmp_path / "ranker.json").read_text(encoding="utf-8"))
    for config in ({**about["config"], "width": -1}, {**about["config"], "width": 9}, {}):
        (tmp_path / "ranker.json").write_text(json.dumps({**about, "config": config}), encoding="utf-8")
        with pytest.raises(BundleError, match="config"):
            LocalRanker.load(tmp_path, EMBEDDER, embeddings)
