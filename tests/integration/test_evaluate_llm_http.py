"""Language models as systems over real HTTP on loopback, with what servers do wrong; and the local ranker."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rarec.conversations import Example
from rarec.evaluate.asking import Asking
from rarec.evaluate.llm_systems import LLMAlone, RankedByLLM
from rarec.llm import HttpLLM
from rarec.llm.budget import Prices
from rarec.llm.cached import AnswerFile, CachedLLM
from rarec.testing import FakeOpenAIServer, HashEmbedder, Reply
from rarec.types import Conversation, Item, ItemId, Mention, Turn


def example(name: str, text: str, *mentioned: ItemId) -> Example:
    mentions = tuple(Mention(item) for item in mentioned)
    return Example(name, 0, "d", "t", Conversation((Turn("user", text, mentions),)), (), frozenset(), mentioned)


class InOrder:
    """Ranks the catalogue as it was given."""

    name = "in-order"

    def __init__(self, items: Sequence[Item]) -> None:
        self._ids = tuple(item.id for item in items)

    def rank(self, examples: Sequence[Example], *, n: int) -> list[tuple[ItemId, ...]]:
        return [self._ids[:n] for _ in examples]


def ranked(*numbers: int) -> str:
    return json.dumps({"ranking": numbers, "reply": "Here."})


FAULTS: list[str | Reply] = [
    ranked(2, 1),
    Reply(refusal="I would rather not."),
    Reply(ranked(3, 3)),
    Reply('{"ranking": [3, 2'),
    Reply(raw=b"{"),
    Reply(status=500),
    Reply(hang=True),
    Reply(ranked(1, 2), usage=False),
]


def test_every_fault_of_a_server_costs_one_example_and_is_counted(small_catalogue: tuple[Item, ...]) -> None:
    def answer(body: Mapping[str, Any]) -> str | Reply:
        text = body["messages"][1]["content"]
        return next(fault for place, fault in enumerate(FAULTS) if f"wish {place}." in text)

    examples = [example(f"e{place}", f"wish {place}.") for place in range(len(FAULTS))]
    ids = [item.id for item in small_catalogue]
    with FakeOpenAIServer([answer]) as server:
        llm = HttpLLM("m", base_url=server.url, max_retries=0)
        asking = Asking(concurrency=4, deadline_s=1.0, prices=Prices(1.0, 2.0))
        found = RankedByLLM(InOrder(small_catalogue), llm, small_catalogue, candidates=5, n=2, asking=asking).answers(
            examples, n=5
        )
    plain = tuple(ids[:5])
    second_first = (ids[1], ids[0], *ids[2:5])
    third_first = (ids[2], ids[0], ids[1], *ids[3:5])
    third_second = (ids[2], ids[1], ids[0], *ids[3:5])
    assert [a.items for a in found] == [second_first, plain, third_first, third_second, plain, plain, plain, plain]
    calls = [a.call for a in found if a.call]
    assert [call.degraded for call in calls] == [False, True, False, False, True, True, True, False]
    assert [call.repaired for call in calls] == [False, False, True, True, False, False, False, False]
    assert [call.repeated for call in calls] == [0, 0, 1, 0, 0, 0, 0, 0]
    assert calls[0].input_tokens is not None
    assert calls[0].output_tokens == len(ranked(2, 1).split())
    assert calls[0].cost_usd == pytest.approx((calls[0].input_tokens + 2 * calls[0].output_tokens) / 1e6)
    assert (calls[7].input_tokens, calls[7].cost_usd) == (None, None), "this server does not say"
    assert all(call.latency_ms is not None and call.latency_ms > 0 for call in calls)
    assert calls[6].latency_ms == pytest.approx(1000, rel=0.8)


def test_alone_over_http_and_resumed_from_the_file(tmp_path: Path, small_catalogue: tuple[Item, ...]) -> None:
    text = json.dumps({"recommendations": [f"{small_catalogue[3].title} ({small_catalogue[3].year})", "Unheard Of"]})
    examples = [example(f"e{place}", f"wish {place}.") for place in range(6)]

    def run(url: str, part: Sequence[Example]) -> list[Any]:
        llm = CachedLLM(HttpLLM("m", base_url=url, max_retries=0), AnswerFile(tmp_path / "answers.jsonl"))
        return LLMAlone(llm, small_catalogue, titles=2).answers(part, n=5)

    with FakeOpenAIServer([text]) as server:
        first = run(server.url, examples[:4])
        again = run(server.url, examples)
        asked = server.requests_to("chat/completions")
    assert len(asked) == 6, "the first four were not asked twice"
    assert again[:4] == first, "tokens and latency are those of the call that was made"
    assert [answer.items for answer in again] == [(small_catalogue[3].id,)] * 6
    assert [answer.call.ungrounded for answer in again] == [1] * 6
    assert asked[0].body["response_format"]["type"] == "json_schema"


def test_the_local_ranker_behind_the_protocol_gives_the_ranked_row(small_catalogue: tuple[Item, ...]) -> None:
    """The same lists as asking it for its order directly, candidate by candidate."""
    import torch

    from rarec.evaluate.neural import RetrieverSystem
    from rarec.ranker.local import LocalRanker
    from rarec.ranker.model import Ranker, RankerConfig
    from rarec.ranker.tasks import RankingTasks
    from rarec.retriever.data import ItemTable
    from rarec.retriever.encoder import ConversationEncoder
    from rarec.retriever.features import PopularityScale
    from rarec.retriever.model import Retriever, RetrieverConfig

    items, embedder = small_catalogue, HashEmbedder(16)
    rows = {item.id: row for row, item in enumerate(items)}
    texts = embedder.embed([item.title for item in items])
    model = Retriever(RetrieverConfig(text_dimension=16, width=8, item_hidden=16, blocks=1), seed=0)
    table = ItemTable.of(items, texts, scale=PopularityScale([item.popularity for item in items]))
    vectors = model.project(table.features).numpy()
    encoder = ConversationEncoder(model, embedder, lambda ids: {i: vectors[rows[i]] for i in ids})
    retriever = RetrieverSystem(items, vectors, encoder)

    def embeddings(some: Sequence[Item]) -> np.ndarray[Any, np.dtype[np.float32]]:
        return texts[[rows[item.id] for item in some]]

    trained = Ranker(RankerConfig(text_dimension=16), seed=0)
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():  # a ranker that has learned nothing keeps the order
        for weight in trained.parameters():
            weight += torch.randn(weight.shape, generator=chance)
    ranker = LocalRanker(trained, embedder, embeddings)
    tasks = RankingTasks(model, items, vectors, embedder, embeddings, n=8)
    ids = [item.id for item in items]
    examples = [
        example("e0", "Something calm by the sea?"),
        example("e1", "I liked Marzipan.", ids[8]),
        example("e2", "More like these.", *ids[:15]),
    ]
    expected = []
    for one, plain in zip(examples, retriever.rank(examples, n=12), strict=True):
        task = tasks.tasks([one.conversation])[0]
        first = [task.candidates[place].item.id for place in ranker.order(task)]
        expected.append(tuple(dict.fromkeys([*first, *plain]))[:12])
    found = RankedByLLM(retriever, ranker, items, candidates=8, n=8).answers(examples, n=12)
    assert [answer.items for answer in found] == expected
    assert expected[0] != retriever.rank(examples, n=12)[0], "the ranker changes the order"
    assert [(a.call.named, a.call.repaired, a.call.cost_usd) for a in found if a.call] == [
        (8, False, None), (8, False, None), (5, False, None),
    ]  # fmt: skip
