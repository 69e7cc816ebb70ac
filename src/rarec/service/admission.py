"""What a route asks of its request: the parts that it came to, and who was let in."""

from __future__ import annotations

from starlette.requests import Request

from rarec.service.access import Caller
from rarec.service.parts import Parts


def parts_of(request: Request) -> Parts:
    """The parts of the service that a request came to."""
    parts: Parts = request.app.state.parts
    return parts


async def admitted(request: Request) -> None:
    """Ask whether this caller may; see `Access`."""
    request.state.caller = await parts_of(request).access.admit(request)


def caller_of(request: Request) -> Caller:
    """Who was admitted."""
    caller: Caller = request.state.caller
    return caller
