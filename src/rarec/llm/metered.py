"""A language model with what it may cost: answers on disk first, then budgets, then the call within its deadline."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import anyio

from rarec.errors import BudgetExceeded, LLMError, LLMRefused, LLMUnavailable, SettingsError
from rarec.llm.asking import Asked, within_deadline
from rarec.llm.budget import Budget, Prices, Reservation, Spend, most_of, reserve_all, spend_of, spend_of_failure
from rarec.llm.cached import AnswerFile, CachedLLM
from rarec.llm.protocol import LLM
from rarec.types import Completion, CompletionRequest

log = logging.getLogger(__name__)

_WAIT_S = 0.05


class Metered:
    """Asks a model for money, and never for the same answer twice.

    An answer on disk costs nothing and needs no budget. A call that is made is booked: by the tokens that the provider
    counted, or at the most that it may have cost if the provider does not say, if it timed out or was broken off
    (providers bill what they wrote until then). A call that the model refused or that did not reach it counts as a
    call without tokens.

    Args:
        answers: None keeps none.
        budgets: a call must fit into all of them.
        prices: None where they are not known or nothing is paid.
        in_tokens: False for a model in this process that reads no tokens: of its calls only the number is booked.
    Raises:
        SettingsError: a budget has a ceiling in dollars, but there are no prices.
    """

    def __init__(
        self,
        llm: LLM,
        *,
        answers: AnswerFile | None = None,
        budgets: Sequence[Budget] = (),
        prices: Prices | None = None,
        in_tokens: bool = True,
    ) -> None:
        if prices is None and (limited := [budget.name for budget in budgets if budget.limits_money]):
            raise SettingsError(
                f"the budget of {limited[0]} is in dollars, but the prices of {llm.name!r} are not known; "
                "give the prices for a million tokens, or a ceiling of calls or tokens"
            )
        self._llm, self._budgets, self._prices, self._in_tokens = llm, tuple(budgets), prices, in_tokens
        self._cache = None if answers is None else CachedLLM(llm, answers)

    @property
    def name(self) -> str:
        return self._llm.name

    async def ask(self, request: CompletionRequest) -> Asked:
        """The answer from disk, else the model's. A failure of the model is an `Asked` without completion.

        Where only calls in flight stand between it and a ceiling, it waits for them.

        Raises:
            BudgetExceeded: the call could pass a ceiling; it was not made.
            Whatever the model raises that is no LLMError.
        """
        call = _Call(self._llm, request, self._budgets, self._prices, in_tokens=self._in_tokens)
        started = time.perf_counter()
        try:
            if self._cache is None:
                completion, cached = await call.make(), False
            else:
                completion, cached = await self._cache.fetch(request, call.make)
        except LLMError as error:
            log.info("%s did not answer: %s", self.name, error)
            latency_ms = (time.perf_counter() - started) * 1000
            return Asked(None, latency_ms, str(error) or type(error).__name__, spend=call.spend)
        return Asked(completion, completion.latency_ms or None, cached=cached, spend=call.spend)

    def charge(self, spend: Spend) -> None:
        """Book in all budgets what was spent before, see `Budget.charge`."""
        for budget in {budget.number: budget for budget in self._budgets}.values():
            budget.charge(spend)

    async def aclose(self) -> None:
        """Close the model's connections in this event loop, if it has any."""
        if (aclose := getattr(self._llm, "aclose", None)) is not None:
            await aclose()


class _Call:
    """One call that is paid for; `spend` says what was booked."""

    def __init__(
        self,
        llm: LLM,
        request: CompletionRequest,
        budgets: Sequence[Budget],
        prices: Prices | None,
        *,
        in_tokens: bool,
    ) -> None:
        self._llm, self._request, self._budgets, self._prices = llm, request, budgets, prices
        self._most = most_of(request, prices) if in_tokens else Spend(calls=1)
        self.spend = Spend()

    async def make(self) -> Completion:
        most = self._most
        reservation = await self._reserved(most)
        self.spend = most
        try:
            completion = await within_deadline(self._llm.name, self._request, lambda: self._llm.complete(self._request))
            self.spend = spend_of(completion.usage, most, self._prices)
        except (LLMRefused, LLMUnavailable) as error:
            self.spend = spend_of_failure(error, most, self._prices)
            raise
        finally:
            reservation.settle(self.spend)
        return completion

    async def _reserved(self, most: Spend) -> Reservation:
        while True:
            try:
                return reserve_all(self._budgets, most)
            except BudgetExceeded as error:
                if not error.passing:
                    raise
            await anyio.sleep(_WAIT_S)
