"""Public doubles and contract tests: for our tests, and for those of whoever builds on rarec."""

from rarec.testing.contracts import EmbedderContract, LLMContract, example_task
from rarec.testing.embedder import HashEmbedder, hash_vector
from rarec.testing.prompt_judge import PromptJudge
from rarec.testing.replies import FakeEmbeddings, Recorded, Reply
from rarec.testing.scripted import ScriptedLLM
from rarec.testing.server import FakeOpenAIServer

__all__ = [
    "EmbedderContract",
    "FakeEmbeddings",
    "FakeOpenAIServer",
    "HashEmbedder",
    "LLMContract",
    "PromptJudge",
    "Recorded",
    "Reply",
    "ScriptedLLM",
    "example_task",
    "hash_vector",
]
