"""Spans: none unless they are wanted, and none that holds what somebody said."""

from __future__ import annotations

import subprocess
import sys

import anyio
import pytest
from opentelemetry.trace import SpanKind, StatusCode

from rarec import telemetry
from rarec.errors import LLMError, MissingExtra, SettingsError
from rarec.llm import HttpLLM
from rarec.telemetry import span
from rarec.testing import FakeOpenAIServer, Reply
from rarec.types import CompletionRequest, Message
from spans import kept_spans

SECRET = "my-name-is-Ludmilla"
NO_SDK = "the packages of the extra 'telemetry' are not installed"


def test_without_telemetry_nothing_is_imported() -> None:
    code = (
        "import sys, rarec.telemetry, rarec.llm.http\n"
        "with rarec.telemetry.span('x', {'a': 1}) as noted: noted.put({'b': 2}); noted.fail('why')\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_spans_lie_inside_each_other_also_across_threads_and_say_how_they_ended() -> None:
    def below() -> None:
        with span("inner"):
            raise ValueError(SECRET)

    async def go() -> None:
        with span("outer", {"a": 1}, kind="server") as noted:
            noted.put({"b": "x"})
            with pytest.raises(ValueError):
                await anyio.to_thread.run_sync(below)

    with kept_spans() as kept:
        anyio.run(go)
    outer, inner = kept.one("outer"), kept.one("inner")
    assert (outer.attributes, outer.kind, outer.parent) == ({"a": 1, "b": "x"}, SpanKind.SERVER, None)
    assert kept.below(outer) == ["inner"]
    assert inner.attributes == {"error.type": "ValueError"}
    assert inner.status is not None
    assert inner.status.status_code is StatusCode.ERROR
    assert outer.status is None
    assert not inner.events, "words of exceptions may quote a request"
    assert all(one.ended for one in kept.spans)


def test_a_request_may_say_what_it_belongs_to() -> None:
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with kept_spans() as kept:
        for header in (caller, "nonsense"):
            with span(header, kind="server", headers={"traceparent": header}):
                pass
    assert kept.one(caller).parent == 0xB7AD6B7169203331
    assert kept.one("nonsense").parent is None


def ask(server: FakeOpenAIServer) -> None:
    async def go() -> None:
        async with HttpLLM("asked-model", base_url=server.url, max_retries=0) as llm:
            request = CompletionRequest((Message("user", SECRET),), {"type": "object"}, max_tokens=50, deadline_s=10)
            await llm.complete(request)

    anyio.run(go)


def test_a_call_of_a_model_is_described_as_the_conventions_say() -> None:
    with kept_spans() as kept, FakeOpenAIServer([Reply(SECRET, model="served-model")]) as server:
        ask(server)
        port = int(server.url.split(":")[2].partition("/")[0])
    call = kept.one("chat asked-model")
    assert call.kind is SpanKind.CLIENT
    assert call.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "asked-model",
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.temperature": 0.0,
        "gen_ai.output.type": "json",
        "gen_ai.response.model": "served-model",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.usage.output_tokens": 1,
        "server.address": "127.0.0.1",
        "server.port": port,
    }


def test_a_call_that_fails_says_how_and_not_with_which_words() -> None:
    with kept_spans() as kept, FakeOpenAIServer([Reply(refusal=SECRET)]) as server, pytest.raises(LLMError):
        ask(server)
    call = kept.one("chat asked-model")
    assert call.attributes["error.type"] == "LLMRefused"
    assert SECRET not in f"{call.attributes} {call.events} {call.status and call.status.description}"


def test_a_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)
    with pytest.raises(MissingExtra, match=r"pip install -e '\.\[telemetry\]'"):
        telemetry.check()


@pytest.mark.parametrize(("name", "value"), [(telemetry.EXPORTER, "zipkin"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")])
def test_what_cannot_be_sent_is_told(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"{name} is '{value}'"):
        telemetry.check()


def test_spans_are_written_where_the_variables_say(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("opentelemetry.sdk.trace", reason=NO_SDK)
    monkeypatch.setenv(telemetry.EXPORTER, "console")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "films")
    end = telemetry.start()
    with span("stage", {"a": 1}):
        pass
    end()
    with span("after"):
        pass
    said = capsys.readouterr().out
    assert '"name": "stage"' in said
    assert '"service.name": "films"' in said
    assert "after" not in said


def test_spans_go_to_a_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http.trace_exporter", reason=NO_SDK)
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    bodies: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Stay silent."""

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        end = telemetry.start()
        with span("stage"):
            pass
        end()
        server.shutdown()
        thread.join()
    assert [path for path, _ in bodies] == ["/v1/traces"]
    assert b"stage" in bodies[0][1]
    assert b"rarec" in bodies[0][1]
