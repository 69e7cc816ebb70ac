"""Text -> vectors."""

from rarec.embed.cache import CachedEmbedder
from rarec.embed.factory import EmbedderSettings, embedder_from
from rarec.embed.minilm import MiniLMEmbedder
from rarec.embed.openai import OpenAIEmbedder
from rarec.embed.protocol import Embedder, Kind, Progress
from rarec.embed.sentence_transformer import Qwen3Embedder, SentenceTransformerEmbedder, qwen3_embedder
from rarec.embed.tokens import ModelTokens, Tokens, tokens_of

__all__ = [
    "CachedEmbedder",
    "Embedder",
    "EmbedderSettings",
    "Kind",
    "MiniLMEmbedder",
    "ModelTokens",
    "OpenAIEmbedder",
    "Progress",
    "Qwen3Embedder",
    "SentenceTransformerEmbedder",
    "Tokens",
    "embedder_from",
    "qwen3_embedder",
    "tokens_of",
]
