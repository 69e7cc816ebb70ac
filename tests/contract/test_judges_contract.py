"""A simulated judge keeps the contract of every language model."""

from __future__ import annotations

from rarec.llm import LLM
from rarec.testing import LLMContract
from rarec.testing.judges import Asked, Shared, SimulatedLLM, Taste

TASTE = Taste((Asked(), Shared()), whim=0.5, noise=0.5, position_bias=0.5)


class TestSimulatedLLM(LLMContract):
    def make(self) -> LLM:
        return SimulatedLLM(TASTE)

    def make_slow(self) -> LLM:
        return SimulatedLLM(TASTE, latency_s=60)
