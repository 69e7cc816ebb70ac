"""The models of this package keep the contract; the remote one over real HTTP on loopback."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from rarec.llm import LLM, HttpLLM
from rarec.testing import FakeOpenAIServer, LLMContract, Reply, ScriptedLLM

ANSWER = '{"ranking": [2, 1], "reply": "Try [2]."}'


class TestScriptedLLM(LLMContract):
    def make(self) -> LLM:
        return ScriptedLLM(itertools.repeat(ANSWER))

    def make_slow(self) -> LLM:
        return ScriptedLLM(itertools.repeat(ANSWER), latency_s=60)


class TestHttpLLM(LLMContract):
    deadline_slack_s = 1.0

    @pytest.fixture(autouse=True)
    def servers(self) -> Iterator[None]:
        with FakeOpenAIServer([ANSWER]) as self.healthy, FakeOpenAIServer([Reply(hang=True)]) as self.hanging:
            yield

    def make(self) -> LLM:
        return HttpLLM("fake-model", base_url=self.healthy.url)

    def make_slow(self) -> LLM:
        return HttpLLM("fake-model", base_url=self.hanging.url)
