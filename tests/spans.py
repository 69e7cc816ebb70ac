"""A provider of spans for tests: what was begun and ended, kept in a list. Needs the package opentelemetry-api only."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, TraceFlags, Tracer, TracerProvider

from rarec import telemetry


class KeptSpan(Span):
    """A span as it was told."""

    def __init__(self, name: str, kind: SpanKind, attributes: Mapping[str, Any], own: int, parent: SpanContext) -> None:
        self.name, self.kind, self.attributes = name, kind, dict(attributes)
        self.parent = parent.span_id if parent.is_valid else None
        trace_id = parent.trace_id if parent.is_valid else own
        self._context = SpanContext(trace_id, own, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
        self.events: list[str] = []
        self.status: Status | None = None
        self.ended = False

    def get_span_context(self) -> SpanContext:
        return self._context

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self.attributes |= attributes

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        self.events.append(f"{name} {attributes}")

    def update_name(self, name: str) -> None:
        self.name = name

    def is_recording(self) -> bool:
        return not self.ended

    def set_status(self, status: Any, description: str | None = None) -> None:
        self.status = status

    def record_exception(self, exception: BaseException, *_: Any, **__: Any) -> None:
        self.events.append(f"exception {exception!r}")

    def end(self, end_time: int | None = None) -> None:
        self.ended = True


class Kept(TracerProvider, Tracer):
    """All spans, in the order in which they began."""

    def __init__(self) -> None:
        self.spans: list[KeptSpan] = []
        self._ids = itertools.count(1)

    def get_tracer(self, *_: Any, **__: Any) -> Tracer:
        return self

    def start_span(self, name: str, context: Any = None, kind: Any = SpanKind.INTERNAL, **given: Any) -> Span:
        parent = trace.get_current_span(context).get_span_context()
        span = KeptSpan(name, kind, given.get("attributes") or {}, next(self._ids), parent)
        self.spans.append(span)
        return span

    def start_as_current_span(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    def one(self, name: str) -> KeptSpan:
        """The only span of that name."""
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def below(self, span: KeptSpan) -> list[str]:
        """Names of the spans right below one, in order."""
        own = span.get_span_context().span_id
        return [other.name for other in self.spans if other.parent == own]


@contextmanager
def kept_spans() -> Iterator[Kept]:
    """Keep the spans of the block."""
    kept = Kept()
    telemetry.use(kept)
    try:
        yield kept
    finally:
        telemetry.use(None)
