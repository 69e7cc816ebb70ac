"""One request to a language model that may fail: an answer, or the reason why there is none."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from rarec.errors import LLMError, LLMTimeout
from rarec.llm.budget import Spend
from rarec.llm.protocol import LLM
from rarec.types import Completion, CompletionRequest

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """How one request ended: with a completion, or with the reason why there is none.

    Attributes:
        latency_ms: as the model's client measured it, None if it did not; for a failure the time until then.
        cached: the answer was on disk; the tokens and the latency are those of the call that was made for it.
        spend: what this request took from budgets; nothing if it was cached or nobody counted.
    """

    completion: Completion | None
    latency_ms: float | None
    reason: str = ""
    cached: bool = False
    spend: Spend = field(default_factory=Spend)


async def ask_one(llm: LLM, request: CompletionRequest, *, level: int = logging.WARNING) -> Asked:
    """Ask a model, whose failures become an `Asked` without completion and a line in the log.

    Args:
        level: of the line.

    Raises:
        Whatever the model raises that is no LLMError: that is a mistake, not a failure of the model.
    """
    started = time.perf_counter()
    try:
        completion = await within_deadline(llm.name, request, lambda: llm.complete(request))
    except LLMError as error:
        log.log(level, "%s did not answer: %s", llm.name, error)
        return Asked(None, (time.perf_counter() - started) * 1000, str(error) or type(error).__name__)
    return Asked(completion, completion.latency_ms or None)


async def within_deadline(
    name: str, request: CompletionRequest, ask: Callable[[], Awaitable[Completion]]
) -> Completion:
    """The answer of `ask`, held to the request's deadline: a model may be anybody's code.

    Raises:
        LLMTimeout: the deadline passed, or the model raised a TimeoutError of its own.
    """
    try:
        with anyio.fail_after(request.deadline_s):
            return await ask()
    except TimeoutError as error:
        raise LLMTimeout(f"{name!r} gave no answer within {request.deadline_s:g} s") from error
