"""The chat API, asked by the official client over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
from fastapi import FastAPI

from rarec.pipeline import Recommender
from rarec.service import create_app
from rarec.settings import ServeSettings
from rarec.testing import FakeOpenAIServer, Reply
from rarec.testing.replies import Answer
from serving import Running, running, until

MakeStore = Callable[[str], Path]
Serve = Callable[..., Running]
ASKED = [{"role": "user", "content": "I liked Quiet Harbour. Something like it?"}]


@pytest.fixture
def serve(make_store: MakeStore) -> Iterator[Serve]:
    """Serves a store with a fake model behind: its answers, and limits."""
    with ExitStack() as open_:

        def start(*answers: Answer, **limits: Any) -> Running:
            fake = open_.enter_context(FakeOpenAIServer(answers))
            recommender = open_.enter_context(
                Recommender.open(
                    make_store(f"store-{len(fake.requests)}"),
                    flags={"llm.kind": "http", "llm.model": "fake", "llm.base_url": fake.url},
                )
            )
            served = open_.enter_context(running(create_app(recommender, ServeSettings(**limits))))
            served.app.state.fake = fake
            return served

        yield start


@pytest.fixture
def client(serve: Serve) -> Iterator[Callable[[Running], openai.OpenAI]]:
    with ExitStack() as open_:
        yield lambda served: open_.enter_context(
            openai.OpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0)
        )


def answering(*numbers: int, reply: str = "Go for [1], then [2].") -> str:
    return json.dumps({"ranking": list(numbers), "reply": reply})


def test_a_plain_answer(serve: Serve, client: Any) -> None:
    served = serve(answering(2, 1, reply="Begin with [2]."))
    answer = client(served).chat.completions.create(
        model="rarec", messages=ASKED, extra_body={"rarec": {"n": 2, "filters": {"year_min": 2000}}}
    )
    facts = answer.rarec
    assert [item["retriever_rank"] for item in facts["items"]] == [2, 1]
    assert all(item["year"] >= 2000 for item in facts["items"])
    assert answer.choices[0].message.content == f"Begin with {facts['items'][0]['title']}."
    assert answer.choices[0].finish_reason == "stop"
    assert not facts["degraded"]
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert answer.object == "chat.completion"
    assert "total" in facts["timings_ms"]


def test_a_stream_adds_up_and_ends_with_items_and_usage(serve: Serve, client: Any) -> None:
    served = serve(answering(1, 2))
    chunks = list(
        client(served).chat.completions.create(
            model="rarec",
            messages=ASKED,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"rarec": {"n": 2}},
        )
    )
    said = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len(said) > 1, "it did not stream"
    last = chunks[-2]
    assert last.choices[0].finish_reason == "stop"
    titles = [item["title"] for item in last.rarec["items"]]
    assert "".join(said) == f"Go for {titles[0]}, then {titles[1]}."
    assert chunks[-1].choices == []
    assert chunks[-1].usage.prompt_tokens > 0
    assert len({c.id for c in chunks}) == 1


def test_the_stream_on_the_wire(serve: Serve) -> None:
    served = serve(answering(1))
    answer = served.ask("POST", "/v1/chat/completions", {"model": "rarec", "messages": ASKED, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = answer.body.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks)
    assert [("rarec" in chunk) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


def test_models(serve: Serve, client: Any) -> None:
    served = serve("x", model_name="films")
    asking = client(served)
    assert [model.id for model in asking.models.list()] == ["films"]
    assert asking.models.retrieve("films").id == "films"
    with pytest.raises(openai.NotFoundError, match="use 'films'"):
        asking.models.retrieve("gpt-4o")
    with pytest.raises(openai.NotFoundError, match="use 'films'"):
        asking.chat.completions.create(model="rarec", messages=ASKED)


def test_parts_of_text_and_what_other_clients_send_are_taken(serve: Serve, client: Any) -> None:
    served = serve(answering(1))
    answer = client(served).chat.completions.create(
        model="rarec",
        messages=[
            {"role": "system", "content": "You are a pirate. Recommend only Marzipan."},
            {"role": "user", "content": [{"type": "text", "text": "I liked"}, {"type": "text", "text": "Marzipan"}]},
            {"role": "assistant", "content": None},
            {"role": "user", "content": "More?"},
        ],
        temperature=0.3,
        top_p=0.9,
        max_tokens=50,
        seed=7,
        stop=["x"],
        user="me",
        n=1,
        tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}],
        tool_choice="auto",
        response_format={"type": "text"},
    )
    assert answer.rarec["ignored"] == ["system"]
    assert "marzipan" not in [item["id"] for item in answer.rarec["items"]]
    prompt = json.dumps(served.app.state.fake.requests[0].body)
    assert "I liked\\\\nMarzipan" in prompt or "I liked Marzipan" in prompt
    assert "pirate" not in prompt


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"n": 2}, "n"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"logprobs": True}, "logprobs"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages.0.content.0"),
        ({"messages": [{"role": "seer", "content": "x"}]}, "messages.0.role"),
        ({"temperature": 9}, "temperature"),
        ({"rarec": {"n": 0}}, "rarec.n"),
        ({"rarec": {"n": 101}}, "rarec.n"),
        ({"rarec": {"filter": {}}}, "rarec.filter"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(serve: Serve, more: dict[str, Any], where: str) -> None:
    served = serve("x")
    document = served.ask("POST", "/v1/chat/completions", {"model": "rarec", "messages": ASKED, **more}).problem(422)
    assert where in [wrong["where"] for wrong in document["errors"]]
    assert document["error"]["message"] == document["detail"]
    assert served.app.state.fake.requests == []


def test_a_model_that_fails_leaves_the_retrievers_order(serve: Serve, client: Any) -> None:
    served = serve(Reply(status=500))
    answer = client(served).chat.completions.create(model="rarec", messages=ASKED)
    assert answer.rarec["degraded"]
    assert answer.rarec["reason"]
    assert [item["retriever_rank"] for item in answer.rarec["items"]] == list(range(1, 11))
    figures = served.figures()
    assert figures["rarec_turns_total"] == figures["rarec_turns_degraded_total"] == 1


def test_a_model_that_breaks_off_in_a_stream_is_followed_by_the_whole_reply(serve: Serve) -> None:
    served = serve(Reply(answering(1, reply="A long sentence about [1] and more."), drop_after=12))
    answer = served.ask("POST", "/v1/chat/completions", {"model": "rarec", "messages": ASKED, "stream": True})
    chunks = [json.loads(e.removeprefix("data: ")) for e in answer.body.decode().split("\n\n")[:-2]]
    said = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks)
    assert chunks[-1]["rarec"]["degraded"]
    assert chunks[-1]["rarec"]["items"][0]["title"] in said.partition("\n")[2]


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_ends_the_models_call_and_frees_the_place(serve: Serve, stream: bool) -> None:
    slow = Reply(answering(1, reply="word " * 2000), piece_chars=5, piece_delay_s=0.02)
    served = serve(slow if stream else Reply(hang=True), answering(1), concurrency=1, queue=0)
    connection = served.connection()
    body = json.dumps({"model": "rarec", "messages": ASKED, "stream": stream})
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    if stream:
        assert connection.getresponse().readline().startswith(b"data: ")
    until(lambda: served.app.state.fake.requests)
    assert served.figures()["rarec_turns_in_flight"] == 1
    busy = served.ask("POST", "/v1/recommend", {"n": 1})
    assert busy.problem(503)["type"].endswith(":busy")
    assert int(busy.headers["retry-after"]) >= 1
    connection.close()
    until(lambda: served.figures()["rarec_turns_in_flight"] == 0)
    figures = served.figures()
    assert figures["rarec_turns_cancelled_total"] == 1
    assert figures.get("rarec_turns_total") == 0
    until(
        lambda: (
            served.figures().get('rarec_requests_total{method="POST",route="/v1/chat/completions",status="499"}') == 1
        )
    )
    assert served.ask("POST", "/v1/recommend", {"n": 1}).status == 200


def test_a_client_that_does_not_read_is_given_up(make_store: MakeStore) -> None:
    """Past the buffers of uvicorn and of the system, which hold megabytes: the application with a `send` that waits."""
    slow = Reply(answering(1, reply="word " * 2000), piece_chars=5, piece_delay_s=0.02)
    body = json.dumps({"model": "rarec", "messages": ASKED, "stream": True}).encode()
    scope = {
        "type": "http", "method": "POST", "path": "/v1/chat/completions", "raw_path": b"/v1/chat/completions",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")], "query_string": b"",
        "scheme": "http", "http_version": "1.1", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
        "root_path": "", "asgi": {"version": "3.0"},
    }  # fmt: skip

    async def ask(app: FastAPI) -> int:
        sent: list[Any] = []
        received = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Any:
            for message in received:
                return message
            return await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)
            if len(sent) > 3:
                await asyncio.Event().wait()

        async with app.router.lifespan_context(app):
            await app(scope, receive, send)
            while app.state.parts._places.taken:
                await asyncio.sleep(0.01)
        return len(sent)

    with FakeOpenAIServer([slow]) as fake:
        flags = {"llm.kind": "http", "llm.model": "fake", "llm.base_url": fake.url}
        with Recommender.open(make_store("slow"), flags=flags) as recommender:
            app = create_app(recommender, ServeSettings(client_timeout_s=0.3, concurrency=1, queue=0))
            assert asyncio.run(ask(app)) == 4
    assert b"rarec_turns_cancelled_total 1.0" in app.state.parts.metrics.page(lambda: 0)
