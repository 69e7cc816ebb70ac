"""Who may call, and what they may spend: keys of the service's database, or nobody but this machine."""

from __future__ import annotations

import hashlib
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from starlette.requests import Request

from rarec.errors import StoreError
from rarec.service.database import Database
from rarec.service.problems import Problem
from rarec.state import Key, Limits, find_key, has_keys, local_key

T = TypeVar("T")

FRESH_S = 5.0
"""So long a key is believed without a look; a revoked one opens nothing after that."""
STALE_S = 3600.0
"""The same while the database is gone."""
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request.

    Attributes:
        key: id of the key that owns what the caller makes.
        admin: may look at everything and switch bundles.
    """

    name: str = ""
    key: str = ""
    limits: Limits = field(default_factory=Limits)
    admin: bool = False


class Access(Protocol):
    """Lets requests to ``/v1`` in, or raises a `Problem` (401, 403 ...)."""

    async def admit(self, request: Request) -> Caller:
        """Who sends this request; the headers are there, the body may be read already."""
        ...

    async def keys_needed(self) -> bool:
        """Whether callers need a key, as the page has to know before it has one."""
        ...


class KeyAccess:
    """Asks for a key if there is any; without keys everybody on this machine is let in, and nobody else."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._needed = Lately[bool](clock)
        self._keys = Lately[Key](clock)

    async def admit(self, request: Request) -> Caller:
        """The owner of the key.

        Raises:
            Problem: 401, no key or one that opens nothing.
            StoreError: the database is gone, and the key was not seen lately.
        """
        secret = _bearer(request)
        if await self.keys_needed():
            if not secret:
                raise _refused("send a key as Authorization: Bearer SECRET; rarec keys add NAME makes one")
            name = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
            key = await self._keys.get(name, lambda: self._database.run(lambda database: find_key(database, secret)))
            if key is None:
                raise _refused("this key opens nothing: it is wrong, or it was revoked; ask whoever runs the service")
            return Caller(key.name, key.id, key.limits, key.admin)
        if not _local(request):
            raise _refused(
                "there are no keys, so only this machine is let in; whoever runs the service makes one with: rarec "
                "keys add NAME"
            )
        key = await self._keys.get("", lambda: self._database.run(local_key))
        return Caller(key.name, key.id, key.limits, admin=True) if key is not None else Caller()

    async def keys_needed(self) -> bool:
        """Whether there is a key. Raises StoreError."""
        return bool(await self._needed.get("", lambda: self._database.run(has_keys)))


class Lately(Generic[T]):
    """What was looked up lately: believed for `FRESH_S`, and for `STALE_S` while the database is gone.

    What is not there is not remembered; of more than a thousand the one found first is forgotten.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._found: OrderedDict[str, tuple[float, float, T]] = OrderedDict()

    async def get(self, name: str, look: Callable[[], Awaitable[T | None]]) -> T | None:
        """Raises StoreError."""
        now = self._clock()
        looked, found, value = self._found.get(name, (-STALE_S, -STALE_S, None))
        if value is not None and now - looked < FRESH_S:
            return value
        try:
            new = await look()
        except StoreError:
            if value is None or now - found >= STALE_S:
                raise
            self._found[name] = now, found, value  # not every request waits for a database that is gone
            return value
        if new is None:
            self._found.pop(name, None)
            return None
        self._found[name] = now, now, new
        if len(self._found) > _MOST:
            self._found.popitem(last=False)
        return new


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; a name other than localhost is not looked up and does not count."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bearer(request: Request) -> str:
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else ""


def _local(request: Request) -> bool:
    return request.client is None or is_loopback(request.client.host)


def _refused(detail: str) -> Problem:
    return Problem(401, "key-needed", "A key is needed", detail, headers={"WWW-Authenticate": "Bearer"})
