"""Calls of a model as OpenTelemetry's conventions for generative AI name them; never what was said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from rarec.telemetry import Value, span
from rarec.types import Completion, CompletionRequest

_PORTS = {"http": 80, "https": 443}


@contextmanager
def call_span(model: str, base_url: str, request: CompletionRequest) -> Iterator[Callable[[Completion, str], None]]:
    """Around one call with all its repeats; gives what notes the answer and the reason for which it ended.

    Source: OpenTelemetry, semantic conventions for generative client spans.
    """
    where = urlsplit(base_url)
    attributes: dict[str, Value] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": model,
        "gen_ai.request.max_tokens": request.max_tokens,
        "gen_ai.request.temperature": request.temperature,
        "gen_ai.output.type": "text" if request.schema is None else "json",
        "server.address": where.hostname or "",
        "server.port": where.port or _PORTS.get(where.scheme, 0),
    }
    with span(f"chat {model}", attributes, kind="client") as noted:

        def note(completion: Completion, finish: str) -> None:
            noted.put(
                {
                    "gen_ai.response.model": completion.model,
                    "gen_ai.usage.input_tokens": completion.usage.prompt_tokens,
                    "gen_ai.usage.output_tokens": completion.usage.completion_tokens,
                    **({"gen_ai.response.finish_reasons": (finish,)} if finish else {}),
                }
            )

        yield note
