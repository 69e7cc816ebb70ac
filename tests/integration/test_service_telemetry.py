"""What the service tells a collector of spans: every stage of a turn, and no word of anybody."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from rarec.pipeline import Recommender
from rarec.service import create_app
from rarec.settings import ServeSettings
from rarec.testing import FakeOpenAIServer, Reply
from serving import running
from spans import Kept, kept_spans

MakeStore = Callable[[str], Path]
SECRET = "my-name-is-Ludmilla"


def spoken(kept: Kept) -> str:
    return " ".join(f"{one.name} {one.attributes} {one.events} {one.status}" for one in kept.spans)


def test_a_turn_and_its_stages_are_spans_without_words(make_store: MakeStore) -> None:
    answer = json.dumps({"ranking": [1, 2], "reply": f"Dear {SECRET}, take [1]."})
    body = {"model": "rarec", "messages": [{"role": "user", "content": f"{SECRET} liked Quiet Harbour. Trams?"}]}
    with FakeOpenAIServer([Reply(answer, model="served"), Reply(status=400, message=SECRET)]) as fake:
        flags = {"llm.kind": "http", "llm.model": "fake", "llm.base_url": fake.url, "llm.max_retries": 0}
        with (
            Recommender.open(make_store("shop"), flags=flags) as recommender,
            running(create_app(recommender, ServeSettings(requests_per_minute=0))) as served,
            kept_spans() as kept,
        ):
            traced = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01", "X-Request-ID": "id-7"}
            for stream in (False, True):
                assert (
                    served.ask("POST", "/v1/chat/completions", {**body, "stream": stream}, headers=traced).status == 200
                )
                body["messages"] = [{"role": "user", "content": f"{SECRET} again: harbours?"}]
            assert served.ask("GET", f"/v1/items/{SECRET}?q={SECRET}").status == 404
    chats = [one for one in kept.spans if one.name == "POST /v1/chat/completions"]
    assert [one.parent for one in chats] == [int("cd" * 8, 16)] * 2
    assert chats[0].attributes == {
        "http.request.method": "POST", "http.route": "/v1/chat/completions", "http.response.status_code": 200,
        "rarec.request_id": "id-7",
    }  # fmt: skip
    turns = [one for one in kept.spans if one.name == "turn"]
    assert [one.attributes["rarec.degraded"] for one in turns] == [False, True]
    assert [one.parent for one in turns] == [one.get_span_context().span_id for one in chats]
    assert [kept.below(one) for one in turns] == [
        ["link", "embed", "retrieve", "llm", "parse"],
        ["link", "embed", "retrieve", "llm"],
    ]
    assert [kept.below(one) for one in kept.spans if one.name == "llm"] == [["chat fake"], ["chat fake"]]
    assert [one for one in kept.spans if one.name == "GET /v1/items/{item_id:path}"]
    assert SECRET not in spoken(kept)
    assert "Quiet Harbour" not in spoken(kept)
    assert all(one.ended for one in kept.spans)
