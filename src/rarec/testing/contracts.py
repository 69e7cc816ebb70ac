"""What every language model and every embedder must do, as test classes to inherit.

::

    class TestMyModel(LLMContract):
        def make(self) -> LLM:
            return MyModel()

Method names start with ``test_``, so pytest runs them; pytest itself is not needed to import this.
"""

from __future__ import annotations

import inspect
import time
from typing import Any

import anyio
import numpy as np

from rarec.embed.protocol import Embedder, Kind
from rarec.errors import LLMTimeout
from rarec.llm.protocol import LLM, OnText
from rarec.prompt import answer_schema, render
from rarec.types import (
    Candidate,
    Completion,
    CompletionRequest,
    Conversation,
    Item,
    ItemId,
    Mention,
    RankingTask,
    Turn,
    Usage,
)


def example_task(*, n: int = 2) -> RankingTask:
    """Three candidates and a conversation that mentions a fourth item."""
    items = [
        Item(ItemId("lamp"), "The Lamp", "A keeper and the sea.", 1958, {"genres": ("Drama",)}, 3.0),
        Item(ItemId("loop"), "Loop", "A day that repeats.", 2011, {"genres": ("Comedy", "Fantasy")}, 2.0),
        Item(ItemId("ore"), "Ore", "Miners find a light.", None, {"genres": ("Horror",)}, 1.0),
    ]
    seen = Item(ItemId("tide"), "Tide", "A storm.", 1999, {"genres": ("Drama",)}, 5.0)
    turns = (
        Turn("assistant", "What do you like?", ()),
        Turn("user", "I liked Tide. Something calm?", (Mention(seen.id, "liked", (8, 12)),)),
    )
    candidates = tuple(Candidate(item, 1.0 - 0.1 * i) for i, item in enumerate(items))
    return RankingTask(Conversation(turns, "example"), {seen.id: seen}, candidates, n)


class LLMContract:
    """Inherit, and say in `make` which model is tested."""

    deadline_slack_s = 2.0
    """How much later than its deadline a call may end on a busy machine."""

    def make(self) -> LLM:
        """A model that answers `request` with some text."""
        raise NotImplementedError("return the model under test")

    def make_slow(self) -> LLM | None:
        """A model that takes far longer than a second, or None if there is no such thing."""
        return None

    def request(self, *, deadline_s: float = 30.0) -> CompletionRequest:
        """A whole request: messages, schema and the structured task."""
        task = example_task()
        return CompletionRequest(render(task), answer_schema(task), max_tokens=200, deadline_s=deadline_s, task=task)

    def ask(self, llm: LLM, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
        """One call in an event loop of its own; closes what the model opened."""

        async def go() -> Completion:
            try:
                return await llm.complete(request, on_text=on_text)
            finally:
                await _close(llm)

        return anyio.run(go)

    def test_it_has_a_stable_name(self) -> None:
        llm = self.make()
        assert isinstance(llm.name, str), "name is text"
        assert llm.name.strip(), "name is not empty"
        assert llm.name == self.make().name, "two models made alike have one name"

    def test_it_answers_with_text_and_says_what_that_took(self) -> None:
        completion = self.ask(self.make(), self.request())
        assert isinstance(completion, Completion)
        assert isinstance(completion.text, str)
        assert completion.text, "an answer has text"
        assert completion.model, "an answer names its model"
        assert completion.latency_ms >= 0
        assert isinstance(completion.usage, Usage)
        assert min(completion.usage.calls, completion.usage.prompt_tokens, completion.usage.completion_tokens) >= 0

    def test_streamed_pieces_add_up_to_the_answer(self) -> None:
        pieces: list[str] = []
        completion = self.ask(self.make(), self.request(), on_text=pieces.append)
        assert pieces, "on_text was never called"
        assert "".join(pieces) == completion.text

    def test_an_error_of_the_listener_reaches_the_caller(self) -> None:
        class ListenerLeft(Exception):
            pass

        def leave(piece: str) -> None:
            raise ListenerLeft(piece)

        try:
            self.ask(self.make(), self.request(), on_text=leave)
        except ListenerLeft:
            return
        raise AssertionError("the error of on_text was swallowed")

    def test_a_schema_and_a_task_are_optional_extras(self) -> None:
        request = self.request()
        plain = CompletionRequest(request.messages, task=request.task, deadline_s=request.deadline_s)
        assert isinstance(self.ask(self.make(), plain).text, str)

    def test_one_object_serves_one_event_loop_after_another(self) -> None:
        llm = self.make()
        for _ in range(2):
            assert self.ask(llm, self.request()).text

    def test_calls_run_side_by_side(self) -> None:
        llm, done = self.make(), list[Completion]()

        async def one() -> None:
            done.append(await llm.complete(self.request()))

        async def go() -> None:
            try:
                async with anyio.create_task_group() as group:
                    for _ in range(4):
                        group.start_soon(one)
            finally:
                await _close(llm)

        anyio.run(go)
        assert len(done) == 4

    def test_the_deadline_holds(self) -> None:
        llm = self.make_slow()
        if llm is None:
            return
        start = time.perf_counter()
        try:
            self.ask(llm, self.request(deadline_s=0.3))
        except LLMTimeout:
            took_s = time.perf_counter() - start
            assert took_s < 0.3 + self.deadline_slack_s, f"ended {took_s:.1f} s after the start"
            return
        raise AssertionError("a model that is slower than the deadline answered all the same")


class EmbedderContract:
    """Inherit, and say in `make` which embedder is tested."""

    kinds: tuple[Kind, ...] = ("document", "query")
    tolerance = 1e-4
    """How far a vector may move with the texts it is embedded with."""

    def make(self) -> Embedder:
        """The embedder under test."""
        raise NotImplementedError("return the embedder under test")

    texts = (
        "A lighthouse keeper waits for the tide.",
        "Comedy about a day that repeats.",
        "Short",
        "Two brothers dig for ore in the mountains and find a door that nobody built. " * 3,
        "海辺の灯台", "Ёлка, naïve façade, e\u0301 and 👩\u200d🚀", "", " \n\t ", "null\x00byte",
    )  # fmt: skip

    def test_name_and_dimension(self) -> None:
        embedder = self.make()
        assert isinstance(embedder.name, str)
        assert embedder.name.strip(), "name is not empty"
        assert embedder.name == self.make().name, "embedders made alike have one name: caches key on it"
        assert embedder.dimension > 0

    def test_rows_are_unit_vectors_in_order(self) -> None:
        embedder = self.make()
        for kind in self.kinds:
            rows = embedder.embed(self.texts, kind=kind)
            assert rows.shape == (len(self.texts), embedder.dimension)
            assert rows.dtype == np.float32
            np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-4)
            backwards = embedder.embed(self.texts[::-1], kind=kind)[::-1]
            np.testing.assert_allclose(rows, backwards, atol=self.tolerance)

    def test_different_texts_differ(self) -> None:
        rows = self.make().embed(self.texts[:4])
        cosines = rows @ rows.T - np.eye(4, dtype=np.float32)
        assert float(cosines.max()) < 0.999, "two different texts have one vector"

    def test_no_texts_give_no_rows(self) -> None:
        embedder = self.make()
        for kind in self.kinds:
            rows = embedder.embed([], kind=kind)
            assert rows.shape == (0, embedder.dimension)
            assert rows.dtype == np.float32

    def test_the_same_texts_give_the_same_vectors(self) -> None:
        first = self.make().embed(self.texts)
        np.testing.assert_allclose(self.make().embed(self.texts), first, atol=1e-6)

    def test_a_vector_does_not_hang_on_its_batch(self) -> None:
        embedder = self.make()
        together = embedder.embed(self.texts)
        alone = np.concatenate([embedder.embed([text]) for text in self.texts])
        np.testing.assert_allclose(together, alone, atol=self.tolerance)
        doubled = embedder.embed([text for text in self.texts for _ in range(2)])
        np.testing.assert_allclose(doubled[::2], together, atol=self.tolerance)
        np.testing.assert_allclose(doubled[1::2], together, atol=self.tolerance)

    def test_long_texts_are_taken(self) -> None:
        rows = self.make().embed(["tide " * 5_000, "x" * 50_000])
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-4)

    def test_progress_rises_to_the_number_of_texts(self) -> None:
        seen: list[tuple[int, int]] = []
        self.make().embed(self.texts, progress=lambda done, total: seen.append((done, total)))
        assert seen, "progress was never called"
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert seen[-1] == (len(self.texts), len(self.texts))


async def _close(llm: Any) -> None:
    close = getattr(llm, "aclose", None)
    if close is not None:
        result = close()
        if inspect.isawaitable(result):
            await result
