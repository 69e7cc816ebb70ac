"""A frozen black box with a hidden taste, behind the language model protocol."""

from __future__ import annotations

import hashlib
import json
import math
import time

import anyio
import numpy as np

from rarec.errors import InputError, LLMError, LLMRefused, LLMTimeout
from rarec.llm.protocol import OnText
from rarec.prompt import check_task
from rarec.testing.judges.faults import Draft, Faults, cut, damaged, written
from rarec.testing.judges.memory import Floats, Memory
from rarec.testing.judges.reading import Reading
from rarec.testing.judges.taste import Taste, said_key, uniform
from rarec.types import Completion, CompletionRequest, RankingTask, Usage

_HEALTHY = Faults()
_PIECE = 16
_TOKEN_CHARS = 4


class SimulatedLLM:
    """Reads a request's task, ranks its candidates by a taste that nobody else is told, and answers in JSON.

    An answer hangs on the seed and the content of the request (messages, task, temperature): not on the order of the
    calls, the process, the conversation's id, or `max_tokens` until that cuts it off. So the same request fails the
    same way each time it is asked.

    Args:
        taste: how it scores; see `rarec.testing.judges.Taste`.
        memory: what it knows of the catalogue by heart; None knows nothing and sees only what a request shows.
        faults: what goes wrong, and how often.
        latency_s: real seconds before each answer or error. Where it reaches the deadline, the call ends there.
    Raises:
        InputError: `latency_s` is negative or not finite.
    """

    def __init__(
        self,
        taste: Taste,
        memory: Memory | None = None,
        *,
        faults: Faults = _HEALTHY,
        seed: int = 0,
        latency_s: float = 0.0,
        name: str = "simulated",
    ) -> None:
        if not 0 <= latency_s < math.inf:
            raise InputError(f"latency_s must be finite and >= 0, got {latency_s!r}")
        self.taste = taste
        self.memory = Memory.of(()) if memory is None else memory
        self.faults = faults
        self._seed = seed
        self._latency_s = latency_s
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    def scores(self, task: RankingTask, *, request: str = "") -> Floats:
        """What it thinks of each candidate, in the order in which they are shown, shape (m,).

        Args:
            request: the content that the taste's noise hangs on; empty is that of the task alone.
        Raises:
            InputError: no candidates, or `n` out of range.
        """
        check_task(task)
        return self.taste.scores(Reading(task, self.memory), seed=self._seed, request=request or _task_key(task))

    def order(self, task: RankingTask, *, request: str = "") -> list[int]:
        """Positions of all candidates, best first; ties in the order in which they are shown. Raises as `scores`."""
        return [int(place) for place in np.argsort(-self.scores(task, request=request), kind="stable")]

    async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
        """The answer to a request, streamed in pieces to `on_text`.

        Tokens are counted as characters / 4, and at least one.

        Raises:
            InputError: the request has no task; this model does not read messages.
            LLMTimeout: `latency_s` reaches the deadline, or a fault.
            LLMRefused: a fault.
        """
        task = request.task
        if task is None:
            raise InputError("a simulated judge reads the structured task of a request, and this one has none")
        check_task(task)
        start = time.perf_counter()
        # Before the wait, and within its time: callers that start together need not queue for it.
        answer = self._answer(task, request)
        await self._wait(start, request.deadline_s)
        if isinstance(answer, LLMError):
            raise answer
        text = answer
        if on_text is not None:
            for at in range(0, len(text), _PIECE):
                on_text(text[at : at + _PIECE])
        read = sum(len(message.content) for message in request.messages)
        usage = Usage(1, _tokens(read), _tokens(len(text)))
        return Completion(text, self._name, usage, (time.perf_counter() - start) * 1000)

    async def _wait(self, start: float, deadline_s: float) -> None:
        until = start + min(self._latency_s, deadline_s)
        await anyio.sleep(max(0.0, until - time.perf_counter()))
        if self._latency_s >= deadline_s:
            raise LLMTimeout(f"{self._name!r} gave no answer within {deadline_s:g} s; its latency is longer")

    def _answer(self, task: RankingTask, request: CompletionRequest) -> str | LLMError:
        key = _request_key(task, request)
        fault = self.faults.drawn(uniform("fault", self._seed, key))
        if fault == "refused":
            return LLMRefused(f"{self._name!r} does not want to answer this request; it was told to refuse some")
        if fault == "timeout":
            return LLMTimeout(f"{self._name!r} gave no answer within {request.deadline_s:g} s; it was told to")
        numbers = tuple(place + 1 for place in self.order(task, request=key)[: task.n])
        where = uniform("where", self._seed, key)
        draft = Draft(numbers, _reply(numbers), len(task.candidates), where)
        text = damaged(draft, uniform("form", self._seed, key)) if fault == "malformed" else written(draft)
        if fault == "truncated":
            text = cut(text, where)
        return text[: max(1, request.max_tokens * _TOKEN_CHARS)]


def _reply(numbers: tuple[int, ...]) -> str:
    first = f"From what you told me, [{numbers[0]}] should suit you best."
    return f"{first} If not, have a look at [{numbers[1]}]." if len(numbers) > 1 else first


def _tokens(characters: int) -> int:
    return max(1, math.ceil(characters / _TOKEN_CHARS))


def _task_key(task: RankingTask) -> str:
    return _hash([said_key(task.conversation), [str(c.item.id) for c in task.candidates], task.n])


def _request_key(task: RankingTask, request: CompletionRequest) -> str:
    messages = [(message.role, message.content) for message in request.messages]
    return _hash([_task_key(task), messages, request.temperature])


def _hash(what: object) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()
