"""A language model that says what a test tells it to."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

import anyio

from rarec.errors import LLMTimeout, LLMUnavailable
from rarec.llm.protocol import OnText
from rarec.types import Completion, CompletionRequest, Usage

Scripted = str | Completion | Exception | Callable[[CompletionRequest], str]
"""One answer: a text, a whole completion, an error to raise, or a function of the request."""

_PIECE = 7


class ScriptedLLM:
    """Gives its answers in order, one a call, and keeps the requests it got in `requests`.

    With `on_text` an answer comes in pieces of a few characters. Endless iterables are welcome; a script that has run
    out raises LLMUnavailable. `latency_s` passes before each answer; past the deadline it is LLMTimeout, as elsewhere.
    Tokens are counted as words.
    """

    def __init__(self, answers: Iterable[Scripted], *, latency_s: float = 0.0, name: str = "scripted") -> None:
        self.requests: list[CompletionRequest] = []
        self._answers = iter(answers)
        self._latency_s = latency_s
        self._name = name
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._name

    async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
        """The next answer of the script.

        Raises:
            LLMTimeout: `latency_s` is not less than the deadline.
            LLMUnavailable: the script has run out.
        """
        start = time.perf_counter()
        with self._lock:
            self.requests.append(request)
            answer = next(self._answers, None)
            number = len(self.requests)
        if self._latency_s >= request.deadline_s:
            await anyio.sleep(max(request.deadline_s, 0.0))
            raise LLMTimeout(f"{self._name!r} gave no answer within {request.deadline_s:g} s")
        await anyio.sleep(self._latency_s)
        if answer is None:
            raise LLMUnavailable(f"the script of {self._name!r} has no answer for call {number}; give it more answers")
        if isinstance(answer, Exception):
            raise answer
        completion = answer if isinstance(answer, Completion) else self._completion(answer, request, start)
        if on_text is not None:
            for at in range(0, len(completion.text), _PIECE):
                on_text(completion.text[at : at + _PIECE])
        return completion

    def _completion(
        self, answer: str | Callable[[CompletionRequest], str], request: CompletionRequest, start: float
    ) -> Completion:
        text = answer if isinstance(answer, str) else answer(request)
        read = sum(len(message.content.split()) for message in request.messages)
        return Completion(
            text, self._name, Usage(1, read, len(text.split())), latency_ms=(time.perf_counter() - start) * 1000
        )
