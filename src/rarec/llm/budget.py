"""Ceilings of calls, tokens and money that no number of concurrent calls can pass."""

from __future__ import annotations

import itertools
import json
import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import isfinite

from rarec.errors import BudgetExceeded, InputError, LLMError
from rarec.types import CompletionRequest, Usage

log = logging.getLogger(__name__)

_PICO = 10**12
_MESSAGE_TOKENS = 16
"""What a chat template puts around a message, at most."""
_REQUEST_TOKENS = 64
"""What a chat template adds of its own, at most."""


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars for a million tokens, as the provider lists them.

    Raises:
        InputError: a price is negative or no number.
    """

    input: float
    output: float

    def __post_init__(self) -> None:
        if not (self.input >= 0 and self.output >= 0 and isfinite(self.input + self.output)):
            raise InputError(f"prices must be at least 0, got {self.input!r} and {self.output!r}")

    def cost(self, input_tokens: int | None, output_tokens: int | None) -> float | None:
        """Dollars of one call; None if a count is not known.

        >>> Prices(2.5, 10.0).cost(1000, 200)
        0.0045
        """
        if input_tokens is None or output_tokens is None:
            return None
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


@dataclass(frozen=True, slots=True)
class Spend:
    """What calls consumed or may consume. Money is counted in whole picodollars, so that sums are exact.

    Raises:
        InputError: a number is negative.
    """

    calls: int = 0
    tokens: int = 0
    picodollars: int = 0

    def __post_init__(self) -> None:
        if self.calls < 0 or self.tokens < 0 or self.picodollars < 0:
            raise InputError(f"calls, tokens and money must be at least 0, got {self!r}")

    @property
    def usd(self) -> float:
        """US dollars."""
        return self.picodollars / _PICO

    def __add__(self, other: Spend) -> Spend:
        return Spend(self.calls + other.calls, self.tokens + other.tokens, self.picodollars + other.picodollars)

    def __sub__(self, other: Spend) -> Spend:
        return Spend(self.calls - other.calls, self.tokens - other.tokens, self.picodollars - other.picodollars)

    @staticmethod
    def of_call(prompt_tokens: int, completion_tokens: int, prices: Prices | None) -> Spend:
        """One call; without prices its money is 0."""
        money = 0
        if prices is not None:  # dollars for a million tokens are as many millions of picodollars for one
            money = prompt_tokens * round(prices.input * 1e6) + completion_tokens * round(prices.output * 1e6)
        return Spend(1, prompt_tokens + completion_tokens, money)


def most_of(request: CompletionRequest, prices: Prices | None = None) -> Spend:
    """What a call may consume at most.

    A token is at least one byte of UTF-8, so the prompt has no more tokens than its messages and its schema have bytes,
    beside 16 a message and 64 a request for what a chat template adds; the answer has at most `max_tokens`. English is
    nearer to four bytes a token, so the bound is wide. It does not hold for a server that rewrites the prompt or
    ignores the limit, and repeats after a busy server are not in it.
    """
    read = _REQUEST_TOKENS
    for message in request.messages:
        read += len(message.content.encode("utf-8", "surrogatepass")) + _MESSAGE_TOKENS
    if request.schema is not None:
        read += len(json.dumps(request.schema))
    return Spend.of_call(read, request.max_tokens, prices)


def spend_of(usage: Usage, most: Spend, prices: Prices | None = None) -> Spend:
    """What an answered call consumed; where the provider does not say (no prompt tokens), the most it may have."""
    if usage.prompt_tokens <= 0:
        return most
    return Spend.of_call(usage.prompt_tokens, usage.completion_tokens, prices)


def spend_of_failure(error: LLMError, most: Spend, prices: Prices | None = None) -> Spend:
    """What a call without an answer consumed: nothing but a call, unless an answer had begun, which is paid for."""
    return Spend(calls=1) if error.usage is None else spend_of(error.usage, most, prices)


class Budget:
    """Ceilings; None is no ceiling. Safe in any number of threads and event loops.

    What may be spent is reserved before a call and settled after it, so that spent + reserved never passes a ceiling as
    long as calls consume no more than was reserved. A call that did is booked as it was, and what is left shrinks.

    Args:
        name: for messages, e.g. ``the run`` or ``key 7, today``.
        usd: US dollars.
        remedy: for messages, what to do where a ceiling is reached; ``{ceiling}`` is calls, tokens or usd.
    Raises:
        InputError: a ceiling is negative or no number.
    """

    _numbers = itertools.count()

    def __init__(
        self,
        name: str = "the run",
        *,
        calls: int | None = None,
        tokens: int | None = None,
        usd: float | None = None,
        remedy: str = "raise the ceiling {ceiling!r}, or ask less",
    ) -> None:
        for what, ceiling in (("calls", calls), ("tokens", tokens), ("usd", usd)):
            if ceiling is not None and not (isfinite(ceiling) and ceiling >= 0):
                raise InputError(
                    f"{what} of the budget of {name} must be at least 0, got {ceiling!r}; None is no ceiling"
                )
        self.name, self._remedy = name, remedy
        self.limits_money = usd is not None
        self._ceilings = (
            ("calls", calls),
            ("tokens", tokens),
            ("picodollars", None if usd is None else round(usd * _PICO)),
        )
        self._spent = self._reserved = Spend()
        self.lock = threading.Lock()
        self.number = next(Budget._numbers)
        """Locks of several budgets are taken in this order."""

    @property
    def spent(self) -> Spend:
        """Settled so far."""
        with self.lock:
            return self._spent

    @property
    def reserved(self) -> Spend:
        """For calls that have not ended."""
        with self.lock:
            return self._reserved

    def reserve(self, most: Spend) -> Reservation:
        """Set aside what a call may consume; see `reserve_all`."""
        return reserve_all([self], most)

    def charge(self, actual: Spend) -> None:
        """Book what was spent without a reservation, e.g. before a run was resumed; it may pass a ceiling."""
        with self.lock:
            self._spent += actual

    # The rest is for reservations; the caller holds the lock.

    def refusals(self, most: Spend) -> Iterator[BudgetExceeded]:
        """One for each ceiling that `most` does not fit under beside what is spent and reserved."""
        for what, ceiling in self._ceilings:
            if ceiling is None:
                continue
            wanted, spent, reserved = (getattr(s, what) for s in (most, self._spent, self._reserved))
            if spent + reserved + wanted > ceiling:
                yield BudgetExceeded(
                    self._refusal(what, ceiling, wanted, spent, reserved),
                    passing=reserved > 0 and spent + wanted <= ceiling,
                )

    def hold(self, most: Spend) -> None:
        """Add to what is reserved."""
        self._reserved += most

    def book(self, most: Spend, actual: Spend) -> None:
        """Turn a part of what is reserved into what is spent."""
        self._reserved -= most
        self._spent += actual
        for what, ceiling in self._ceilings:
            if ceiling is not None and getattr(actual, what) > getattr(most, what):
                log.warning(
                    "a call took %s, more than was foreseen (%s): the budget of %s is not kept exactly",
                    _amount(what, getattr(actual, what)), _amount(what, getattr(most, what)), self.name,
                )  # fmt: skip

    def _refusal(self, what: str, ceiling: int, wanted: int, spent: int, reserved: int) -> str:
        told = [f"{_amount(what, spent)} spent"]
        if reserved:
            told.append(f"{_amount(what, reserved)} reserved for calls on their way")
        if what != "calls":
            told.append(f"and one more call may take {_amount(what, wanted)}")
        remedy = self._remedy.format(ceiling="usd" if what == "picodollars" else what)
        return f"the budget of {self.name} allows {_amount(what, ceiling)}: {', '.join(told)}; {remedy}"


class Reservation:
    """What was set aside for one call in one or more budgets; end it once, with `settle` or `release`."""

    def __init__(self, budgets: Sequence[Budget], most: Spend) -> None:
        self._budgets, self._most = budgets, most
        self._open = True

    def settle(self, actual: Spend) -> None:
        """Book what the call consumed and give the rest back.

        Raises:
            InputError: it has ended before.
        """
        with _locked(self._budgets):
            if not self._open:
                raise InputError(f"the reservation of {self._most!r} has ended before; a call is settled once")
            self._open = False
            for budget in self._budgets:
                budget.book(self._most, actual)

    def release(self) -> None:
        """Give everything back: the call was not made. Raises as `settle`."""
        self.settle(Spend())


def reserve_all(budgets: Sequence[Budget], most: Spend) -> Reservation:
    """Set aside what a call may consume in all budgets, or in none; one that comes twice counts once.

    Raises:
        BudgetExceeded: it could pass a ceiling; `passing` says whether calls in flight may leave enough over.
    """
    distinct = sorted({budget.number: budget for budget in budgets}.values(), key=lambda budget: budget.number)
    with _locked(distinct):
        if refused := [error for budget in distinct for error in budget.refusals(most)]:
            raise min(refused, key=lambda error: error.passing)  # one that stays is what counts
        for budget in distinct:
            budget.hold(most)
    return Reservation(distinct, most)


@contextmanager
def _locked(budgets: Sequence[Budget]) -> Iterator[None]:
    with ExitStack() as stack:
        for budget in budgets:
            stack.enter_context(budget.lock)
        yield


def _amount(what: str, number: int) -> str:
    if what == "picodollars":
        return f"{number / _PICO:.6g} USD"
    return f"{number:,} {what.removesuffix('s') if number == 1 else what}"
