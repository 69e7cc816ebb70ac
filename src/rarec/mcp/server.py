"""The protocol's side of the tools: listing, calling, and errors that an agent can act on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from importlib import metadata
from typing import Any

from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)
from pydantic import ValidationError

from rarec.mcp.tools import TOOLS
from rarec.service.access import Caller
from rarec.service.housekeeping import keep_house
from rarec.service.logs import log, log_error
from rarec.service.parts import Parts
from rarec.service.problems import INTERNAL, Problem, as_json, invalid, problem_document, problem_of, wrong_values

WhoCalls = Callable[[ServerRequestContext[Any, Any]], Awaitable[Caller]]

INSTRUCTIONS = (
    "Recommends items of one catalogue. Start with recommend; get_item tells more about an item. Recommend nothing "
    "that these tools did not return."
)


def tool_server(parts: Parts, who_calls: WhoCalls) -> Server[Any]:
    """The tools over parts that live.

    Args:
        who_calls: the owner of what a call makes; raises RarecError and Problem.
    """
    silence()

    async def list_tools(_: object, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[tool.described() for tool in TOOLS.values()])

    async def call_tool(context: ServerRequestContext[Any, Any], params: CallToolRequestParams) -> CallToolResult:
        if params.name not in TOOLS:
            raise MCPError(INVALID_PARAMS, f"no tool of this name; there are {', '.join(TOOLS)}")
        started = time.perf_counter()
        problem: Problem | None = None
        document: Mapping[str, Any] = {}
        try:
            document = await _called(parts, await who_calls(context), params)
        except Exception as error:  # an agent gets what an HTTP client would get
            problem = problem_of(error)
            if problem.status >= INTERNAL.status:
                log_error("fault", error, tool=params.name)
        status = 200 if problem is None else problem.status
        ms = round((time.perf_counter() - started) * 1000, 1)
        level = logging.WARNING if status >= INTERNAL.status else logging.INFO
        log(level, "tool", tool=params.name, status=status, ms=ms)
        if problem is not None:
            document = problem_document(problem)
        return CallToolResult(
            content=[TextContent(type="text", text=as_json(document).decode("utf-8"))],
            structured_content=None if problem is not None else document,
            is_error=problem is not None,
        )

    return Server(
        "rarec",
        version=metadata.version("rarec"),
        title="rarec",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


@asynccontextmanager
async def living(parts: Parts) -> AsyncIterator[None]:
    """Begin and end the parts in this event loop; when it begins, what words can ask for has been read."""
    parts.start()
    house: asyncio.Task[None] | None = None
    try:
        await parts.open()
        house = asyncio.create_task(keep_house(parts))
        yield
    finally:
        if house is not None:
            house.cancel()
            await asyncio.gather(house, return_exceptions=True)
        await asyncio.to_thread(parts.close)


def silence() -> None:
    """Keep the SDK's log, which quotes what clients send, out of ours."""
    logging.getLogger("mcp").setLevel(logging.CRITICAL + 1)


async def _called(parts: Parts, caller: Caller, params: CallToolRequestParams) -> dict[str, Any]:
    tool = TOOLS[params.name]
    try:
        given = tool.arguments.model_validate(params.arguments or {})
    except ValidationError as error:
        raise invalid(*wrong_values(error.errors(include_url=False, include_input=False))) from None
    return await tool.work(parts, caller, given)
