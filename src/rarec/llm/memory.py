"""A few answers of a language model in memory, for questions that come again soon."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

from rarec.llm.cached import request_key
from rarec.types import Completion, CompletionRequest


class AnswerMemory:
    """Completions by what was asked: messages, schema and sampling settings, whoever asked. Safe in threads.

    Only what was asked for at temperature 0 is kept. The answer that was used longest ago goes first.

    Args:
        most: answers; 0 keeps none.
        for_s: how long one counts.
        clock: seconds, rising.
    """

    def __init__(self, most: int, for_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._for_s, self._clock = most, for_s, clock
        self._lock = threading.Lock()
        self._answers: OrderedDict[str, tuple[float, Completion]] = OrderedDict()

    def __len__(self) -> int:
        """How many are kept, old ones included."""
        return len(self._answers)

    def get(self, model: str, request: CompletionRequest) -> Completion | None:
        """The answer, if one is kept."""
        key = _key(model, request)
        with self._lock:
            kept = self._answers.get(key)
            if kept is None:
                return None
            if kept[0] < self._clock():
                del self._answers[key]
                return None
            self._answers.move_to_end(key)
            return kept[1]

    def put(self, model: str, request: CompletionRequest, completion: Completion) -> None:
        """Keep an answer that was good."""
        if self._most == 0 or request.temperature != 0:
            return
        with self._lock:
            key = _key(model, request)
            self._answers[key] = self._clock() + self._for_s, completion
            self._answers.move_to_end(key)
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)


def _key(model: str, request: CompletionRequest) -> str:
    """Without the task, whose conversation has a name of its own; the prompt says all of it."""
    return request_key(model, replace(request, task=None))
