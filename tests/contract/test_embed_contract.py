"""Every embedder keeps the same promises."""

import functools
import tempfile
from pathlib import Path

import pytest

from rarec.embed import CachedEmbedder, MiniLMEmbedder, OpenAIEmbedder
from rarec.testing import EmbedderContract, FakeEmbeddings, FakeOpenAIServer, HashEmbedder


@functools.cache
def minilm():
    return MiniLMEmbedder(threads=1)


class TestMiniLM(EmbedderContract):
    def make(self):
        return minilm()


class TestCached(EmbedderContract):
    @pytest.fixture(autouse=True)
    def files(self):
        self.made = []
        with tempfile.TemporaryDirectory() as folder:
            self.folder = Path(folder)
            yield
            for embedder in self.made:
                embedder.close()

    def make(self):
        self.made.append(CachedEmbedder(HashEmbedder(32), self.folder / f"{len(self.made)}.sqlite"))
        return self.made[-1]


class TestOpenAI(EmbedderContract):
    @pytest.fixture(autouse=True)
    def endpoint(self, monkeypatch):
        monkeypatch.delenv("OPENAI_API_KEY", raising=False)
        self.made = []
        with FakeOpenAIServer(embeddings=FakeEmbeddings(refuse_empty=True, unit=False, max_batch=5)) as server:
            self.server = server
            yield
            for embedder in self.made:
                embedder.close()

    def make(self):
        self.made.append(OpenAIEmbedder("fake", base_url=self.server.url))
        return self.made[-1]
