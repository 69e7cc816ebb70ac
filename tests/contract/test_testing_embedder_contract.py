"""The embedder for tests keeps the contract of embedders."""

from __future__ import annotations

from rarec.embed.protocol import Embedder
from rarec.testing import EmbedderContract, HashEmbedder


class TestHashEmbedder(EmbedderContract):
    def make(self) -> Embedder:
        return HashEmbedder()


class TestWideHashEmbedder(EmbedderContract):
    """More dimensions than one hash has bits."""

    def make(self) -> Embedder:
        return HashEmbedder(1025)
