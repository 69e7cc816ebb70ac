"""The circuit breaker and the answers in memory, on a clock that stands still."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rarec.errors import BudgetExceeded, LLMRefused, LLMTimeout, LLMUnavailable
from rarec.llm.breaker import CircuitBreaker
from rarec.llm.memory import AnswerMemory
from rarec.types import Completion, CompletionRequest, Message


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def call(breaker: CircuitBreaker, error: BaseException | None = None) -> bool:
    """Whether a call that ends so was let through."""
    entered = False
    with suppress(LLMUnavailable, *([] if error is None else [type(error)])), breaker.call():
        entered = True
        if error is not None:
            raise error
    return entered


def opened(clock: Clock) -> CircuitBreaker:
    breaker = CircuitBreaker(2, 10, clock=clock)
    assert call(breaker, LLMTimeout("slow"))
    assert call(breaker, ZeroDivisionError())
    return breaker


def test_it_opens_after_failures_in_a_row_and_lets_one_try() -> None:
    clock = Clock()
    breaker = opened(clock)
    assert breaker.open
    assert not call(breaker)
    clock.now = 10
    with breaker.call():
        assert not call(breaker), "only one tries"
    assert not breaker.open
    assert call(breaker)


def test_a_try_that_fails_opens_it_again() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now = 10
    assert call(breaker, LLMUnavailable("down"))
    assert not call(breaker)
    clock.now = 20
    assert call(breaker)
    assert not breaker.open


@pytest.mark.parametrize("error", [BudgetExceeded("poor"), asyncio.CancelledError()])
def test_a_try_that_says_nothing_leaves_it_open_for_another(error: BaseException) -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now = 10
    assert call(breaker, error)
    assert breaker.open
    assert call(breaker)
    assert not breaker.open


def test_a_refusal_and_a_success_begin_the_count_anew() -> None:
    breaker = CircuitBreaker(2, 10)
    for between in (None, LLMRefused("no")):
        call(breaker, LLMTimeout("slow"))
        call(breaker, between)
        assert not breaker.open
    call(breaker, LLMTimeout("slow"))
    assert not breaker.open


@settings(deadline=None)
@given(st.integers(0, 30))
def test_without_a_number_it_never_opens(failures: int) -> None:
    breaker = CircuitBreaker(0, 10)
    for _ in range(failures):
        assert call(breaker, LLMTimeout("slow"))
    assert not breaker.open


def asked(text: str) -> CompletionRequest:
    return CompletionRequest((Message("user", text),))


def test_answers_are_kept_for_a_while_and_the_oldest_go_first() -> None:
    clock = Clock()
    memory = AnswerMemory(2, 10, clock=clock)
    for text in "abc":
        memory.put("m", asked(text), Completion(text, "m"))
    assert memory.get("m", asked("a")) is None
    assert memory.get("other", asked("b")) is None
    assert memory.get("m", replace(asked("b"), max_tokens=7)) is None
    assert memory.get("m", replace(asked("b"), deadline_s=7)) == Completion("b", "m")
    memory.put("m", asked("d"), Completion("d", "m"))
    assert memory.get("m", asked("c")) is None, "b was used after c"
    clock.now = 11
    assert memory.get("m", asked("b")) is None
    assert len(memory) <= 2


def test_what_is_drawn_by_chance_is_not_kept() -> None:
    memory = AnswerMemory(2, 10)
    memory.put("m", replace(asked("a"), temperature=0.5), Completion("a", "m"))
    AnswerMemory(0, 10).put("m", asked("a"), Completion("a", "m"))
    assert len(memory) == 0
