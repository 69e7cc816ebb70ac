"""The retriever and the ranker as systems: batches against one conversation at a time."""

from pathlib import Path

import numpy as np
import pytest
import torch

from rarec.conversations import Example
from rarec.embed.cache import CachedEmbedder
from rarec.errors import BundleError, InputError
from rarec.evaluate.neural import RankedSystem, RetrieverSystem, ranking_tasks, remembering
from rarec.ranker.local import LocalRanker
from rarec.ranker.model import Ranker, RankerConfig
from rarec.ranker.tasks import RankingTasks
from rarec.retriever.bundle import load_retriever, save_model, save_retriever
from rarec.retriever.data import ItemTable
from rarec.retriever.features import PopularityScale
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.testing import HashEmbedder
from rarec.types import Conversation, Item, ItemId, Mention, Role, Turn

pytestmark = pytest.mark.usefixtures("one_thread")

EMBEDDER = HashEmbedder(24)
WORDS = ["salt", "tide", "lamp", "oven", "rust", "moss", "fern", "kiln", "reed", "loom"]


def make_items(n: int = 40) -> list[Item]:
    """Popularity falls, as it does in a corpus, but for the first two."""
    votes = [n - 1, n, *range(n - 2, 0, -1)][:n]
    return [
        Item(
            ItemId(str(i)),
            f"{WORDS[i % 10]} {WORDS[i // 10]} {i}",
            attributes={"kind": (("dry", "wet")[i % 2],)},
            popularity=float(votes[i]),
        )
        for i in range(n)
    ]


def examples(n: int) -> list[Example]:
    """Conversations of 0 to 8 turns that name items, some of which are unknown."""
    generator = np.random.default_rng(5)
    made = []
    for at in range(n):
        turns = []
        for turn in range(at % 9):
            mentions = tuple(Mention(ItemId(str(i))) for i in generator.integers(0, 44, generator.integers(0, 3)))
            role: Role = "user" if turn % 2 == 0 else "assistant"
            turns.append(Turn(role, " ".join(generator.choice(WORDS, 4)), mentions))
        conversation = Conversation(tuple(turns), id=f"c{at}")
        context = tuple(dict.fromkeys(m.item for m in conversation.mentions()))
        made.append(Example(f"x{at}", at, "d", "t", conversation, (), frozenset(), context))
    return made


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    model = Retriever(RetrieverConfig(text_dimension=24, width=12, item_hidden=16), seed=3)
    save_retriever(folder, model, embedder=EMBEDDER.name, training={})
    config = RankerConfig(text_dimension=24, width=8, hidden=8)
    ranker = Ranker(config, seed=4)
    with torch.no_grad():  # it starts as the retriever's order; this one has a mind of its own
        ranker.out.weight.normal_(std=3.0, generator=torch.Generator().manual_seed(1))
    save_model(folder, ranker, kind="ranker", config=config, embedder=EMBEDDER.name, training={})
    return folder


def systems(bundle: Path, items: list[Item]) -> tuple[RetrieverSystem, RankedSystem]:
    texts = EMBEDDER.embed([item.title for item in items])
    retriever = RetrieverSystem.load(bundle, items, texts, embedder=EMBEDDER)
    return retriever, RankedSystem.load(bundle, items, texts, embedder=EMBEDDER, retriever=retriever)


def plain_tasks(bundle: Path, items: list[Item], n: int) -> RankingTasks:
    """What the ranker is trained on."""
    model = load_retriever(bundle, embedder=EMBEDDER.name)
    texts = EMBEDDER.embed([item.title for item in items])
    vectors = model.project(ItemTable.of(items, texts).features).numpy()
    return RankingTasks(model, items, vectors, EMBEDDER, lambda asked: EMBEDDER.embed([i.title for i in asked]), n=n)


def test_batches_rank_as_one_conversation_at_a_time(bundle: Path) -> None:
    asked = examples(30)
    for system in systems(bundle, make_items()):
        for batch in (1, 7, 256):
            RetrieverSystem.batch_size, before = batch, RetrieverSystem.batch_size
            try:
                lists = system.rank(asked, n=20)
            finally:
                RetrieverSystem.batch_size = before
            assert lists == [system.rank([e], n=20)[0] for e in asked]
        assert [len(items) for items in lists] == [20] * 30
        assert all(len(set(items)) == 20 for items in lists)


def test_the_ranker_s_order_comes_first_and_then_the_retriever_s(bundle: Path) -> None:
    items, asked = make_items(), examples(20)
    retriever, _ = systems(bundle, items)
    ranker = LocalRanker.load(bundle, EMBEDDER, lambda some: EMBEDDER.embed([i.title for i in some]))
    lists = RankedSystem(retriever, ranker, candidates=6).rank(asked, n=40)
    moved = 0
    for example, plain, found in zip(asked, retriever.rank(asked, n=40), lists, strict=True):
        task = plain_tasks(bundle, items, 6).tasks([example.conversation])[0]
        first = [task.candidates[i].item.id for i in ranker.order(task)]
        assert list(found) == [*first, *(i for i in plain if i not in first)]
        moved += first != [c.item.id for c in task.candidates]
    assert moved > 10


def test_tasks_are_those_that_the_ranker_is_trained_on(bundle: Path) -> None:
    items, conversations = make_items(), [e.conversation for e in examples(20)]
    retriever, _ = systems(bundle, items)
    scores = retriever.scores(examples(20))
    mine = ranking_tasks(retriever, conversations, scores, n=9)
    for given, expected in zip(mine, plain_tasks(bundle, items, 9).tasks(conversations), strict=True):
        assert [c.item for c in given.candidates] == [c.item for c in expected.candidates]
        assert [c.score for c in given.candidates] == pytest.approx([c.score for c in expected.candidates], abs=1e-5)
        assert given.mentioned == expected.mentioned
        assert (given.conversation, given.n) == (expected.conversation, 9)
        assert not {c.item.id for c in given.candidates} & {m.item for m in given.conversation.mentions()}


def test_a_catalogue_of_which_everything_is_mentioned(bundle: Path) -> None:
    items = make_items(1)
    said = Conversation((Turn("user", "salt", (Mention(ItemId("0")),)),))
    example = Example("x", 0, "d", "t", said, (), frozenset(), (ItemId("0"),))
    for system in systems(bundle, items):
        assert system.rank([example], n=5) == [("0",)]
        assert system.rank([], n=5) == []


def test_the_popularity_of_a_larger_catalogue_can_be_given(bundle: Path) -> None:
    items = make_items(10)
    texts = EMBEDDER.embed([item.title for item in items])
    larger = [10.0 * rank for rank in range(1000)]
    system = RetrieverSystem.load(bundle, items, texts, embedder=EMBEDDER, popularity=larger)
    model = load_retriever(bundle, embedder=EMBEDDER.name)
    table = ItemTable.of(items, texts, scale=PopularityScale(larger))
    rows = [items.index(item) for item in system.items]
    vectors = model.project(table.features).numpy()[rows]
    queries = system._encoder.queries([examples(3)[2].conversation])
    assert system.scores(examples(3)[2:]) == pytest.approx(queries @ vectors.T)
    assert not np.allclose(system.scores(examples(3)[2:]), systems(bundle, items)[0].scores(examples(3)[2:]))


def test_what_does_not_fit_is_refused(bundle: Path) -> None:
    items = make_items(3)
    with pytest.raises(InputError, match=r"texts have shape \(2, 24\), 3 items and .* need \(3, 24\)"):
        RetrieverSystem.load(bundle, items, np.zeros((2, 24), np.float32), embedder=EMBEDDER)
    other = HashEmbedder(12)
    with pytest.raises(BundleError, match="was trained with the embedder"):
        RetrieverSystem.load(bundle, items, other.embed(["a", "b", "c"]), embedder=other)


def test_a_remembering_embedder_asks_once() -> None:
    class Counting(HashEmbedder):
        asked = 0

        def embed(self, texts, **more):  # type: ignore[no-untyped-def]
            self.asked += len(texts)
            return super().embed(texts, **more)

    counting = Counting(8)
    embedder = remembering(counting)
    assert embedder.name == counting.name
    assert np.array_equal(embedder.embed(["salt", "tide"], kind="query"), counting.embed(["salt", "tide"]))
    embedder.embed(["tide", "salt", "salt"], kind="query")
    assert counting.asked == 4
    assert isinstance(embedder, CachedEmbedder)
    assert remembering(embedder) is embedder


def test_items_beside_the_catalogue_are_understood_and_never_ranked(bundle: Path) -> None:
    items = make_items()
    texts = EMBEDDER.embed([item.title for item in items])
    popularity = [item.popularity for item in items]
    whole = RetrieverSystem.load(bundle, items, texts, embedder=EMBEDDER)
    part = RetrieverSystem.load(
        bundle, items[:30], texts[:30], embedder=EMBEDDER, popularity=popularity,
        mentioned=items[30:], mentioned_texts=texts[30:],
    )  # fmt: skip
    alone = RetrieverSystem.load(bundle, items[:30], texts[:30], embedder=EMBEDDER, popularity=popularity)
    asked = examples(30)
    known = [whole.columns[item] for item in part.ids]
    assert part.scores(asked) == pytest.approx(whole.scores(asked)[:, known], abs=1e-5)
    assert not np.allclose(part.scores(asked), alone.scores(asked), atol=1e-3)
    assert {item for found in part.rank(asked, n=40) for item in found} == {item.id for item in items[:30]}
    with pytest.raises(InputError, match=r"texts have shape \(3, 24\), 10 items"):
        RetrieverSystem.load(
            bundle, items[:30], texts[:30], embedder=EMBEDDER, mentioned=items[30:], mentioned_texts=texts[:3]
        )
    with pytest.raises(InputError, match=r"texts have shape \(0, 24\), 10 items"):
        RetrieverSystem.load(bundle, items[:30], texts[:30], embedder=EMBEDDER, mentioned=items[30:])
