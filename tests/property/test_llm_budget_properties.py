"""Whatever calls do in whatever order, what is spent and reserved stays under every ceiling."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from rarec.errors import BudgetExceeded
from rarec.llm.budget import Budget, Prices, Reservation, Spend, most_of, reserve_all
from rarec.types import CompletionRequest, Message

CEILINGS = {"session": Spend(9, 300, 40), "key": Spend(12, 250, 70), "day": Spend(20, 600, 55)}
SPENDS = st.builds(Spend, st.integers(0, 3), st.integers(0, 120), st.integers(0, 20))


def within(spend: Spend, ceiling: Spend) -> bool:
    return spend.calls <= ceiling.calls and spend.tokens <= ceiling.tokens and spend.picodollars <= ceiling.picodollars


def make(name: str) -> Budget:
    ceiling = CEILINGS[name]
    return Budget(name, calls=ceiling.calls, tokens=ceiling.tokens, usd=ceiling.usd)


class Calls(RuleBasedStateMachine):
    """Calls that begin, end and fail in any order, each under some of three budgets; a second account is kept."""

    going = Bundle("going")

    def __init__(self) -> None:
        super().__init__()
        self.budgets = {name: make(name) for name in CEILINGS}
        self.spent = dict.fromkeys(CEILINGS, Spend())
        self.reserved = dict.fromkeys(CEILINGS, Spend())

    @rule(target=going, names=st.lists(st.sampled_from(sorted(CEILINGS)), max_size=4), most=SPENDS)
    def begin(self, names: list[str], most: Spend) -> tuple[Reservation, set[str], Spend] | None:
        chosen = set(names)
        fits = all(within(self.spent[n] + self.reserved[n] + most, CEILINGS[n]) for n in chosen)
        passing = all(within(self.spent[n] + most, CEILINGS[n]) for n in chosen)
        budgets = [self.budgets[name] for name in names]
        if not fits:
            with pytest.raises(BudgetExceeded) as caught:
                reserve_all(budgets, most)
            assert caught.value.passing == passing
            return None
        reservation = reserve_all(budgets, most)
        for name in chosen:
            self.reserved[name] += most
        return reservation, chosen, most

    @rule(call=consumes(going), share=st.floats(0, 1))
    def settle(self, call: tuple[Reservation, set[str], Spend] | None, share: float) -> None:
        if call is None:
            return
        reservation, names, most = call
        actual = Spend(int(most.calls * share), int(most.tokens * share), int(most.picodollars * share))
        reservation.settle(actual)
        for name in names:
            self.reserved[name] -= most
            self.spent[name] += actual

    @rule(call=consumes(going))
    def release(self, call: tuple[Reservation, set[str], Spend] | None) -> None:
        if call is None:
            return
        reservation, names, most = call
        reservation.release()
        for name in names:
            self.reserved[name] -= most

    @invariant()
    def under_every_ceiling(self) -> None:
        for name, budget in self.budgets.items():
            assert within(budget.spent + budget.reserved, CEILINGS[name])
            assert (budget.spent, budget.reserved) == (self.spent[name], self.reserved[name])


Calls.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestCalls = Calls.TestCase


def test_threads_together_spend_the_whole_budget_and_no_more() -> None:
    budgets = [Budget("a", calls=150), Budget("b", tokens=1000)]
    seen: list[bool] = []
    start = threading.Barrier(8)

    def work(number: int) -> int:
        start.wait()
        made = 0
        for step in range(60):
            chain = budgets if (number + step) % 2 else budgets[::-1]  # locks are asked for in both orders
            try:
                held = reserve_all(chain, Spend(1, 7))
            except BudgetExceeded:
                continue
            both = budgets[0].spent + budgets[0].reserved
            seen.append(both.calls <= 150)
            held.settle(Spend(1, 5)) if step % 3 else held.release()
            made += bool(step % 3)
        return made

    with ThreadPoolExecutor(8) as pool:
        made = sum(pool.map(work, range(8)))
    assert all(seen)
    assert budgets[0].spent == budgets[1].spent == Spend(made, 5 * made)
    assert budgets[0].reserved == Spend()
    assert made == 150


@given(
    texts=st.lists(st.text(st.characters(), max_size=60), min_size=1, max_size=3),
    tokens=st.integers(1, 500),
    prices=st.builds(Prices, st.sampled_from([0.0, 0.0375, 2.5]), st.sampled_from([0.0, 0.15, 10.0])),
)
def test_the_bound_counts_every_byte_and_the_whole_answer(texts: list[str], tokens: int, prices: Prices) -> None:
    request = CompletionRequest(tuple(Message("user", text) for text in texts), {"type": "object"}, max_tokens=tokens)
    most = most_of(request, prices)
    read = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    assert most.tokens >= read + tokens + len('{"type": "object"}')
    real = Spend.of_call(read, tokens, prices)
    assert within(real, most)
    assert abs(real.usd - (prices.cost(read, tokens) or 0.0)) < 1e-9
