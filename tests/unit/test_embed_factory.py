"""Settings -> embedder."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from rarec.embed import EmbedderSettings, MiniLMEmbedder, OpenAIEmbedder, Qwen3Embedder, embedder_from
from rarec.embed.sentence_transformer import SentenceTransformerEmbedder
from rarec.errors import EmbedderError, SettingsError
from rarec.testing import FakeOpenAIServer


def test_the_default_is_the_packaged_model():
    embedder = embedder_from(EmbedderSettings())
    assert isinstance(embedder, MiniLMEmbedder)
    assert embedder.name == "minilm-l6-v2@53aa51172d14"
    assert embedder.dimension == 384


def test_each_kind():
    assert type(embedder_from(EmbedderSettings(kind="qwen3", model="/m", task="t", batch_size=2))) is Qwen3Embedder
    local = embedder_from(EmbedderSettings(kind="sentence-transformers", model="/m", truncate_dim=8, query_prompt="q"))
    assert type(local) is SentenceTransformerEmbedder
    with pytest.raises(EmbedderError, match="no folder '/m'"):
        local.embed(["x"])


def test_the_key_comes_from_the_named_variable(monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-mine")
    with FakeOpenAIServer(key="sk-mine") as server:
        spec = EmbedderSettings(kind="openai", model="m", base_url=server.url, api_key_env="MY_KEY", timeout_s=5)
        embedder = embedder_from(spec)
        assert isinstance(embedder, OpenAIEmbedder)
        with embedder:
            assert embedder.embed(["x"]).shape == (1, 16)
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(SettingsError, match="'MY_KEY'"):
        embedder_from(spec)
    assert "sk-mine" not in repr(spec)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "openai"}, "needs a model"),
        ({"kind": "qwen3"}, "needs a model"),
        ({"kind": "minilm", "model": "x"}, "does not take model"),
        ({"kind": "minilm", "base_url": "x", "task": "y"}, "does not take base_url, task"),
        ({"kind": "openai", "model": "m", "truncate_dim": 3}, "does not take truncate_dim"),
        ({"kind": "word2vec"}, "kind"),
        ({"api_key": "sk-secret"}, "api_key"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        EmbedderSettings(**options)


def test_importing_the_room_loads_nothing_heavy():
    heavy = ("torch", "openai", "transformers", "numkong")
    code = f"import sys, rarec.embed, rarec.index; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
