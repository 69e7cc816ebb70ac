"""The HTTP model against a server that misbehaves in every way we know of."""

from __future__ import annotations

import gc
import json
import logging
import socket
import sys
import threading
import time
import traceback
from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from rarec.errors import LLMError, LLMRefused, LLMTimeout, LLMUnavailable, MissingExtra, SettingsError
from rarec.llm import Dialect, HttpLLM, HttpOptions
from rarec.testing import FakeOpenAIServer, Reply, example_task
from rarec.types import Completion, CompletionRequest, Message, Usage

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
REQUEST = CompletionRequest((Message("system", "be brief"), Message("user", "one two")), deadline_s=10)
STRUCTURED = CompletionRequest(REQUEST.messages, SCHEMA, max_tokens=50, temperature=0.5, deadline_s=10)
FAST = HttpOptions(backoff_s=0.01)
KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def ask(llm: HttpLLM, request: CompletionRequest = REQUEST, **options: Any) -> Completion:
    async def go() -> Completion:
        async with llm:
            return await llm.complete(request, **options)

    return anyio.run(go)


def model(server: FakeOpenAIServer, **options: Any) -> HttpLLM:
    return HttpLLM("asked-model", base_url=server.url, options=FAST, **options)


def test_a_plain_answer() -> None:
    with FakeOpenAIServer([Reply("Four words in all.", model="served-model")]) as server:
        completion = ask(model(server), STRUCTURED)
        (request,) = server.requests
    assert (completion.text, completion.model) == ("Four words in all.", "served-model")
    assert completion.usage == Usage(calls=1, prompt_tokens=4, completion_tokens=4)
    assert completion.latency_ms > 0
    assert request.body["model"] == "asked-model"
    assert request.body["messages"][1] == {"role": "user", "content": "one two"}
    assert (request.body["max_tokens"], request.body["temperature"]) == (50, 0.5)
    assert request.body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert "stream" not in request.body


def test_a_streamed_answer_arrives_piece_by_piece_with_its_usage() -> None:
    pieces: list[str] = []
    times: list[float] = []

    def listen(piece: str) -> None:
        pieces.append(piece)
        times.append(time.perf_counter())

    with FakeOpenAIServer([Reply("Ça coule de source 😀!", piece_chars=4, piece_delay_s=0.05)]) as server:
        completion = ask(model(server), on_text=listen)
    assert "".join(pieces) == completion.text == "Ça coule de source 😀!"
    assert len(pieces) == 6
    assert times[-1] - times[0] > 0.15, "pieces came all at once"
    assert completion.usage == Usage(1, 4, 5)


def test_the_task_is_never_sent() -> None:
    with FakeOpenAIServer() as server:
        request = CompletionRequest((Message("user", "hi"),), task=example_task(), deadline_s=10)
        ask(model(server), request)
        sent = json.dumps([dict(r.body) for r in server.requests])
    assert "Lamp" not in sent
    assert set(server.requests[0].body) == {"model", "messages", "max_tokens", "temperature"}


@pytest.mark.parametrize(
    ("rejects", "kinds", "structure"),
    [
        ((), ["json_schema"], "json_schema"),
        (("json_schema",), ["json_schema", "json_object"], "json_object"),
        (("json_schema", "json_object"), ["json_schema", "json_object", None], "text"),
    ],
)
def test_structure_falls_back_and_is_remembered(rejects: Any, kinds: list[Any], structure: str) -> None:
    with FakeOpenAIServer(["{}"], rejects=rejects) as server:
        llm = model(server, max_retries=0)
        assert ask(llm, STRUCTURED).usage.calls == 1
        assert [r.body.get("response_format", {}).get("type") for r in server.requests] == kinds
        assert llm.dialect.structure == structure
        ask(llm, STRUCTURED)
        assert len(server.requests) == len(kinds) + 1
        ask(llm)
    assert "response_format" not in server.requests[-1].body


def test_other_parameters_fall_back_too() -> None:
    with FakeOpenAIServer(["{}"], rejects=["max_tokens", "temperature", "stream_options"]) as server:
        llm = model(server, max_retries=0)
        ask(llm, STRUCTURED, on_text=lambda piece: None)
        assert len(server.requests) == 4
        body = server.requests[-1].body
        ask(llm, STRUCTURED)
        assert len(server.requests) == 5
    assert body["max_completion_tokens"] == 50
    assert body["response_format"]["type"] == "json_schema"
    assert not {"max_tokens", "temperature", "stream_options"} & set(body)
    assert llm.dialect == Dialect("json_schema", "max_completion_tokens", temperature=False, stream_usage=False)


def test_a_request_that_no_form_makes_right_is_refused_and_nothing_is_remembered() -> None:
    with FakeOpenAIServer([Reply(status=400, message="too odd")]) as server:
        llm = model(server)
        with pytest.raises(LLMRefused, match=r"answered 400: .*too odd"):
            ask(llm, STRUCTURED)
        assert len(server.requests) == 3
        assert llm.dialect == Dialect()


@pytest.mark.parametrize("code", ["context_length_exceeded", "model_not_found", "content_filter"])
def test_some_refusals_are_final_at_once(code: str) -> None:
    with FakeOpenAIServer([Reply(status=400, code=code)]) as server:
        with pytest.raises(LLMRefused, match="400"):
            ask(model(server), STRUCTURED)
        assert len(server.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (Reply(refusal="I cannot"), LLMRefused, "I cannot"),
        (Reply("half", finish_reason="content_filter"), LLMRefused, "content filter"),
        (Reply(choices=False), LLMUnavailable, "without any choice"),
        (Reply(""), LLMUnavailable, "empty message"),
        (Reply(status=413), LLMRefused, "413"),
        (Reply(status=402), LLMUnavailable, "no quota"),
        (Reply(status=429, code="insufficient_quota"), LLMUnavailable, "no quota"),
    ],
)
def test_answers_that_are_none(reply: Reply, error: type[LLMError], words: str, stream: bool) -> None:
    with FakeOpenAIServer([reply]) as server:
        with pytest.raises(error, match=words):
            ask(model(server), on_text=(lambda piece: None) if stream else None)
        assert len(server.requests) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reply", "usage"),
    [
        (Reply("", finish_reason="length"), Usage(1, 4, 0)),
        (Reply("half", finish_reason="content_filter"), Usage(1, 4, 1)),
        (Reply("half", finish_reason="content_filter", usage=False), Usage(1)),
        (Reply(choices=False), None),
        (Reply(status=413), None),
        (Reply(drop_after=0), None),
    ],
)
def test_an_answer_that_is_no_use_says_what_it_took(reply: Reply, usage: Usage | None, stream: bool) -> None:
    with FakeOpenAIServer([reply]) as server, pytest.raises(LLMError) as caught:
        ask(model(server, max_retries=0), on_text=(lambda piece: None) if stream else None)
    assert caught.value.usage == usage


MALFORMED = [
    *(b"{", b"", b"[]", b"null", b'"text"', b"\xff", b'{"choices": 3}', b'{"choices": [null]}'),
    b'{"choices": [{"message": {"content": [1]}}], "usage": {"prompt_tokens": "x"}}',
]


@pytest.mark.parametrize("raw", MALFORMED)
@pytest.mark.parametrize("stream", [False, True])
def test_malformed_bodies_are_an_unavailable_model(raw: bytes, stream: bool) -> None:
    with FakeOpenAIServer([Reply(raw=raw)]) as server, pytest.raises(LLMUnavailable, match="asked-model"):
        ask(model(server), on_text=(lambda piece: None) if stream else None)


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_names_the_variable_and_is_not_repeated(status: int) -> None:
    with FakeOpenAIServer([Reply(status=status)]) as server:
        with pytest.raises(LLMUnavailable, match="OPENAI_API_KEY"):
            ask(model(server))
        assert len(server.requests) == 1


@pytest.mark.parametrize("failure", [Reply(status=429), Reply(status=500), Reply(status=503), Reply(drop_after=0)])
@pytest.mark.parametrize("stream", [False, True])
def test_busy_servers_are_asked_again(failure: Reply, stream: bool) -> None:
    pieces: list[str] = []
    with FakeOpenAIServer([failure, failure, "Here."]) as server:
        completion = ask(model(server), on_text=pieces.append if stream else None)
        assert len(server.requests) == 3
    assert completion.text == "Here."
    assert "".join(pieces) == ("Here." if stream else "")


def test_repeats_are_bounded() -> None:
    with FakeOpenAIServer([Reply(status=503, message="overloaded")]) as server:
        with pytest.raises(LLMUnavailable, match=r"503: .*overloaded"):
            ask(model(server, max_retries=1))
        assert len(server.requests) == 2


def test_retry_after_is_kept() -> None:
    with FakeOpenAIServer([Reply(status=429, headers={"Retry-After": "0.3"}), "Here."]) as server:
        start = time.perf_counter()
        assert ask(model(server)).text == "Here."
        assert time.perf_counter() - start > 0.3


def test_a_retry_after_beyond_the_deadline_fails_at_once() -> None:
    with FakeOpenAIServer([Reply(status=429, headers={"Retry-After": "3600"})]) as server:
        with pytest.raises(LLMUnavailable, match=r"next try is in 3600.0 s, but the deadline leaves"):
            ask(model(server))
        assert len(server.requests) == 1


SLOW = [
    Reply(hang=True),
    Reply(delay_s=30),
    Reply("x" * 1000, piece_delay_s=0.05),
    Reply(status=503, delay_s=0.15),
]


@pytest.mark.parametrize("reply", SLOW, ids=["hang", "late", "slow bytes", "slow failures"])
def test_one_deadline_covers_everything(reply: Reply) -> None:
    """Without it each of these would end in another way, after many seconds."""
    request = CompletionRequest(REQUEST.messages, deadline_s=0.4)
    with FakeOpenAIServer([reply]) as server:
        llm = HttpLLM("m", base_url=server.url, max_retries=1000, options=HttpOptions(backoff_s=0.0))
        with pytest.raises(LLMTimeout, match=r"within 0.4 s"):
            ask(llm, request, on_text=lambda piece: None)
        assert len(server.requests) <= 4, "each failure takes 0.15 s at least"


def test_a_failure_that_comes_when_the_time_is_over_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine looks at the answer only after the deadline: nothing is left to wait in."""
    once = HttpLLM._once

    async def late(*arguments: Any) -> Any:
        try:
            return await once(*arguments)
        finally:
            time.sleep(2.1)  # the loop stands still past the deadline, with the answer in its hands

    monkeypatch.setattr(HttpLLM, "_once", late)
    request = CompletionRequest(REQUEST.messages, deadline_s=2.0)
    with FakeOpenAIServer([Reply(status=503)]) as server:
        llm = HttpLLM("m", base_url=server.url, max_retries=5, options=HttpOptions(backoff_s=30.0))
        with pytest.raises(LLMTimeout, match=r"within 2 s"):
            ask(llm, request)
        assert len(server.requests) == 1


@pytest.mark.parametrize("deadline_s", [0.0, -1.0, float("nan")])
def test_no_time_left_means_no_request(deadline_s: float) -> None:
    with FakeOpenAIServer() as server:
        with pytest.raises(LLMTimeout):
            ask(model(server), CompletionRequest(REQUEST.messages, deadline_s=deadline_s))
        assert server.requests == []


def test_a_stream_that_broke_after_text_is_not_repeated() -> None:
    pieces: list[str] = []
    with FakeOpenAIServer([Reply("Hello, dear friend", drop_after=3), "Hello."]) as server:
        with pytest.raises(LLMUnavailable, match="no usable answer") as caught:
            ask(model(server), on_text=pieces.append)
        assert len(server.requests) == 1
        assert caught.value.usage == Usage(1), "it had begun, and nobody said what it took"
    assert "".join(pieces) == "Hello, dea"


def test_nobody_listens_on_the_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(LLMUnavailable, match="check that the server runs"):
            ask(HttpLLM("m", base_url=url, options=FAST))


def test_a_key_is_needed_away_from_this_machine_and_nothing_is_sent_without() -> None:
    for url in (None, "https://api.example.org/v1", "http://10.0.0.1:8000/v1", "http://localhost.example.org/v1"):
        with pytest.raises(LLMUnavailable, match="set the environment variable OPENAI_API_KEY"):
            ask(HttpLLM("m", base_url=url))


def test_key_and_address_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeOpenAIServer(key=KEY) as server:
        monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        assert ask(HttpLLM("m")).text == "Hello."
        with pytest.raises(LLMUnavailable):
            ask(HttpLLM("m", api_key="other"))


def test_the_key_never_shows(caplog: pytest.LogCaptureFixture) -> None:
    shown: list[str] = []
    with caplog.at_level(logging.DEBUG), FakeOpenAIServer([Reply(status=500, message=f"bad {KEY}")]) as server:
        for url in (server.url, server.url.replace("/v1", "/nowhere")):
            llm = HttpLLM("m", base_url=url, api_key=KEY, max_retries=1, options=FAST)
            with pytest.raises(LLMError) as caught:
                ask(llm, STRUCTURED)
            shown += [repr(llm), str(llm), *traceback.format_exception(caught.value)]
        server.key = "another"
        with pytest.raises(LLMUnavailable) as caught:
            ask(HttpLLM("m", base_url=server.url, api_key=KEY))
        shown += traceback.format_exception(caught.value)
        assert KEY in server.requests[0].headers["authorization"], "the key is sent"
    assert "***" in "".join(shown)
    for text in [*shown, caplog.text]:
        assert KEY not in text


@pytest.mark.parametrize("key", ["sk-\u2026", "sk-a\nb", "sk-a\x00"])
def test_a_key_that_cannot_be_one_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(SettingsError, match="OPENAI_API_KEY") as caught:
        HttpLLM("m", api_key=key)
    assert "sk-" not in str(caught.value)


def test_wrong_settings_are_refused_at_once() -> None:
    for url in ("127.0.0.1:8000", "ftp://x/v1", "http://", "nonsense", "http://x:70000/v1", "http://x:y/v1"):
        with pytest.raises(SettingsError, match="base_url"):
            HttpLLM("m", base_url=url)
    with pytest.raises(SettingsError, match="name is empty"):
        HttpLLM(" ")
    with pytest.raises(SettingsError, match="max_retries"):
        HttpLLM("m", max_retries=-1)


def test_a_missing_client_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtra, match=r"pip install -e '\.\[serve\]'"):
        HttpLLM("m")


def test_the_representation_hides_credentials_in_the_address() -> None:
    assert (
        repr(HttpLLM("m", base_url="http://me:pw@127.0.0.1:1/v1/")) == "HttpLLM('m', base_url='http://127.0.0.1:1/v1')"
    )


def test_extra_headers_travel() -> None:
    with FakeOpenAIServer() as server:
        ask(HttpLLM("m", base_url=server.url, options=HttpOptions(headers={"X-Team": "films"})))
        assert server.requests[0].headers["x-team"] == "films"


def test_a_proxy_does_not_stand_between_us_and_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with FakeOpenAIServer() as server:
        assert ask(model(server, max_retries=0)).text == "Hello."


def test_connections_are_reused_within_a_loop_and_closed_afterwards() -> None:
    with FakeOpenAIServer() as server:

        async def go() -> None:
            async with model(server) as llm:
                for _ in range(3):
                    await llm.complete(REQUEST)
                assert len(llm._clients) == 1
            assert not llm._clients
            assert (await llm.complete(REQUEST)).text == "Hello."
            await llm.aclose()

        anyio.run(go)
        connections = server.connections
    gc.collect()  # an open socket would warn here, and warnings are errors
    assert connections == 2


def test_calls_from_threads_with_loops_of_their_own() -> None:
    with FakeOpenAIServer([Reply(delay_s=0.1)]) as server:
        llm = model(server)
        texts: list[str] = []

        def work() -> None:
            with start_blocking_portal() as portal:
                texts.extend(portal.call(llm.complete, REQUEST).text for _ in range(2))
                portal.call(llm.aclose)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert texts == ["Hello."] * 8


def test_cancelling_from_outside_is_not_a_timeout() -> None:
    with FakeOpenAIServer([Reply(hang=True)]) as server:

        async def go() -> bool:
            async with model(server) as llm:
                with anyio.move_on_after(0.2) as scope:
                    await llm.complete(REQUEST)
                return scope.cancelled_caught

        assert anyio.run(go)
