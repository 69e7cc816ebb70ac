"""Spans of OpenTelemetry for whoever wants them; until then nothing is imported and nothing is sent.

No span holds anything that a user, a model or an item says: attributes are numbers, names of models and routes, and of
an exception its class alone. The provider is kept here and not made OpenTelemetry's global one, since other libraries
would then send spans of their own, with paths and queries in them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal

from rarec.errors import MissingExtra, SettingsError

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer, TracerProvider

Value = str | bool | int | float | tuple[str, ...]
Kind = Literal["internal", "server", "client"]

EXPORTER = "OTEL_TRACES_EXPORTER"
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL = "http/protobuf"

_current: list[Tracer] = []
"""The tracer that is used now, if any."""


class Noted:
    """A span to write attributes into; one that is not there takes them and does nothing."""

    def __init__(self, span: Span | None) -> None:
        self._span = span

    def put(self, attributes: Mapping[str, Value]) -> None:
        """Add attributes."""
        if self._span is not None:
            self._span.set_attributes(dict(attributes))

    def name(self, name: str) -> None:
        """Give it another name, once it is known."""
        if self._span is not None:
            self._span.update_name(name)

    def fail(self, kind: str) -> None:
        """Say that it failed; `kind` is a class of errors or a status."""
        if self._span is not None:
            from opentelemetry.trace import Status, StatusCode

            self._span.set_attribute("error.type", kind)
            self._span.set_status(Status(StatusCode.ERROR))


_NOTHING = Noted(None)


def use(provider: TracerProvider | None) -> None:
    """Give the spans of this process to a provider from now on; None gives them to nobody."""
    _current[:] = [] if provider is None else [provider.get_tracer("rarec", metadata.version("rarec"))]


@contextmanager
def span(
    name: str,
    attributes: Mapping[str, Value] | None = None,
    *,
    kind: Kind = "internal",
    headers: Mapping[str, str] | None = None,
) -> Iterator[Noted]:
    """Around a stage of work; inside another span it belongs to that one, also in threads and tasks begun there.

    Args:
        headers: of a request, whose `traceparent` it belongs to if there is one.
    """
    tracer = next(iter(_current), None)  # looked up once: another thread may end it meanwhile
    if tracer is None:
        yield _NOTHING
        return
    from opentelemetry.trace import SpanKind, use_span

    begun = tracer.start_span(name, _context(headers), kind=SpanKind[kind.upper()], attributes=dict(attributes or {}))
    # The words and places of an exception are not written down: the first may quote a request.
    with use_span(begun, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        noted = Noted(begun)
        try:
            yield noted
        except BaseException as error:
            noted.fail(type(error).__qualname__)
            raise


def check() -> None:
    """Whether spans can be sent.

    Raises:
        MissingExtra: the packages are not installed.
        SettingsError: a variable of OpenTelemetry asks for what is not there.
    """
    _exporter_class()


def start() -> Callable[[], None]:
    """Send spans from now on, as OpenTelemetry's own variables say; what ends it, after the last are sent (blocks).

    OTEL_TRACES_EXPORTER is ``otlp`` (the default), ``console`` or ``none``; OTLP goes over HTTP to
    OTEL_EXPORTER_OTLP_ENDPOINT. The service's name is OTEL_SERVICE_NAME, else ``rarec``.

    Raises:
        MissingExtra, SettingsError: as `check`.
    """
    exporter = _exporter_class()
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    own = {"service.version": metadata.version("rarec")} | ({} if named else {"service.name": "rarec"})
    provider = TracerProvider(resource=Resource.create(own), shutdown_on_exit=False)
    if exporter is not None:
        provider.add_span_processor(BatchSpanProcessor(exporter()))
    use(provider)

    def end() -> None:
        use(None)
        provider.shutdown()

    return end


def _exporter_class() -> Any:
    """What sends spans; None where nothing is to be sent."""
    wanted = os.environ.get(EXPORTER, "").strip().lower() or "otlp"
    if wanted not in ("otlp", "console", "none"):
        raise SettingsError(f"{EXPORTER} is {wanted!r}; use 'otlp', 'console' or 'none'")
    protocol = next((value for name in PROTOCOLS if (value := os.environ.get(name, "").strip())), _PROTOCOL)
    if wanted == "otlp" and protocol != _PROTOCOL:
        raise SettingsError(f"{PROTOCOLS[1]} is {protocol!r}, and only {_PROTOCOL!r} is spoken: set it to that")
    try:
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        if wanted != "otlp":
            return ConsoleSpanExporter if wanted == "console" else None
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        package = "opentelemetry-exporter-otlp-proto-http" if "exporter.otlp" in str(error) else "opentelemetry-sdk"
        raise MissingExtra.of(package, "telemetry", "serve.telemetry") from error
    return OTLPSpanExporter


def _context(headers: Mapping[str, str] | None) -> Any:
    if headers is None:
        return None
    from opentelemetry.propagate import extract

    return extract(headers)
