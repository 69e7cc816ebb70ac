"""Text -> vectors."""

from rarec.embed.cache import CachedEmbedder
from rarec.embed.factory import EmbedderSettings, embedder_from
from rarec.embed.minilm import MiniLMEmbedder
from rarec.embed.openai import OpenAIEmbedder
from rarec.embed.protocol import Embedder, Kind, Progress
from rarec.embed.sentence_transformer import Qwen3Embedder, SentenceTransformerEmbedder, qwen3_embedder

__all__ = [
    "CachedEmbedder",
    "Embedder",
    "EmbedderSettings",
    "Kind",
    "MiniLMEmbedder",
    "OpenAIEmbedder",
    "Progress",
    "Qwen3Embedder",
    "SentenceTransformerEmbedder",
    "embedder_from",
    "qwen3_embedder",
]
