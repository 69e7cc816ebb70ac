"""What an OpenAI-compatible server takes; support varies, so refused parameters are replaced or left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from rarec.types import CompletionRequest

Structure = Literal["json_schema", "json_object", "text"]

_SIMPLER: Mapping[Structure, Structure] = {"json_schema": "json_object", "json_object": "text"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """Which parameters to send. The first guess is today's OpenAI API; see `Dialect.without`."""

    structure: Structure = "json_schema"
    token_limit: Literal["max_completion_tokens", "max_tokens"] = "max_tokens"
    temperature: bool = True
    stream_usage: bool = True

    def parameters(self, request: CompletionRequest, *, stream: bool) -> dict[str, Any]:
        """The body of a chat completion, without the model. `request.task` never becomes part of it."""
        body: dict[str, Any] = {
            "messages": [{"role": message.role, "content": message.content} for message in request.messages],
            self.token_limit: request.max_tokens,
        }
        if self.temperature:
            body["temperature"] = request.temperature
        if request.schema is not None and self.structure == "json_schema":
            schema = {"name": "answer", "strict": True, "schema": dict(request.schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif request.schema is not None and self.structure == "json_object":
            body["response_format"] = {"type": "json_object"}
        if stream:
            body["stream"] = True
            if self.stream_usage:
                body["stream_options"] = {"include_usage": True}
        return body

    def without(self, complaint: str, *, structured: bool, stream: bool) -> Dialect | None:
        """What to try after a server refused a request with these words; None if nothing is left to leave out.

        The words are only a hint at what to change first. A wrong guess costs one more request: whoever calls
        remembers a dialect only once an answer came.
        """
        if "stream_options" in complaint and stream and self.stream_usage:
            return replace(self, stream_usage=False)
        if "max_tokens" in complaint and self.token_limit == "max_tokens":
            return replace(self, token_limit="max_completion_tokens")
        if "temperature" in complaint and self.temperature:
            return replace(self, temperature=False)
        if structured and self.structure in _SIMPLER:
            return replace(self, structure=_SIMPLER[self.structure])
        if stream and self.stream_usage:
            return replace(self, stream_usage=False)
        return None
