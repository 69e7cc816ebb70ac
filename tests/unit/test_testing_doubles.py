"""The doubles keep their word; a double that lies would make every test that uses it lie."""

from __future__ import annotations

import base64
import itertools
import json
import urllib.error
import urllib.request
from typing import Any

import anyio
import numpy as np
import pytest

from rarec.errors import InputError, LLMRefused, LLMTimeout, LLMUnavailable
from rarec.testing import FakeEmbeddings, FakeOpenAIServer, HashEmbedder, Reply, ScriptedLLM, hash_vector
from rarec.types import Completion, CompletionRequest, Message, Usage

REQUEST = CompletionRequest((Message("user", "one two three"),))


def ask(llm: ScriptedLLM, request: CompletionRequest = REQUEST, **options: Any) -> Completion:
    async def go() -> Completion:
        return await llm.complete(request, **options)

    return anyio.run(go)


def test_a_script_is_played_in_order_and_requests_are_kept() -> None:
    whole = Completion("c", "m", Usage(1, 2, 3), 4.0)
    llm = ScriptedLLM(["a b", whole, lambda request: request.messages[0].content, LLMRefused("no")])
    first = ask(llm)
    assert (first.text, first.model, first.usage) == ("a b", "scripted", Usage(1, 3, 2))
    assert ask(llm) is whole
    assert ask(llm).text == "one two three"
    with pytest.raises(LLMRefused, match="no"):
        ask(llm)
    with pytest.raises(LLMUnavailable, match="no answer for call 5"):
        ask(llm)
    assert llm.requests == [REQUEST] * 5


def test_a_slow_script_meets_the_deadline() -> None:
    llm = ScriptedLLM(itertools.repeat("x"), latency_s=60)
    with pytest.raises(LLMTimeout, match=r"within 0.01 s"):
        ask(llm, CompletionRequest(REQUEST.messages, deadline_s=0.01))


def test_texts_that_share_words_are_close() -> None:
    rows = HashEmbedder(256).embed(
        [
            "a calm sea story",
            "a calm sea film",
            "war machines at dawn",
            "A CALM, sea... story!",
            "a a a a calm sea story",
        ]
    )
    cosines = rows @ rows[0]
    assert cosines[3] == pytest.approx(1.0)
    assert cosines[4] > 0.8
    assert 0.6 < cosines[1] < 0.9
    assert abs(cosines[2]) < 0.3


def test_hash_vectors_never_change() -> None:
    vector = hash_vector("tide", dimension=8)
    assert np.sign(vector).tolist() == [-1, 1, 1, -1, -1, 1, -1, -1]
    assert hash_vector("tide", dimension=700)[:8] @ np.sign(vector) > 0
    with pytest.raises(InputError, match="dimension"):
        HashEmbedder(0)


def post(url: str, body: object, **headers: str) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_the_server_answers_records_and_repeats_its_last_reply() -> None:
    with FakeOpenAIServer(["first", lambda body: body["messages"][0]["content"].upper()]) as server:
        url = f"{server.url}/chat/completions"
        body = {"model": "m", "messages": [{"role": "user", "content": "hi there"}]}
        answers = [post(url, body)[1] for _ in range(3)]
        texts = [a["choices"][0]["message"]["content"] for a in answers]
        assert texts == ["first", "HI THERE", "HI THERE"]
        assert answers[0]["usage"] == {"prompt_tokens": 2, "completion_tokens": 1, "total_tokens": 3}
        assert [r.body for r in server.requests_to("chat/completions")] == [body] * 3
        assert server.requests[0].headers["content-type"] == "application/json"
        with urllib.request.urlopen(f"{server.url}/models", timeout=10) as response:
            assert json.loads(response.read())["data"][0]["id"] == "fake-model"
    with pytest.raises(RuntimeError, match="with block"):
        _ = server.url


def test_the_server_refuses_what_it_was_told_to() -> None:
    with FakeOpenAIServer(
        [Reply(status=429, headers={"Retry-After": "3"})], rejects=["temperature"], key="k"
    ) as server:
        url = f"{server.url}/chat/completions"
        assert post(url, {})[0] == 401
        status, answer = post(url, {"temperature": 1}, Authorization="Bearer k")
        assert (status, answer["error"]["param"]) == (400, "temperature")
        assert post(url, {}, Authorization="Bearer k")[0] == 429
        assert post(url, b"[", Authorization="Bearer k")[0] == 400
        assert post(f"{server.url}/other", {}, Authorization="Bearer k")[0] == 404


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings_come_shuffled_with_their_index(encoding: str) -> None:
    texts = [f"word{i} tide" for i in range(20)]
    with FakeOpenAIServer(embeddings=FakeEmbeddings(dimension=8)) as server:
        status, answer = post(f"{server.url}/embeddings", {"input": texts, "encoding_format": encoding, "model": "e"})
    assert status == 200
    indexes = [d["index"] for d in answer["data"]]
    assert sorted(indexes) == list(range(20)) != indexes
    for d in answer["data"]:
        row = d["embedding"]
        vector = np.frombuffer(base64.b64decode(row), "<f4") if encoding == "base64" else np.asarray(row, "f4")
        np.testing.assert_allclose(vector, hash_vector(texts[d["index"]], dimension=8), atol=1e-6)


def test_embeddings_can_go_wrong() -> None:
    options = FakeEmbeddings(dimension=8, max_batch=2, wrong_dimension=True, unit=False, refuse_empty=True)
    faults = [Reply(status=503), Reply(raw=b"{}"), None]
    with FakeOpenAIServer(embeddings=options, embeddings_script=faults) as server:
        url = f"{server.url}/embeddings"
        assert post(url, {"input": "a"})[0] == 503
        assert post(url, {"input": "a"}) == (200, {})
        status, answer = post(url, {"input": ["a", "b"]})
        assert (status, {len(d["embedding"]) for d in answer["data"]}) == (200, {9})
        assert np.linalg.norm(answer["data"][0]["embedding"]) > 1.5
        assert len(post(url, {"input": "a", "dimensions": 4})[1]["data"][0]["embedding"]) == 5
        assert "larger than the allowed 2" in post(url, {"input": ["a"] * 3})[1]["error"]["message"]
        for wrong in ([], [""], [1], None):
            assert post(url, {"input": wrong})[0] == 400
