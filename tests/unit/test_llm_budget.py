"""Ceilings of calls, tokens and money: what a refusal says, chains, and what is booked."""

import logging

import pytest

from rarec.errors import BudgetExceeded, InputError, LLMError, RarecError
from rarec.llm.budget import Budget, Prices, Spend, most_of, reserve_all, spend_of
from rarec.types import CompletionRequest, Message, Usage


def test_a_refusal_says_what_is_spent_the_ceiling_and_the_remedy() -> None:
    budget = Budget("the run", usd=0.5)
    budget.charge(Spend(3, 900, 400_000_000_000))
    with pytest.raises(BudgetExceeded) as caught:
        budget.reserve(Spend(1, 10, 200_000_000_000))
    text = str(caught.value)
    assert "the run allows 0.5 USD: 0.4 USD spent, and one more" in text
    assert "one more call may take 0.2 USD" in text
    assert "raise the ceiling 'usd'" in text
    assert not caught.value.passing
    assert isinstance(caught.value, RarecError)
    assert not isinstance(caught.value, LLMError), "the model did not fail"
    assert caught.value.exit_code == LLMError.exit_code


def test_only_calls_in_flight_in_the_way_is_another_refusal() -> None:
    budget = Budget(tokens=100)
    held = budget.reserve(Spend(1, 60))
    with pytest.raises(BudgetExceeded, match="60 tokens reserved") as caught:
        budget.reserve(Spend(1, 60))
    assert caught.value.passing
    held.settle(Spend(1, 40))
    budget.reserve(Spend(1, 60)).release()
    assert (budget.spent, budget.reserved) == (Spend(1, 40), Spend())


def test_a_ceiling_that_stays_counts_before_one_that_calls_in_flight_may_free() -> None:
    budget = Budget(tokens=100, usd=1.0)
    budget.charge(Spend(1, 0, 900_000_000_000))
    budget.reserve(Spend(1, 60))
    with pytest.raises(BudgetExceeded, match=r"0\.9 USD spent") as caught:
        budget.reserve(Spend(1, 60, 200_000_000_000))
    assert not caught.value.passing


def test_a_remedy_of_ones_own_names_the_ceiling() -> None:
    budget = Budget("the day", calls=0, remedy="wait, or raise day.{ceiling}")
    with pytest.raises(BudgetExceeded, match=r"allows 0 calls: 0 calls spent; wait, or raise day\.calls$"):
        budget.reserve(Spend(1))


def test_a_ceiling_can_be_met_exactly() -> None:
    budget = Budget(calls=2, tokens=10, usd=0.3)
    tenth = Spend(1, 5, 150_000_000_000)
    budget.reserve(tenth).settle(tenth)
    budget.reserve(tenth).settle(tenth)
    assert budget.spent.usd == 0.3
    with pytest.raises(BudgetExceeded):
        budget.reserve(Spend(0, 1))


def test_a_chain_is_reserved_together_or_not_at_all() -> None:
    session, key, day = Budget("a session", calls=5), Budget("key 7", calls=1), Budget("today")
    reserve_all([session, key, day], Spend(1)).settle(Spend(1))
    with pytest.raises(BudgetExceeded, match="key 7 allows 1 call: 1 call spent; raise the ceiling 'calls'"):
        reserve_all([day, key, session], Spend(1))
    assert session.spent == day.spent == Spend(1)
    assert session.reserved == day.reserved == Spend()


def test_of_two_refusals_the_lasting_one_counts() -> None:
    busy, empty = Budget("busy", calls=1), Budget("empty", calls=0)
    busy.reserve(Spend(1))
    with pytest.raises(BudgetExceeded, match="empty") as caught:
        reserve_all([busy, empty], Spend(1))
    assert not caught.value.passing


def test_a_budget_that_comes_twice_counts_once() -> None:
    budget = Budget(calls=1)
    reserve_all([budget, budget], Spend(1)).settle(Spend(1))
    assert budget.spent == Spend(1)


def test_a_reservation_ends_once() -> None:
    held = Budget().reserve(Spend(1))
    held.release()
    with pytest.raises(InputError, match="ended before"):
        held.settle(Spend(1))


def test_a_call_that_took_more_than_foreseen_is_booked_and_told(caplog: pytest.LogCaptureFixture) -> None:
    budget = Budget(tokens=100)
    with caplog.at_level(logging.WARNING):
        budget.reserve(Spend(1, 90)).settle(Spend(1, 120))
    assert budget.spent == Spend(1, 120)
    assert "120 tokens, more than was foreseen (90 tokens)" in caplog.text
    with pytest.raises(BudgetExceeded):
        budget.reserve(Spend(1, 0))


@pytest.mark.parametrize("ceiling", [{"calls": -1}, {"tokens": -5}, {"usd": float("nan")}, {"usd": -0.1}])
def test_ceilings_are_numbers_from_zero(ceiling: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(ceiling))):
        Budget(**ceiling)  # type: ignore[arg-type]


@pytest.mark.parametrize("prices", [(-1.0, 1.0), (1.0, float("nan")), (float("inf"), 0.0)])
def test_prices_are_numbers_from_zero(prices: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="prices"):
        Prices(*prices)


def test_money_is_exact() -> None:
    call = Spend.of_call(1000, 200, Prices(2.5, 10.0))
    assert call == Spend(1, 1200, 4_500_000_000)
    total = sum([call] * 1000, Spend())
    assert total.usd == 4.5


def test_what_a_provider_does_not_say_is_booked_at_its_most() -> None:
    request = CompletionRequest((Message("user", "été"),), max_tokens=50)
    most = most_of(request)
    assert most == Spend(1, 64 + 16 + 5 + 50), "bytes, not characters"
    assert spend_of(Usage(1, 0, 0), most) == most
    assert spend_of(Usage(1, 12, 3), most, Prices(1.0, 2.0)) == Spend(1, 15, 18_000_000)
