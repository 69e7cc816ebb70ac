"""What language models may cost, held in the database: reserved before a call and settled after it, by any process.

The rule: spent and reserved together never pass a ceiling. A reservation that its process does not end (it was killed,
or it lost the database) counts at its most. Once its time is over it is booked as spent at its most, since the provider
may have been paid for the call; only a late settlement by its own process corrects that. Nothing is ever given back
because of a guess.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from rarec.errors import BudgetExceeded, InputError
from rarec.llm.budget import Spend
from rarec.state.database import StateDatabase
from rarec.state.records import SCOPES, Ceiling, Limits, Scope
from rarec.state.stored import check_name, now_us, us_of
from rarec.state.tables import accounts, reservation_accounts, reservations

log = logging.getLogger(__name__)

LEASE_S = 120.0
"""After so long a reservation is taken for that of a dead process; longer than any call is waited for."""
_UNITS = ("calls", "tokens", "picodollars")
_PICO = 10**12


@dataclass(frozen=True, slots=True)
class Account:
    """What is spent is added up here; the scope and a name, e.g. ``("key", "ab12")`` or ``("day", "2026-11-26 ab12")``.

    Raises:
        InputError: an unknown scope, or a name that is empty or longer than 128 characters.
    """

    scope: Scope
    name: str

    @property
    def of_all(self) -> bool:
        """Whether all keys together are booked on it; see `service_day`."""
        return self.scope == "day" and " " not in self.name

    @property
    def label(self) -> str:
        """What it is of, for people: a day is that of one key, or of all together."""
        if self.scope == "day":
            return f"today (UTC) for {'all keys together' if self.of_all else 'this key'}"
        return f"this {self.scope}" + (", over all its life" if self.scope == "key" else "")

    def __post_init__(self) -> None:
        if self.scope not in SCOPES:
            raise InputError(f"{self.scope!r} is no scope of a budget; use one of {', '.join(SCOPES)}")
        check_name(self.name, f"the name of an account of the scope {self.scope!r}")


class CeilingReached(BudgetExceeded):
    """A reservation could pass the ceiling of an account."""

    def __init__(self, message: str, account: Account, *, passing: bool = False) -> None:
        super().__init__(message, passing=passing)
        self.account = account


def ceilings_for(
    limits: Limits, *, key: str, session: str | None, request: str, at: datetime | None = None
) -> dict[Account, Ceiling]:
    """The four accounts that one request of a key is booked on, with the key's ceilings. The day is that of UTC."""
    day = (at or datetime.now(UTC)).astimezone(UTC).date().isoformat()
    found = {
        Account("request", request): limits.request,
        Account("key", key): limits.key,
        Account("day", f"{day} {key}"): limits.day,
    }
    return found if session is None else {**found, Account("session", session): limits.session}


def service_day(ceiling: Ceiling, at: datetime | None = None) -> dict[Account, Ceiling]:
    """The account of all keys together on one day (UTC)."""
    return {Account("day", (at or datetime.now(UTC)).astimezone(UTC).date().isoformat()): ceiling}


def reserve(database: StateDatabase, ceilings: dict[Account, Ceiling], most: Spend, *, lease_s: float = LEASE_S) -> str:
    """Set aside what a call may consume on all accounts, or on none; the id of the reservation.

    Args:
        most: see `rarec.llm.budget.most_of`.
        lease_s: how long it is taken to be alive; more than the call's deadline, > 0.
    Raises:
        CeilingReached: it could pass a ceiling; `passing` says whether calls in flight may leave enough over.
        InputError: no account, or a lease that is none.
    """
    if not ceilings or not lease_s > 0:
        raise InputError(f"{len(ceilings)} accounts and a lease of {lease_s!r} s; name an account, and a time above 0")
    try:
        return _reserve(database, ceilings, most, lease_s)
    except BudgetExceeded as error:
        if not error.passing or not expire(database):
            raise
    return _reserve(database, ceilings, most, lease_s)  # what stood in the way was of a dead process: it is spent now


def settle(database: StateDatabase, reservation: str, actual: Spend) -> None:
    """Book what the call consumed and give the rest back. More than was foreseen is booked as it was.

    Raises:
        InputError: there is no such reservation, or it has been settled before.
    """
    with database.writing() as connection:
        row = _locked(connection, reservation)
        if row is None or row.state == "settled":
            what = "is none" if row is None else "has ended before"
            raise InputError(f"the reservation {reservation!r} {what}; a call is settled once")
        _end(connection, row, "settled", actual)
    for unit in _UNITS:
        if getattr(actual, unit) > getattr(row, f"most_{unit}"):
            log.warning("a call took more %s than was foreseen: its ceilings are not kept exactly", unit)


def release(database: StateDatabase, reservation: str) -> None:
    """Give everything back: the call was not made. Raises as `settle`."""
    settle(database, reservation, Spend())


def expire(database: StateDatabase) -> int:
    """Book reservations whose time is over as spent at their most; how many. See the rule at the top."""
    query = select(reservations.c.id).where(reservations.c.state == "open", reservations.c.expires_us <= now_us())
    with database.reading() as connection:
        overdue = connection.execute(query.order_by(reservations.c.id)).scalars().all()
    ended = 0
    for id in overdue:
        with database.writing() as connection:
            row = _locked(connection, id)
            if row is None or row.state != "open":
                continue
            most = Spend(row.most_calls, row.most_tokens, row.most_picodollars)
            _end(connection, row, "expired", most)
        ended += 1
        log.warning("a call was never settled, its process may have died: %s is booked as spent", most)
    return ended


def tidy(database: StateDatabase, *, before: datetime) -> int:
    """Delete the accounts of single requests that nothing is reserved on since `before`; how many."""
    idle = [accounts.c[f"reserved_{unit}"] == 0 for unit in _UNITS]
    with database.writing() as connection:
        old = (accounts.c.scope == "request", accounts.c.used_us < us_of(before), *idle)
        return connection.execute(delete(accounts).where(*old)).rowcount


def spent(database: StateDatabase, account: Account) -> Spend:
    """Settled so far."""
    return _sum(database, account, "spent")


def reserved(database: StateDatabase, account: Account) -> Spend:
    """For calls that have not ended."""
    return _sum(database, account, "reserved")


def _reserve(database: StateDatabase, ceilings: dict[Account, Ceiling], most: Spend, lease_s: float) -> str:
    id, now = secrets.token_hex(16), now_us()
    with database.writing() as connection:
        refused: list[CeilingReached] = []
        for account in sorted(ceilings, key=lambda account: (account.scope, account.name)):  # locked in one order
            row = _hold(connection, account, most, now)
            if (error := _refusal(account, ceilings[account], row, most)) is not None:
                refused.append(error)
        if refused:
            raise min(refused, key=lambda error: error.passing)  # one that stays is what counts; all is rolled back
        connection.execute(
            insert(reservations).values(
                id=id, state="open", created_us=now, expires_us=now + round(lease_s * 1e6), **_columns("most", most)
            )
        )
        connection.execute(
            insert(reservation_accounts),
            [{"reservation_id": id, "scope": account.scope, "name": account.name} for account in ceilings],
        )
    return id


def _hold(connection: Connection, account: Account, most: Spend, now: int) -> Row[Any]:
    """Add to what is reserved; the account as it is then. The row stays locked until the transaction ends."""
    kind = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = {"scope": account.scope, "name": account.name, "used_us": now}
    statement = kind.insert(accounts).values(**new, **_columns("spent", Spend()), **_columns("reserved", most))
    more = {f"reserved_{unit}": accounts.c[f"reserved_{unit}"] + getattr(most, unit) for unit in _UNITS}
    return connection.execute(
        statement.on_conflict_do_update(index_elements=["scope", "name"], set_={**more, "used_us": now}).returning(
            accounts
        )
    ).one()


def _refusal(account: Account, ceiling: Ceiling, row: Row[Any], most: Spend) -> CeilingReached | None:
    """Why the reservation that was just added is too much; None if it fits."""
    found: list[CeilingReached] = []
    money = None if ceiling.usd is None else round(ceiling.usd * _PICO)
    for unit, allowed in (("calls", ceiling.calls), ("tokens", ceiling.tokens), ("picodollars", money)):
        booked, held, wanted = getattr(row, f"spent_{unit}"), getattr(row, f"reserved_{unit}"), getattr(most, unit)
        if allowed is not None and booked + held > allowed:
            told = f"{_amount(unit, booked)} spent, {_amount(unit, held - wanted)} reserved for calls on their way"
            alone = ", more than all of it; raise the ceiling, or lower" if wanted > allowed else "; raise it, or lower"
            found.append(
                CeilingReached(
                    f"the ceiling of {account.label} is {_amount(unit, allowed)}: {told}, and one more call may take "
                    f"{_amount(unit, wanted)}{alone} llm.max_tokens and recommend.candidates",
                    account,
                    passing=held > wanted and booked + wanted <= allowed,
                )
            )
    return min(found, key=lambda error: error.passing) if found else None


def _locked(connection: Connection, reservation: str) -> Row[Any] | None:
    query = select(reservations).where(reservations.c.id == reservation)
    return connection.execute(query.with_for_update()).first()


def _end(connection: Connection, row: Row[Any], state: str, actual: Spend) -> None:
    """Turn what is reserved into what is spent; what was booked when it expired is corrected."""
    of_it = reservation_accounts.c.reservation_id == row.id
    order = (reservation_accounts.c.scope, reservation_accounts.c.name)
    booked = connection.execute(select(*order).where(of_it)).all()
    changes: dict[str, Any] = {}
    for unit in _UNITS:
        most, now = getattr(row, f"most_{unit}"), getattr(actual, unit)
        if row.state == "open":
            changes[f"reserved_{unit}"] = accounts.c[f"reserved_{unit}"] - most
            changes[f"spent_{unit}"] = accounts.c[f"spent_{unit}"] + now
        else:
            changes[f"spent_{unit}"] = accounts.c[f"spent_{unit}"] - most + now
    for scope, name in sorted((each.scope, each.name) for each in booked):  # locked in one order
        own = accounts.c.scope == scope, accounts.c.name == name
        connection.execute(update(accounts).where(*own).values(**changes))
    connection.execute(
        update(reservations)
        .where(reservations.c.id == row.id)
        .values(state=state, ended_us=now_us(), **_columns("actual", actual))
    )


def _sum(database: StateDatabase, account: Account, what: str) -> Spend:
    query = select(accounts).where(accounts.c.scope == account.scope, accounts.c.name == account.name)
    with database.reading() as connection:
        row = connection.execute(query).first()
    return Spend() if row is None else Spend(*(getattr(row, f"{what}_{unit}") for unit in _UNITS))


def _columns(what: str, spend: Spend) -> dict[str, int]:
    return {f"{what}_{unit}": getattr(spend, unit) for unit in _UNITS}


def _amount(unit: str, number: int) -> str:
    if unit == "picodollars":
        return f"{number / _PICO:.8f}".rstrip("0").rstrip(".") + " USD"
    return f"{number:,} {unit.removesuffix('s') if number == 1 else unit}"
