"""Whatever calls do, in whatever order and process, what is spent and reserved stays under every ceiling."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test
from sqlalchemy import select, update

from rarec.errors import BudgetExceeded, InputError
from rarec.llm.budget import Spend
from rarec.state import (
    Account,
    Ceiling,
    Limits,
    StateDatabase,
    ceilings_for,
    expire,
    release,
    reserve,
    reserved,
    service_day,
    settle,
    spent,
    tidy,
)
from rarec.state.tables import accounts, reservation_accounts, reservations

ACCOUNTS = {
    Account("request", "r"): Ceiling(calls=4),
    Account("session", "s"): Ceiling(calls=9, tokens=300, usd=40e-12),
    Account("key", "k"): Ceiling(tokens=250, usd=70e-12),
    Account("day", "2026-11-26 k"): Ceiling(calls=20, tokens=600),
}
SPENDS = st.builds(Spend, st.integers(0, 3), st.integers(0, 120), st.integers(0, 20))


def within(spend: Spend, ceiling: Ceiling) -> bool:
    return (
        (ceiling.calls is None or spend.calls <= ceiling.calls)
        and (ceiling.tokens is None or spend.tokens <= ceiling.tokens)
        and (ceiling.usd is None or spend.picodollars <= round(ceiling.usd * 1e12))
    )


def overdue(database: StateDatabase, reservation: str) -> None:
    """Let the time of a reservation be over, as if its process had died long ago."""
    with database.writing() as connection:
        connection.execute(update(reservations).where(reservations.c.id == reservation).values(expires_us=0))


def summed(database: StateDatabase) -> dict[tuple[str, str], Spend]:
    """What the reservations say that accounts must hold, counted again: spent and reserved together."""
    found: dict[tuple[str, str], Spend] = {}
    with database.reading() as connection:
        joined = select(reservations, reservation_accounts).join(reservation_accounts)
        for row in connection.execute(joined):
            what = "most" if row.state == "open" else "actual"
            units = (getattr(row, f"{what}_{unit}") for unit in ("calls", "tokens", "picodollars"))
            found[row.scope, row.name] = found.get((row.scope, row.name), Spend()) + Spend(*units)
    return found


class Calls(RuleBasedStateMachine):
    """Calls that begin, end, fail and die in any order, each on some accounts; a second account is kept."""

    going = Bundle("going")
    dead = Bundle("dead")
    place: str

    def __init__(self) -> None:
        super().__init__()
        self.database = StateDatabase.open(self.place)
        with self.database.writing() as connection:
            for table in (reservation_accounts, reservations, accounts):
                connection.execute(table.delete())
        self.spent = dict.fromkeys(ACCOUNTS, Spend())
        self.reserved = dict.fromkeys(ACCOUNTS, Spend())
        self.lost: dict[str, tuple[set[Account], Spend]] = {}

    def teardown(self) -> None:
        self.database.close()

    @rule(target=going, chosen=st.sets(st.sampled_from(list(ACCOUNTS)), min_size=1), most=SPENDS)
    def begin(self, chosen: set[Account], most: Spend) -> tuple[str, set[Account], Spend] | None:
        ceilings = {account: ACCOUNTS[account] for account in chosen}
        if all(within(self.spent[a] + self.reserved[a] + most, ACCOUNTS[a]) for a in chosen):
            id = reserve(self.database, ceilings, most)
            for account in chosen:
                self.reserved[account] += most
            return id, chosen, most
        passing = all(within(self.spent[a] + most, ACCOUNTS[a]) for a in chosen)
        if passing:
            self.everything_overdue_is_booked()
        with pytest.raises(BudgetExceeded) as caught:
            reserve(self.database, ceilings, most)
        assert caught.value.passing == all(within(self.spent[a] + most, ACCOUNTS[a]) for a in chosen)
        return None

    def everything_overdue_is_booked(self) -> None:
        for id in list(self.lost):
            chosen, most = self.lost.pop(id)
            for account in chosen:
                self.reserved[account] -= most
                self.spent[account] += most

    @rule(call=consumes(going), share=st.floats(0, 1))
    def end(self, call: tuple[str, set[Account], Spend] | None, share: float) -> None:
        if call is None:
            return
        id, chosen, most = call
        actual = Spend(int(most.calls * share), int(most.tokens * share), int(most.picodollars * share))
        settle(self.database, id, actual)
        for account in chosen:
            self.reserved[account] -= most
            self.spent[account] += actual
        with pytest.raises(InputError, match="ended before"):
            release(self.database, id)

    @rule(target=dead, call=consumes(going))
    def die(self, call: tuple[str, set[Account], Spend] | None) -> tuple[str, set[Account], Spend] | None:
        if call is not None:
            overdue(self.database, call[0])
            self.lost[call[0]] = call[1:]
        return call

    @rule()
    def sweep(self) -> None:
        assert expire(self.database) == len(self.lost)
        self.everything_overdue_is_booked()

    @rule(call=consumes(dead))
    def come_back(self, call: tuple[str, set[Account], Spend] | None) -> None:
        """A process that only was slow settles after all."""
        if call is None:
            return
        id, chosen, most = call
        settle(self.database, id, Spend())
        was = self.reserved if self.lost.pop(id, None) else self.spent
        for account in chosen:
            was[account] -= most

    @invariant()
    def under_every_ceiling(self) -> None:
        told = summed(self.database)
        for account, ceiling in ACCOUNTS.items():
            booked, held = spent(self.database, account), reserved(self.database, account)
            assert within(booked + held, ceiling)
            assert (booked, held) == (self.spent[account], self.reserved[account])
            assert told.get((account.scope, account.name), Spend()) == booked + held


def test_calls_in_any_order(database_place: str) -> None:
    class Here(Calls):
        place = database_place

    slow = HealthCheck.too_slow
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Here,
        settings=settings(max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=[slow]),
    )


@pytest.fixture
def database(database_place: str) -> Iterator[StateDatabase]:
    with StateDatabase.open(database_place) as opened:
        yield opened


SHARED = {Account("day", "d"): Ceiling(calls=60), Account("key", "k"): Ceiling(tokens=400)}


def _spend(place: str, seed: int, start: Any, told: Any) -> None:
    """A process of threads that spend as much as they can; tells what it settled."""
    with StateDatabase.open(place) as database:
        start.wait()
        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(lambda number: _some_calls(database, seed + number), range(4)))
    told.put((sum(calls for calls, _ in made), sum(tokens for _, tokens in made)))


def _some_calls(database: StateDatabase, number: int) -> tuple[int, int]:
    calls = tokens = 0
    for step in range(20):
        chain = dict(list(SHARED.items())[:: 1 if (number + step) % 2 else -1])  # asked for in both orders
        try:
            held = reserve(database, chain, Spend(1, 7))
        except BudgetExceeded:
            continue
        for account, ceiling in SHARED.items():
            assert within(spent(database, account) + reserved(database, account), ceiling)
        if step % 3:
            settle(database, held, Spend(1, 5))
            calls, tokens = calls + 1, tokens + 5
        else:
            release(database, held)
    return calls, tokens


def test_threads_of_two_processes_never_pass_a_ceiling(database_place: str) -> None:
    StateDatabase.open(database_place).close()
    spawn = multiprocessing.get_context("spawn")
    start, told = spawn.Barrier(2), spawn.Queue()
    workers = [spawn.Process(target=_spend, args=(database_place, seed, start, told)) for seed in (0, 10)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=200)
    assert [worker.exitcode for worker in workers] == [0, 0]
    made = [told.get(timeout=10) for _ in workers]
    calls, tokens = (sum(column) for column in zip(*made, strict=True))
    with StateDatabase.open(database_place) as database:
        for account in SHARED:
            assert spent(database, account) == Spend(calls, tokens)
            assert reserved(database, account) == Spend()
    assert calls == 60


def _reserve_and_hang(place: str, told: Any) -> None:
    with StateDatabase.open(place) as database:
        told.put(reserve(database, {Account("key", "k"): Ceiling(calls=2)}, Spend(1, 10), lease_s=3600))
        signal.pause()


def test_a_reservation_of_a_killed_process_counts_until_it_expires_and_is_spent_then(database_place: str) -> None:
    StateDatabase.open(database_place).close()
    spawn = multiprocessing.get_context("spawn")
    told = spawn.Queue()
    worker = spawn.Process(target=_reserve_and_hang, args=(database_place, told))
    worker.start()
    reservation = told.get(timeout=120)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    account, ceilings = Account("key", "k"), {Account("key", "k"): Ceiling(calls=2)}
    with StateDatabase.open(database_place) as database:
        assert reserved(database, account) == Spend(1, 10)
        assert expire(database) == 0
        settle(database, reserve(database, ceilings, Spend(1, 10)), Spend(1, 4))
        with pytest.raises(BudgetExceeded, match="is 2 calls: 1 call spent, 1 call reserved") as caught:
            reserve(database, ceilings, Spend(1, 10))
        assert caught.value.passing
        overdue(database, reservation)
        with pytest.raises(BudgetExceeded) as caught:
            reserve(database, ceilings, Spend(1, 10))
        assert not caught.value.passing  # nobody waits for the dead
        assert (spent(database, account), reserved(database, account)) == (Spend(2, 14), Spend())
        assert expire(database) == 0


def test_an_overrun_is_booked_as_it_was(database: StateDatabase, caplog: pytest.LogCaptureFixture) -> None:
    account, ceilings = Account("key", "k"), {Account("key", "k"): Ceiling(tokens=10)}
    settle(database, reserve(database, ceilings, Spend(1, 10)), Spend(1, 15))
    assert "more tokens than was foreseen" in caplog.text
    assert spent(database, account) == Spend(1, 15)
    with pytest.raises(BudgetExceeded):
        reserve(database, ceilings, Spend(1, 0))
    with pytest.raises(InputError, match="is none"):
        settle(database, "no such", Spend())
    for wrong, lease in ((ceilings, 0.0), (ceilings, float("nan")), ({}, 1.0)):
        with pytest.raises(InputError, match="above 0"):
            reserve(database, wrong, Spend(), lease_s=lease)


def test_a_request_is_booked_on_its_four_accounts_and_the_day_of_all(database: StateDatabase) -> None:
    at = datetime(2026, 11, 26, 23, 30, tzinfo=UTC)
    limits = Limits(day=Ceiling(usd=1.5), request=Ceiling(calls=1))
    ceilings = ceilings_for(limits, key="k", session="s", request="r", at=at) | service_day(Ceiling(calls=9), at)
    assert {(a.scope, a.name): c for a, c in ceilings.items()} == {
        ("request", "r"): limits.request,
        ("session", "s"): Ceiling(),
        ("key", "k"): Ceiling(),
        ("day", "2026-11-26 k"): limits.day,
        ("day", "2026-11-26"): Ceiling(calls=9),
    }
    held = reserve(database, ceilings, Spend(1, 100, 10**12))
    with pytest.raises(BudgetExceeded, match="this request is 1 call:") as caught:
        reserve(database, {**ceilings, Account("day", "2026-11-26 k"): Ceiling()}, Spend(1, 1))
    assert caught.value.passing
    settle(database, held, Spend(1, 80, 10**11))
    assert all(spent(database, account) == Spend(1, 80, 10**11) for account in ceilings)
    assert tidy(database, before=datetime.now(UTC) - timedelta(hours=1)) == 0
    assert tidy(database, before=datetime.now(UTC) + timedelta(hours=1)) == 1
    assert spent(database, Account("request", "r")) == Spend()
    assert spent(database, Account("key", "k")) == Spend(1, 80, 10**11)


@pytest.mark.parametrize(("scope", "name"), [("year", "x"), ("key", ""), ("key", "x" * 129), ("day", "a\0")])
def test_an_account_that_cannot_be_is_refused(scope: Any, name: str) -> None:
    with pytest.raises(InputError):
        Account(scope, name)
