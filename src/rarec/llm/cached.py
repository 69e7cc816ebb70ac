"""Answers of a language model on disk, so that no answer is paid for twice."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from rarec.files import LineFile
from rarec.llm.protocol import LLM, OnText
from rarec.types import Completion, CompletionRequest, Usage

log = logging.getLogger(__name__)


def request_key(model: str, request: CompletionRequest) -> str:
    """What an answer depends on, as sha256: the model's name, the messages, the schema and the sampling settings.

    Models that run in this process read the task instead of the messages, so its candidates belong to it too. The
    deadline does not.
    """
    task = request.task
    content = {
        "model": model,
        "messages": [[message.role, message.content] for message in request.messages],
        "schema": request.schema,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "task": None if task is None else [task.conversation.id, task.n, [c.item.id for c in task.candidates]],
    }
    text = json.dumps(content, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


class AnswerFile:
    """Completions by key in a file of JSON lines that only grows.

    A line is on the disk before `add` returns. A line that a kill cut off is passed over when the file is read, and
    the next line starts anew; the answer of a cut line is asked for again. Several processes may append to one file;
    each reads what was there when it opened it.

    Args:
        path: made if it does not exist, its folder too.
    Raises:
        StoreError: the file cannot be read or written.
    """

    def __init__(self, path: str | Path) -> None:
        self._lines = LineFile(Path(path), what="the answers")
        self._known: dict[str, Completion] = {}
        self.damaged = 0
        """Lines that could not be read."""
        for _, line in self._lines.read():
            self._take(line)
        if self.damaged:
            log.warning("%s has %d lines that cannot be read; their answers are asked for again", path, self.damaged)

    def __len__(self) -> int:
        """How many answers it holds."""
        return len(self._known)

    def get(self, key: str) -> Completion | None:
        """The answer of a key, with the tokens and the latency of the call that was made; None if there is none."""
        return self._known.get(key)

    def add(self, key: str, completion: Completion) -> None:
        """Write an answer down; a later one of the same key replaces it.

        Raises:
            StoreError: the disk is full or the file cannot be written.
        """
        self._lines.add(json.dumps(_to_json(key, completion), ensure_ascii=True).encode("ascii"))
        self._known[key] = completion

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            key, completion = _from_json(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.damaged += 1
        else:
            self._known[key] = completion


class CachedLLM:
    """A language model that is asked once for each request; later it answers from the file.

    An answer from the file has the tokens and the latency of the call that was made, so that figures about a run
    that was broken off and resumed are those of the whole run. Failures are not kept. Equal requests that come at the
    same time wait for the first.

    The key has the model's name and not its address: give models of different servers different files.
    """

    def __init__(self, llm: LLM, answers: AnswerFile) -> None:
        self._llm, self._answers = llm, answers
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.asked = 0
        """Calls that went to the model."""

    @property
    def name(self) -> str:
        return self._llm.name

    async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
        """The answer from the file, else the model's; raises as the model does, and StoreError."""
        completion, cached = await self.fetch(request, lambda: self._llm.complete(request, on_text=on_text))
        if cached and on_text is not None:
            on_text(completion.text)
        return completion

    async def fetch(
        self, request: CompletionRequest, ask: Callable[[], Awaitable[Completion]]
    ) -> tuple[Completion, bool]:
        """The answer, and whether the file had it; if not, it is that of `ask`, on the disk when this returns.

        Raises:
            Whatever `ask` raises, and StoreError.
        """
        key = request_key(self.name, request)
        lock = self._asking.setdefault(key, asyncio.Lock())
        async with lock:
            known = self._answers.get(key)
            if known is not None:
                return known, True
            self.asked += 1
            completion = await ask()
            await asyncio.to_thread(self._answers.add, key, completion)  # the disk may be slow
            return completion, False

    async def aclose(self) -> None:
        """Close the model's connections, if it has any."""
        if (aclose := getattr(self._llm, "aclose", None)) is not None:
            await aclose()


def _to_json(key: str, completion: Completion) -> dict[str, Any]:
    usage = completion.usage
    return {
        "key": key,
        "text": completion.text,
        "model": completion.model,
        "usage": [usage.calls, usage.prompt_tokens, usage.completion_tokens],
        "latency_ms": completion.latency_ms,
    }


def _from_json(record: Any) -> tuple[str, Completion]:
    """Raises ValueError, KeyError, TypeError or AttributeError if it is no record of ours."""
    key, text, model = record["key"], record["text"], record["model"]
    if not (isinstance(key, str) and isinstance(text, str) and isinstance(model, str)):
        raise ValueError("key, text and model are texts")
    calls, read, written = map(int, record["usage"])
    return key, Completion(text, model, Usage(calls, read, written), float(record["latency_ms"]))
