"""Reading what a server sent, field by field, believing none of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from rarec.errors import LLMRefused, LLMUnavailable
from rarec.llm.protocol import OnText
from rarec.types import Usage

MAX_CHARS = 1_000_000
"""A stream longer than this is cut; no answer we ask for comes near."""


@dataclass(slots=True)
class Answer:
    """What has been read of an answer so far."""

    model: str = ""
    pieces: list[str] = field(default_factory=list[str])
    chars: int = 0
    choices: int = 0
    refusal: str = ""
    finish: str = ""
    usage: Usage = field(default_factory=lambda: Usage(calls=1))

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def begun(self) -> Usage | None:
        """What is counted, if anything of an answer has come; zeros where nobody says."""
        return self.usage if self.choices else None

    def take(self, event: object, *, part: str) -> str:
        """Read a completion (`part` is ``message``) or a chunk of a stream (``delta``); the new text is returned."""
        self.model = _text(event, "model") or self.model
        self._take_usage(getattr(event, "usage", None))
        choices = getattr(event, "choices", None)
        if not isinstance(choices, list) or not choices:
            return ""
        self.choices += 1
        self.finish = _text(choices[0], "finish_reason") or self.finish
        message = getattr(choices[0], part, None)
        self.refusal += _text(message, "refusal")
        piece = _text(message, "content")
        if piece:
            self.pieces.append(piece)
            self.chars += len(piece)
        return piece

    def _take_usage(self, usage: object) -> None:
        if usage is not None:
            self.usage = Usage(1, _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"))

    def checked_text(self, name: str) -> str:
        """The text, if this is an answer.

        Raises:
            LLMRefused: the model refused, or a filter stopped it.
            LLMUnavailable: there is nothing in it.
        """
        if self.refusal:
            raise LLMRefused(f"{name} refused to answer: {self.refusal[:200]!r}")
        if self.finish == "content_filter":
            raise LLMRefused(f"a content filter of the provider stopped the answer of {name}; change the prompt")
        if not self.choices:
            raise LLMUnavailable(f"{name} answered without any choice; try again or check what base_url points to")
        if not self.chars:
            raise LLMUnavailable(
                f"{name} answered with an empty message (finish_reason {self.finish!r}); "
                "if it is a reasoning model, raise max_tokens"
            )
        return self.text


async def read_stream(stream: AsyncIterator[object], answer: Answer, on_text: OnText) -> None:
    """Read chunks to the end, passing text on as it comes."""
    async for chunk in stream:
        if piece := answer.take(chunk, part="delta"):
            on_text(piece)
        if answer.chars > MAX_CHARS:
            break


def _text(holder: Any, name: str) -> str:
    value = getattr(holder, name, None)
    return value if isinstance(value, str) else ""


def _count(holder: Any, name: str) -> int:
    value = getattr(holder, name, None)
    return value if isinstance(value, int) and value > 0 else 0
