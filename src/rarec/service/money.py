"""What stands before a paid model: answers in memory, the circuit breaker, and the books."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from rarec.errors import BudgetExceeded, InputError, LLMRefused, LLMUnavailable, SettingsError, StoreError
from rarec.llm.asking import within_deadline
from rarec.llm.breaker import CircuitBreaker
from rarec.llm.budget import Prices, Spend, most_of, spend_of, spend_of_failure
from rarec.llm.memory import AnswerMemory
from rarec.llm.protocol import LLM, OnText
from rarec.service.database import PATIENCE_S, Database
from rarec.service.logs import log
from rarec.settings import LLMSettings, ServeSettings
from rarec.state import (
    LOCAL,
    Account,
    Ceiling,
    CeilingReached,
    Limits,
    ceilings_for,
    in_money,
    lower,
    parse_limits,
    reserve,
    service_day,
    settle,
)
from rarec.types import Completion, CompletionRequest, Usage

MARGIN_S = 0.02
"""So much earlier than the turn the model is given up, so that what it may have cost is booked in time."""
LEASE_S = 60.0
"""What is set aside stays so for this long after the deadline of its call."""
REACHED = "the ceiling of today for all keys together is reached; its figures are in the log of the service"
"""What others have spent is not told to whoever has a key of their own."""
NO_PRICES = (
    "there is a ceiling in dollars, and the prices of the model are not known; whoever runs the service sets "
    "llm.input_usd and llm.output_usd in rarec.toml"
)
UNBOOKED = "what the model may cost cannot be booked now"


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays for a turn: a key, and its session if the turn is in one."""

    key: str
    limits: Limits = field(default_factory=Limits)
    session: str | None = None


class Books:
    """What turns of this service take from the model.

    Attributes:
        counts_dollars: whether spending in dollars is known: the prices of the model are, or no endpoint is asked.
    Raises:
        SettingsError: a ceiling that cannot be read, or one in dollars without prices.
    """

    def __init__(
        self, settings: ServeSettings, llm: LLMSettings, database: Database, *, cached: Callable[[], None]
    ) -> None:
        try:
            self._ceilings = parse_limits(settings.ceilings, source="serve.ceilings")
        except InputError as error:
            raise SettingsError(str(error)) from error
        self.prices = None
        if llm.input_usd is not None and llm.output_usd is not None:
            self.prices = Prices(llm.input_usd, llm.output_usd)
        self.counts_dollars = llm.kind != "http" or llm.priced
        if not self.counts_dollars and in_money(self._ceilings):
            raise SettingsError(
                "serve.ceilings has one in usd, but the prices of the model are not known; set llm.input_usd and "
                "llm.output_usd, or a ceiling of calls or tokens"
            )
        self.database, self.cached = database, cached
        self.breaker = CircuitBreaker(settings.breaker_failures, settings.breaker_pause_s)
        self.memory = AnswerMemory(settings.cached_answers, settings.cached_s)

    def accounts(self, payer: Payer, request: str) -> dict[Account, Ceiling]:
        """What a call of that payer is booked on, with the ceilings of the key and of the service.

        Args:
            request: names the turn; its calls are counted together.
        Raises:
            BudgetExceeded: a ceiling is in dollars, and nobody knows what a call costs.
        """
        own, all_ = payer.limits, self._ceilings
        both = {name: lower(getattr(own, name), getattr(all_, name)) for name in ("request", "session", "key")}
        limits = Limits(**both, day=own.day)
        if self.prices is None and (in_money(limits) or in_money(all_)):
            raise BudgetExceeded(NO_PRICES)
        found = ceilings_for(limits, key=payer.key, session=payer.session, request=request)
        return found | service_day(all_.day)


class TurnModel:
    """The model as one turn asks it, once or twice.

    An answer in memory costs nothing. Else the most that the call may take is set aside before it, and what it took is
    booked after it, however it ends: where nobody says what that was, the most. A model that is `free` is asked as it
    is.

    Attributes:
        llm: who is asked; set by whoever runs the turn. None is no model.
        spend: what was booked for all calls.
        usage: what their answers say.
        cached: the last answer comes from memory.
    """

    def __init__(self, books: Books, payer: Payer) -> None:
        self._books, self._payer = books, payer
        self._request = uuid.uuid4().hex
        self._asked: tuple[CompletionRequest, Completion] | None = None
        self._settled: list[Future[object]] = []
        self.llm: LLM | None = None
        self.spend, self.usage = Spend(), Usage()
        self.cached = False

    @property
    def name(self) -> str:
        return "" if self.llm is None else self.llm.name

    async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:
        """The answer; raises as the model does, and BudgetExceeded."""
        if self.llm is None:
            raise LLMUnavailable("no model is configured")
        self._asked, self.cached = None, False
        if getattr(self.llm, "free", False):
            return await self.llm.complete(request, on_text=on_text)
        known = self._books.memory.get(self.name, request)
        if known is not None:
            self.cached = True
            self._books.cached()
            if on_text is not None:
                on_text(known.text)
            return replace(known, usage=Usage(), latency_ms=0.0)
        ends = time.monotonic() + request.deadline_s - MARGIN_S
        with self._books.breaker.call():
            most = most_of(request, self._books.prices)
            reservation = await self._reserve(most, request.deadline_s)
            return await self._call(self.llm, request, on_text, reservation, most, ends)

    def remember(self) -> None:
        """The last answer could be used as it was: keep it for equal questions."""
        if self._asked is not None:
            self._books.memory.put(self.name, *self._asked)
            self._asked = None

    async def end(self) -> None:
        """Wait until all calls are booked, but not for long."""
        if self._settled:
            await asyncio.wait([asyncio.wrap_future(one) for one in self._settled], timeout=PATIENCE_S)

    async def _call(
        self, llm: LLM, request: CompletionRequest, on_text: OnText | None, reservation: str, most: Spend, ends: float
    ) -> Completion:
        before, took = self.spend, most
        self.spend = before + took
        try:
            timed = replace(request, deadline_s=max(ends - time.monotonic(), 0.001))
            completion = await within_deadline(llm.name, timed, lambda: llm.complete(timed, on_text=on_text))
            took = spend_of(completion.usage, most, self._books.prices)
            self.usage += completion.usage
            self._asked = request, completion
            return completion
        except (LLMRefused, LLMUnavailable) as error:
            took = spend_of_failure(error, most, self._books.prices)
            raise
        finally:  # no await: a turn that was given up ends now, and is booked all the same
            self.spend = before + took
            self._settle(reservation, took)

    async def _reserve(self, most: Spend, deadline_s: float) -> str:
        accounts, lease_s = self._books.accounts(self._payer, self._request), deadline_s + LEASE_S
        begun: Future[str] | None = None
        try:
            begun = self._books.database.submit(lambda database: reserve(database, accounts, most, lease_s=lease_s))
            return await asyncio.wait_for(asyncio.wrap_future(begun), min(deadline_s, self._books.database.patience_s))
        except asyncio.CancelledError:
            if begun is not None:
                begun.add_done_callback(self._give_back)
            raise
        except CeilingReached as error:
            log(20, "a ceiling is reached", key=self._payer.key, cause=str(error))
            of_others = error.account.of_all and self._payer.key != LOCAL
            raise BudgetExceeded(REACHED if of_others else str(error)) from None
        except (StoreError, TimeoutError) as error:
            if begun is not None:
                begun.add_done_callback(self._give_back)
            log(40, "a call could not be booked", cause=type(error).__name__)
            raise BudgetExceeded(UNBOOKED) from None

    def _settle(self, reservation: str, spend: Spend) -> None:
        settled = self._books.database.later(lambda database: settle(database, reservation, spend))
        if settled is not None:
            self._settled.append(settled)

    def _give_back(self, begun: Future[str]) -> None:
        """What nobody waited for is not needed: the call is not made."""
        if not begun.cancelled() and begun.exception() is None:
            self._settle(begun.result(), Spend())
