"""The remote embedder against a real server on loopback."""

import traceback

import numpy as np
import pytest

from rarec.embed import OpenAIEmbedder
from rarec.errors import EmbedderError, InputError
from rarec.testing import FakeEmbeddings, FakeOpenAIServer, Reply, hash_vector

KEY = "sk-very-secret-0123456789"
TEXTS = ["a door in the sea", "two brothers", "rain", "the last lighthouse"]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def expected(texts, dimension=16):
    return np.stack([hash_vector(text, dimension=dimension) for text in texts])


def test_vectors_follow_the_index_not_the_place():
    with FakeOpenAIServer() as server, OpenAIEmbedder("m", base_url=server.url) as embedder:
        np.testing.assert_allclose(embedder.embed(TEXTS), expected(TEXTS), atol=1e-6)
        assert server.requests_to("embeddings")[-1].body["model"] == "m"


def test_batches_and_progress():
    seen = []
    with FakeOpenAIServer() as server, OpenAIEmbedder("m", base_url=server.url, batch_size=3, dimension=16) as embedder:
        embedder.embed(TEXTS, progress=lambda *at: seen.append(at))
        assert [len(r.body["input"]) for r in server.requests_to("embeddings")] == [3, 1]
    assert seen == [(3, 4), (4, 4)]


def test_a_batch_that_is_too_large_is_halved_and_the_size_remembered():
    options = FakeEmbeddings(max_batch=2)
    texts = [f"text {k}" for k in range(8)]
    with FakeOpenAIServer(embeddings=options) as server:
        with OpenAIEmbedder("m", base_url=server.url, dimension=16) as embedder:
            np.testing.assert_allclose(embedder.embed(texts), expected(texts), atol=1e-6)
        assert [len(r.body["input"]) for r in server.requests_to("embeddings")] == [8, 4, 2, 2, 2, 2]


def test_shorter_vectors_are_asked_for_and_only_then():
    with FakeOpenAIServer() as server:
        with OpenAIEmbedder("m", base_url=server.url, dimension=8, shorten=True) as embedder:
            assert embedder.embed(TEXTS).shape == (4, 8)
        with OpenAIEmbedder("m", base_url=server.url, dimension=16) as embedder:
            embedder.embed(TEXTS)
        assert [r.body.get("dimensions") for r in server.requests_to("embeddings")] == [8, None]


def test_queries_get_the_prompt_and_long_texts_are_cut():
    with FakeOpenAIServer() as server:
        with OpenAIEmbedder("m", base_url=server.url, dimension=16, query_prompt="Q:", max_chars=10) as embedder:
            embedder.embed(["x" * 50], kind="query")
            embedder.embed(["x" * 50])
        assert [r.body["input"] for r in server.requests_to("embeddings")] == [["Q:" + "x" * 8], ["x" * 10]]


def test_overload_is_waited_out():
    faults = [Reply(status=429, headers={"Retry-After": "0.01"}), Reply(status=503, headers={"Retry-After": "0.01"})]
    with FakeOpenAIServer(embeddings_script=faults) as server:
        with OpenAIEmbedder("m", base_url=server.url, dimension=16) as embedder:
            np.testing.assert_allclose(embedder.embed(TEXTS), expected(TEXTS), atol=1e-6)
        assert len(server.requests_to("embeddings")) == 3


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Reply(status=503, headers={"Retry-After": "0.01"}), "failed"),
        (Reply(status=404), "base_url ends in /v1"),
        (Reply(status=400, message="no such thing"), "no such thing"),
        (Reply(raw=b"{"), "failed"),
        (Reply(raw=b'{"data": []}'), "No embedding data"),
        (Reply(raw=b'{"data": [{"index": 5, "embedding": [1.0]}]}'), r"numbered \[5\]"),
        (Reply(raw=b'{"data": [{"index": 0, "embedding": [1.0]}]}'), "vector of 1 numbers"),
        (Reply(raw=b'{"data": [{"index": 0, "embedding": [0.0, 0.0]}]}'), "length 0.0"),
        (Reply(raw=b'{"data": [{"index": 0, "embedding": ["x", "y"]}]}'), "not numbers"),
        (Reply(raw=b'{"data": [{"index": 0, "embedding": null}]}'), "no list of numbers"),
        (Reply(drop_after=0), "check that it runs"),
        (Reply(hang=True), "check that it runs"),
    ],
)
def test_faults_are_named(fault, message):
    with FakeOpenAIServer(embeddings_script=[fault] * 9) as server:
        options = {"dimension": 2, "max_retries": 1, "timeout_s": 0.3}
        with OpenAIEmbedder("m", base_url=server.url, **options) as embedder, pytest.raises(EmbedderError) as caught:
            embedder.embed(["one"])
    assert caught.match(message)


def test_wrong_dimension_is_named():
    with FakeOpenAIServer(embeddings=FakeEmbeddings(wrong_dimension=True)) as server:
        embedder = OpenAIEmbedder("m", base_url=server.url, dimension=16)
        with embedder, pytest.raises(EmbedderError, match="17 numbers for the model 'm', expected 16"):
            embedder.embed(TEXTS)


def test_nobody_listens():
    with FakeOpenAIServer() as server:
        url = server.url
    embedder = OpenAIEmbedder("m", base_url=url, max_retries=0, dimension=4)
    with embedder, pytest.raises(EmbedderError, match="check that it runs"):
        embedder.embed(TEXTS)


def test_a_key_is_needed_away_from_home_and_nothing_is_sent_without():
    with pytest.raises(EmbedderError, match="OPENAI_API_KEY"):
        OpenAIEmbedder("m", base_url="https://embeddings.example/v1", dimension=4).embed(TEXTS)
    with pytest.raises(EmbedderError, match="OPENAI_API_KEY"):
        OpenAIEmbedder("m", dimension=4).embed(TEXTS)


def test_the_key_is_sent_and_never_shown(caplog):
    caplog.set_level("INFO")
    with FakeOpenAIServer(key="another") as server:
        embedder = OpenAIEmbedder("m", base_url=server.url, api_key=KEY, dimension=4)
        with embedder, pytest.raises(EmbedderError, match="set OPENAI_API_KEY") as caught:
            embedder.embed(TEXTS)
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    shown = "".join(traceback.format_exception(caught.value)) + repr(embedder) + embedder.name + caplog.text
    assert KEY not in shown
    assert caught.value.__context__ is None


def test_secrets_in_the_address_are_never_shown():
    embedder = OpenAIEmbedder("m", base_url="http://user:word@127.0.0.1:1/v1?token=abc", dimension=4, max_retries=0)
    with embedder, pytest.raises(EmbedderError) as caught:
        embedder.embed(TEXTS)
    shown = "".join(traceback.format_exception(caught.value)) + repr(embedder) + embedder.name
    assert "word" not in shown
    assert "abc" not in shown


def test_the_right_key_opens(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with FakeOpenAIServer(key=KEY) as server, OpenAIEmbedder("m", base_url=server.url) as embedder:
        assert embedder.embed(TEXTS).shape == (4, 16)


def test_the_name_tells_apart_what_gives_other_vectors():
    def name(model="m", **options):
        return OpenAIEmbedder(model, base_url="http://127.0.0.1:1/v1", **options).name

    names = [
        name(),
        name("other"),
        name(dimension=8, shorten=True),
        name(query_prompt="q"),
        name(max_chars=9),
        OpenAIEmbedder("m", base_url="http://127.0.0.1:2/v1").name,
    ]
    assert len(set(names)) == len(names)
    assert name(batch_size=3) == name(dimension=16) == name()


@pytest.mark.parametrize("options", [{"dimension": 0}, {"batch_size": 0}, {"max_chars": 0}, {"shorten": True}])
def test_bad_options(options):
    with pytest.raises(InputError):
        OpenAIEmbedder("m", **options)


@pytest.mark.parametrize("texts", ["one string", [1], [None]])
def test_only_lists_of_strings(texts):
    with pytest.raises(InputError):
        OpenAIEmbedder("m", base_url="http://127.0.0.1:1/v1", dimension=4).embed(texts)
