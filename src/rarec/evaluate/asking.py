"""Many requests to a language model at a time, and what each call cost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from rarec.background import BackgroundLoop
from rarec.errors import InputError
from rarec.evaluate.predictions import Call
from rarec.llm.asking import Asked, ask_one
from rarec.llm.budget import Prices
from rarec.llm.protocol import LLM
from rarec.prompt.text import whole_characters
from rarec.types import CompletionRequest


@dataclass(frozen=True, slots=True)
class Asking:
    """How a model is asked.

    Attributes:
        concurrency: requests in flight.
        deadline_s: for each request, repeats after a busy server included.
        max_tokens, temperature: see `CompletionRequest`.
        prices: None where they are not known; no cost is reported then.
    Raises:
        InputError: a number is out of range.
    """

    concurrency: int = 8
    deadline_s: float = 60.0
    max_tokens: int = 800
    temperature: float = 0.0
    prices: Prices | None = None

    def __post_init__(self) -> None:
        if self.concurrency < 1 or not self.deadline_s > 0 or self.max_tokens < 1:
            raise InputError(
                "concurrency and max_tokens must be at least 1 and deadline_s more than 0, got "
                f"{self.concurrency!r}, {self.max_tokens!r} and {self.deadline_s!r}"
            )


def call_of(asked: Asked, prices: Prices | None) -> Call:
    """Its latency, tokens, cost and text; what the answer meant is for the caller to add.

    A request without an answer is `degraded`, and what it may have cost is not known.
    """
    if asked.completion is None:
        return Call(latency_ms=asked.latency_ms, degraded=True, failure=asked.reason)
    usage = asked.completion.usage
    known = usage.prompt_tokens > 0  # zeros where the provider does not say
    read, written = (usage.prompt_tokens, usage.completion_tokens) if known else (None, None)
    return Call(
        latency_ms=asked.latency_ms,
        input_tokens=read,
        output_tokens=written,
        cost_usd=None if prices is None else prices.cost(read, written),
        answer=whole_characters(asked.completion.text),
    )


def ask_all(llm: LLM, requests: Sequence[CompletionRequest], *, concurrency: int) -> list[Asked]:
    """Ask a model all requests, at most `concurrency` at a time; results are in the order of the requests.

    Runs in a thread of its own, so it may be called from code that runs in an event loop. Ctrl-C cancels what is in
    flight. A model that fails or exceeds the request's deadline gives an `Asked` without completion, with the reason,
    and a line in the log (info: whoever asks knows how many there are, and says it once).

    Raises:
        Whatever the model raises that is no LLMError: that is a mistake, not a failure of the model.
    """
    if not requests:
        return []
    loop = BackgroundLoop()
    answers = loop.start(lambda: _ask_all(llm, requests, concurrency))
    try:
        return answers.result()
    finally:
        answers.cancel()
        loop.close()


async def _ask_all(llm: LLM, requests: Sequence[CompletionRequest], concurrency: int) -> list[Asked]:
    free = asyncio.Semaphore(concurrency)

    async def ask(request: CompletionRequest) -> Asked:
        async with free:
            return await ask_one(llm, request, level=logging.INFO)

    try:
        return list(await asyncio.gather(*map(ask, requests)))
    finally:
        # Connections belong to this event loop, which ends here.
        if (aclose := getattr(llm, "aclose", None)) is not None:
            await aclose()
