"""Who may call: the place where keys, and what a key may spend, are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request; `name` is empty for somebody unknown."""

    name: str = ""


class Access(Protocol):
    """Lets requests to ``/v1`` in, or raises a `Problem` (401, 403, 402 ...).

    Attributes:
        protects: whether somebody unknown is kept out; without that the service listens on loopback only.
    """

    @property
    def protects(self) -> bool: ...

    async def admit(self, request: Request) -> Caller:
        """Who sends this request; the headers are there, the body may be read already."""
        ...


class OpenAccess:
    """Lets everybody in."""

    protects = False

    async def admit(self, request: Request) -> Caller:  # noqa: ARG002 - the protocol's
        return Caller()
