"""What a language model is to us: one method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from rarec.types import Completion, CompletionRequest

OnText = Callable[[str], None]
"""Receives the answer piece by piece, in order, while it is being written."""


class LLM(Protocol):
    """A frozen black box that reads messages and writes text."""

    @property
    def name(self) -> str:
        """The model as the ledger and the answer name it, e.g. ``gpt-4o`` or ``local-ranker``."""
        ...

    async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
        """Answer within `request.deadline_s`.

        Raises:
            LLMTimeout: the deadline passed.
            LLMUnavailable: not reachable, overloaded after retries, or no key.
            LLMRefused: the request was rejected, or the model refused.
        """
        ...
