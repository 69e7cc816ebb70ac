"""Answers on disk before budgets before calls, and what each way to end costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from rarec.errors import BudgetExceeded, LLMError, LLMRefused, LLMUnavailable, SettingsError
from rarec.llm.asking import Asked
from rarec.llm.budget import Budget, Prices, Spend, most_of
from rarec.llm.cached import AnswerFile
from rarec.llm.metered import Metered
from rarec.testing import ScriptedLLM
from rarec.types import Completion, CompletionRequest, Message, Usage


def request(number: int = 0, *, deadline_s: float = 5.0) -> CompletionRequest:
    return CompletionRequest((Message("user", f"Rank {number}."),), max_tokens=10, deadline_s=deadline_s)


def ask(llm: Metered, *requests: CompletionRequest) -> list[Asked]:
    async def go() -> list[Asked]:
        found: list[Asked | None] = [None] * len(requests)

        async def one(place: int) -> None:
            found[place] = await llm.ask(requests[place])

        async with anyio.create_task_group() as group:
            for place in range(len(requests)):
                group.start_soon(one, place)
        return [asked for asked in found if asked is not None]

    return anyio.run(go)


def answer(read: int = 20, written: int = 4) -> Completion:
    return Completion("[1]", "m", Usage(1, read, written), 12.0)


def begun(error: LLMError, usage: Usage) -> LLMError:
    """An answer had come by then, wholly or in part."""
    error.usage = usage
    return error


def test_what_is_on_disk_needs_no_budget(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    budget = Budget(calls=1)
    llm = Metered(ScriptedLLM([answer()]), answers=AnswerFile(path), budgets=[budget])
    (asked,) = ask(llm, request())
    assert (asked.cached, asked.spend) == (False, Spend(1, 24))
    (again,) = ask(llm, request())
    assert again == Asked(answer(), 12.0, cached=True)
    with pytest.raises(BudgetExceeded):
        anyio.run(llm.ask, request(1))
    assert budget.spent == Spend(1, 24)
    later = Metered(ScriptedLLM([]), answers=AnswerFile(path), budgets=[Budget(calls=0)])
    assert ask(later, request())[0].cached


def test_a_model_that_reads_no_tokens_is_booked_by_its_calls() -> None:
    budget = Budget(calls=1, tokens=0)
    (asked,) = ask(Metered(ScriptedLLM([answer(0, 0)]), budgets=[budget], in_tokens=False), request())
    assert asked.spend == budget.spent == Spend(1)
    counting = Metered(ScriptedLLM([answer(0, 0)]), budgets=[Budget(tokens=0)])
    with pytest.raises(BudgetExceeded):
        anyio.run(counting.ask, request())


@pytest.mark.parametrize(
    ("script", "spend"),
    [
        (answer(), Spend(1, 24, 60_000_000)),
        (Completion("[1]", "m", Usage(1), 1.0), most_of(request(), Prices(1.0, 10.0))),  # nothing is said
        (LLMRefused("no"), Spend(1)),
        (LLMUnavailable("no"), Spend(1)),
        (begun(LLMRefused("no"), Usage(1, 20, 4)), Spend(1, 24, 60_000_000)),
        (begun(LLMUnavailable("no"), Usage(1)), most_of(request(), Prices(1.0, 10.0))),
        (LLMError("something"), most_of(request(), Prices(1.0, 10.0))),
    ],
)
def test_each_end_has_its_price(script: Completion | Exception, spend: Spend) -> None:
    budget = Budget(usd=1.0)
    llm = Metered(ScriptedLLM([script]), budgets=[budget], prices=Prices(1.0, 10.0))
    (asked,) = ask(llm, request())
    assert (asked.completion is None) == isinstance(script, Exception)
    assert asked.reason == (str(script) if isinstance(script, Exception) else "")
    assert asked.spend == budget.spent == spend
    assert budget.reserved == Spend()


def test_a_call_that_timed_out_may_have_cost_the_most() -> None:
    budget = Budget()
    llm = Metered(ScriptedLLM(["late"], latency_s=9), budgets=[budget])
    (asked,) = ask(llm, request(deadline_s=0.01))
    assert asked.completion is None
    assert "no answer within 0.01 s" in asked.reason
    assert budget.spent == most_of(request())


def test_a_mistake_of_the_model_is_raised_and_booked() -> None:
    budget = Budget()
    llm = Metered(ScriptedLLM([ZeroDivisionError()]), budgets=[budget])
    with pytest.raises(ZeroDivisionError):
        anyio.run(llm.ask, request())
    assert (budget.spent, budget.reserved) == (most_of(request()), Spend())


def test_many_at_once_wait_for_what_others_leave_over() -> None:
    most = most_of(request()).tokens
    budget = Budget(tokens=most + 3 * 24)
    llm = Metered(ScriptedLLM([answer()] * 4, latency_s=0.01), budgets=[budget])
    asked = ask(llm, *map(request, range(4)))
    assert [one.spend.tokens for one in asked] == [24] * 4, "one at a time fits, four do not"
    with pytest.raises(BudgetExceeded):
        anyio.run(llm.ask, request(9))
    assert budget.spent.calls == 4


def test_dollars_need_prices() -> None:
    with pytest.raises(SettingsError, match="prices of 'scripted' are not known"):
        Metered(ScriptedLLM([]), budgets=[Budget(usd=1.0)])


def test_closing_closes_the_model() -> None:
    closed: list[bool] = []

    class Closing(ScriptedLLM):
        async def aclose(self) -> None:
            closed.append(True)

    models: Sequence[ScriptedLLM] = (Closing([]), ScriptedLLM([]))
    for model in models:
        anyio.run(Metered(model).aclose)
    assert closed == [True]
    assert Metered(models[0]).name == "scripted"
