"""What is counted beside the vectors counts the same wherever items are ranked: serving, bench, training, alignment."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from counted import counted_bonuses
from rarec.align.associated import AssociatedTurns
from rarec.align.checkpoint import RunState
from rarec.align.learners import SFTLonger
from rarec.align.ledger import Ledger
from rarec.align.loop import Lesson
from rarec.align.rollout import RolloutReward, RolloutSettings
from rarec.align.scorer import Scorer
from rarec.align.settings import LoopSettings
from rarec.align.stepping import Stepper, Watch
from rarec.align.turns import LearningTurn, Stock, turn_data
from rarec.assembly import Engine
from rarec.catalogue import CatalogueStore, load_layout
from rarec.conversations import Example
from rarec.errors import BundleError
from rarec.evaluate.neural import RetrieverSystem
from rarec.pipeline import Recommender
from rarec.ranker.tasks import RankingTasks
from rarec.retriever.associations import (
    Associations,
    AssociationScores,
    AssociationWeights,
    Context,
    CountsConfig,
    WordsConfig,
    name_of,
)
from rarec.retriever.attributes import AttributeValues
from rarec.retriever.bundle import load_retriever, save_retriever
from rarec.retriever.counting import count_neighbours, count_words
from rarec.retriever.data import ItemTable, conversation_data
from rarec.retriever.encoder import ConversationEncoder
from rarec.retriever.kin import Kin, KinConfig
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.retriever.postings import ValuesConfig
from rarec.retriever.tasks import AS_THEY_ARE, ranks_by_weight, validation_ranks
from rarec.retriever.written import WrittenWords
from rarec.settings import Settings
from rarec.testing import HashEmbedder
from rarec.types import Conversation, Item, ItemId, Mention, Sentiment, Turn

pytestmark = pytest.mark.usefixtures("one_thread")

EMBEDDER = HashEmbedder(16)
ITEMS = tuple(
    Item(
        ItemId(f"i{k}"), f"Title {k}", f"text of number {k}", popularity=40.0 - k,
        attributes={"makers": (f"Maker {k % 9}",), "places": ("Longer Bay",) if k in (5, 31) else ()},
    )
    for k in range(40)
)  # fmt: skip
BY_ID = {item.id: item for item in ITEMS}
TEXTS = EMBEDDER.embed([load_layout("generic").render(item) for item in ITEMS])
TABLE = ItemTable.of(ITEMS, TEXTS)
FEATURES = TABLE.features.numpy()
NEW = 38  # the first item that came after the counts


def says(*items: int, text: str = "words", sentiment: Sentiment = "mentioned") -> Turn:
    return Turn("user", text, tuple(Mention(ItemId(f"i{k}"), sentiment) for k in items))


COUNTED = [
    Conversation(
        (
            says(k % 7, k % 11 + 7, text="calm nights"),
            Turn("assistant", "then that", (Mention(ItemId(f"i{k % 13 + 20}")),)),
        )
    )
    for k in range(60)
]
ASKED = [
    Conversation((says(0, text="something calm"),), id="one"),
    Conversation((says(1, 9), says(text="at longer bay?")), id="two"),
    Conversation((says(2), says(3, sentiment="disliked"), says(text="number 35, not number 36")), id="three"),
    Conversation((says(text="nothing known"),), id="four"),
]


@pytest.fixture(scope="module")
def model() -> Retriever:
    made = Retriever(RetrieverConfig(text_dimension=16, width=8, item_hidden=8), seed=2).eval()
    names = {item.id: name_of(item, "title") for item in ITEMS}
    words = count_words(COUNTED, WordsConfig(weight=2.0, least=1, share=1.0), names.get)
    made.associations = Associations(
        count_neighbours(COUNTED, CountsConfig(weight=3.0), names.get), words, "title",
        shared=ValuesConfig(weight=1.5), asked=ValuesConfig(weight=2.5), written=ValuesConfig(weight=0.5),
    )  # fmt: skip
    kin = Kin.of(KinConfig(weight=1.1), made.associations.names, list(names.values())[:NEW], FEATURES[:NEW])
    made.associations = replace(made.associations, kin=kin)
    return made


@pytest.fixture(scope="module")
def wanted(model: Retriever) -> np.ndarray:
    """Scores by the definition: inner products, and the bonus of each item."""
    vectors = model.project(TABLE.features).numpy()
    known = ConversationEncoder(model, EMBEDDER, lambda ids: {i: vectors[TABLE.rows[i]] for i in ids})
    scores = known.queries(ASKED) @ vectors.T
    counted = model.associations.names
    kin = model.associations.kin
    assert kin is not None
    ties = kin.ties(FEATURES[NEW:])
    for row, conversation in zip(scores, ASKED, strict=True):
        context = Context.of(conversation)
        bonuses = counted_bonuses(
            model.associations, [name_of(BY_ID[i], "title") for i in context.items], context.words
        )
        values = AttributeValues()
        values.put(ITEMS)
        shared = values.shared(context.items, ValuesConfig(weight=1.5))
        asked = values.asked(context.said, ValuesConfig(weight=2.5))
        words = WrittenWords()
        words.put(ITEMS)
        written = words.written(context.said, ValuesConfig(weight=0.5))
        for k, item in enumerate(ITEMS):
            row[k] += bonuses.get(name_of(item, "title"), 0.0) + shared.get(item.id, 0.0) + asked.get(item.id, 0.0)
            row[k] += written.get(item.id, 0.0) if name_of(item, "title") not in counted else 0.0
        own = np.array([bonuses.get(name, 0.0) for name in kin.names])
        row[NEW:] += 1.1 * np.log1p((ties.shares * np.expm1(own[ties.places])).sum(axis=1))
    return scores


def order_of(scores: np.ndarray, conversation: Conversation) -> list[str]:
    seen = {mention.item for mention in conversation.mentions()}
    return [ITEMS[k].id for k in np.argsort(-scores, kind="stable") if ITEMS[k].id not in seen]


def test_they_change_the_order_where_something_is_mentioned(model: Retriever, wanted: np.ndarray) -> None:
    vectors = model.project(TABLE.features).numpy()
    known = ConversationEncoder(model, EMBEDDER, lambda ids: {i: vectors[TABLE.rows[i]] for i in ids})
    plain = known.queries(ASKED) @ vectors.T
    moved = [not np.allclose(a, b) for a, b in zip(plain, wanted, strict=True)]
    assert moved == [True, True, True, False]


def test_serving_ranks_by_them(tmp_path: Path, model: Retriever, wanted: np.ndarray) -> None:
    catalogue = CatalogueStore.open(tmp_path / "catalogue.sqlite", create=True, layout=load_layout("generic"))
    catalogue.add(ITEMS)
    engine = Engine(catalogue, EMBEDDER, model)
    with Recommender(engine, Settings(), None) as recommender:
        for conversation, scores in zip(ASKED, wanted, strict=True):
            answer = recommender.reply(conversation, n=10, words=False)
            assert [ranked.item.id for ranked in answer.items] == order_of(scores, conversation)[:10]
            given = [scores[TABLE.rows[ranked.item.id]] for ranked in answer.items]
            np.testing.assert_allclose([ranked.score for ranked in answer.items], given, atol=1e-4)


def test_bench_ranker_and_alignment_score_by_them(tmp_path: Path, model: Retriever, wanted: np.ndarray) -> None:
    save_retriever(tmp_path, model, embedder=EMBEDDER.name, training={})
    system = RetrieverSystem.load(tmp_path, ITEMS, TEXTS, embedder=EMBEDDER)
    examples = [Example(f"e{k}", k, c.id, "1", c, (ItemId("i39"),), frozenset(), ()) for k, c in enumerate(ASKED)]
    columns = [system.columns[item.id] for item in ITEMS]
    np.testing.assert_allclose(system.scores(examples)[:, columns], wanted, atol=1e-4)

    vectors = model.project(TABLE.features).numpy()
    tasks = RankingTasks(
        model, ITEMS, vectors, EMBEDDER, lambda asked: TEXTS[: len(asked)], n=12, features=FEATURES
    ).tasks(ASKED)
    for task, conversation, scores in zip(tasks, ASKED, wanted, strict=True):
        assert [c.item.id for c in task.candidates] == order_of(scores, conversation)[:12]

    stock = Stock(ITEMS, TABLE)
    turns = [LearningTurn(f"t{k}", c.id, c, (ItemId("i39"),)) for k, c in enumerate(ASKED)]
    data = turn_data(turns, stock, lambda texts: EMBEDDER.embed(texts, kind="query"))
    scorer = Scorer(model, stock, data.messages)
    np.testing.assert_allclose(scorer.scores(data.turns, scorer.project()).numpy(), wanted, atol=1e-4)
    rows = torch.tensor([[39, 3, 25], [20, 21, 22], [7, 8, 30], [0, 1, 2]])
    scored = scorer.forward(data.turns, rows).of(rows).detach().numpy()
    np.testing.assert_allclose(scored, np.take_along_axis(wanted, rows.numpy(), axis=1), atol=1e-4)


@pytest.mark.parametrize("kept", [0, 2, 100])
def test_alignment_works_them_out_once_a_turn_as_far_as_there_is_room(
    model: Retriever, wanted: np.ndarray, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = Stock(ITEMS, TABLE)
    turns = [LearningTurn(f"t{k}", c.id, c, (ItemId("i39"),)) for k, c in enumerate(ASKED)]
    data = turn_data(turns, stock, lambda texts: EMBEDDER.embed(texts, kind="query"))
    vectors = model.project(TABLE.features)
    scorer = Scorer(model, stock, data.messages)
    plain = scorer.queries(data.turns) @ vectors.T
    bonuses = AssociatedTurns(model.associations, stock, most_bytes=kept * len(ITEMS) * 4)
    asked: list[int] = []
    inner = bonuses._scores.add_to
    monkeypatch.setattr(bonuses._scores, "add_to", lambda into, talks: (asked.append(len(talks)), inner(into, talks)))
    for some in ([0, 1, 1], [3, 2, 1, 0], [0, 1, 2, 3]):
        found = bonuses([data.turns[k] for k in some])
        assert found is not None
        np.testing.assert_allclose((plain[some] + found).numpy(), wanted[some], atol=1e-4)
    assert asked == {0: [2, 4, 4], 2: [2, 2, 2], 100: [2, 2, 0]}[kept]


def test_the_nll_of_alignment_is_of_the_vectors_alone(tmp_path: Path, model: Retriever) -> None:
    """With what is associated in it, vectors would learn what that leaves over, and be worse (docs/experiments.md)."""
    stock = Stock(ITEMS[:36], TABLE)  # the others are negatives
    turns = [LearningTurn(f"t{k}", c.id, c, (ItemId("i35"),)) for k, c in enumerate(ASKED)]
    data = turn_data(turns, stock, lambda texts: EMBEDDER.embed(texts, kind="query"))
    lesson = Lesson(
        stock=stock,
        data=data,
        learn=data.turns,
        tune=data.turns,
        learner=SFTLonger(),
        reward=RolloutReward.of({"ndcg@10": 1.0}),
        rollouts=RolloutSettings(n=5),
        loop=LoopSettings(batch=len(ASKED), proposal=10, negatives=5),
        identity="test",
    )

    def learned(associations: Associations) -> tuple[object, Retriever]:
        own = copy.deepcopy(model).eval()
        own.associations = associations
        scorer, reference = (Scorer(m, stock, data.messages) for m in (own, copy.deepcopy(own)))
        optimiser = torch.optim.AdamW(own.parameters())
        stepper = Stepper(scorer, reference, optimiser, lesson, Ledger(tmp_path / "ledger.jsonl", recipe="test"))
        return stepper.step(RunState(), None, Watch(lambda _: None))["nll"], own

    with_them, one = learned(model.associations)
    without, other = learned(Associations())
    assert with_them == pytest.approx(without, abs=1e-5)
    pairs = [(a.grad, b.grad) for a, b in zip(one.parameters(), other.parameters(), strict=True)]
    assert any(a is not None and a.abs().max() > 0.01 for a, _ in pairs)
    for a, b in pairs:
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("target", "by"), [(25, {"neighbours", "words"}), (35, {"written"}), (39, {"kin"})])
def test_training_figures_count_them(model: Retriever, target: int, by: set[str]) -> None:
    talks = [Conversation((*c.turns, Turn("assistant", "that", (Mention(ItemId(f"i{target}")),)))) for c in ASKED]
    data = conversation_data(talks, TABLE, EMBEDDER, user_weight=0.0)
    everything = np.arange(len(ITEMS))
    own = validation_ranks(model, TABLE, data, everything)
    nothing = AssociationWeights()
    kinds = AssociationWeights._fields
    factors = [nothing, AS_THEY_ARE, *(nothing._replace(**{kind: 300.0}) for kind in kinds)]
    found = ranks_by_weight(model, TABLE, data, everything, model.associations, factors)
    assert found.shape == (8, 4)
    assert found[1].tolist() == own.tolist()
    assert found[0].tolist() == ranks_by_weight(model, TABLE, data, everything, Associations(), factors)[3].tolist()
    scores = AssociationScores(model.associations, ITEMS, FEATURES)
    favoured = {kind: [scores.each(Context.of(c))[line][target] > 0 for c in ASKED] for line, kind in enumerate(kinds)}
    for line, kind in enumerate(kinds, start=2):
        pairs = zip(found[line].tolist(), found[0].tolist(), favoured[kind], strict=True)
        assert all(rank <= 20 if named else rank >= plain for rank, plain, named in pairs), kind
    assert {kind for kind in kinds if any(favoured[kind])} >= by


def test_a_bundle_keeps_them_to_the_bit(tmp_path: Path, model: Retriever) -> None:
    save_retriever(tmp_path, model, embedder=EMBEDDER.name, training={})
    read = load_retriever(tmp_path, embedder=EMBEDDER.name).associations
    assert read.by == "title"
    for kind in ("shared", "asked", "written"):
        assert getattr(read, kind) == getattr(model.associations, kind) is not None
    assert read.kin is not None
    for kind in ("neighbours", "words"):
        kept, was = getattr(read, kind), getattr(model.associations, kind)
        assert (kept.config, kept.keys, kept.items) == (was.config, was.keys, was.items)
        for name in ("starts", "columns", "values"):
            assert getattr(kept, name).tobytes() == getattr(was, name).tobytes()
    plain = Retriever(model.config, seed=2)
    save_retriever(tmp_path, plain, embedder=EMBEDDER.name, training={})
    assert not load_retriever(tmp_path, embedder=EMBEDDER.name).associations


@pytest.mark.parametrize("change", [{"weight": -1}, {"wait": 1}, None])
def test_a_wrong_config_of_theirs_is_refused(tmp_path: Path, model: Retriever, change: dict[str, int] | None) -> None:
    save_retriever(tmp_path, model, embedder=EMBEDDER.name, training={})
    path = tmp_path / "retriever.json"
    manifest = json.loads(path.read_text())
    manifest["config"]["neighbours"] = None if change is None else manifest["config"]["neighbours"] | change
    path.write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"config in .* is wrong"):
        load_retriever(tmp_path, embedder=EMBEDDER.name)
