"""What machines ask: does it live, is it ready, what does it count."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from rarec.pipeline import Recommender
from rarec.service.admission import parts_of
from rarec.service.logs import log
from rarec.service.metrics import CONTENT_TYPE
from rarec.service.parts import Parts
from rarec.service.problems import Problem, as_json
from rarec.state import StateDatabase

router = APIRouter(tags=["probes"])

PATIENCE_S = 5.0
"""How long one part may take to show that it works."""


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process lives and answers."""
    return {"status": "alive"}


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Whether questions can be answered: the store is read, a text is embedded, index and vocabulary are there.

    503 says which part is not ready. Without the database answers are given and sessions are not kept, so it is told
    and not waited for.
    """
    parts = parts_of(request)
    checks = await _checks(parts)
    ready = all(check["ready"] for name, check in checks.items() if name != "database")
    if not ready:
        wanting = ", ".join(name for name, check in checks.items() if not check["ready"] and name != "database")
        raise Problem(
            503, "not-ready", "Not ready", f"not ready: {wanting}; see checks, and the log for the cause",
            headers={"Retry-After": "2"}, more={"checks": checks},
        )  # fmt: skip
    return Response(as_json({"status": "ready", "checks": checks}), media_type="application/json")


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Figures in Prometheus' text format."""
    parts = parts_of(request)
    held_back = parts.books.breaker.open
    page = await asyncio.to_thread(lambda: parts.metrics.page(lambda: parts.items, held_back=held_back))
    return Response(page, media_type=CONTENT_TYPE)


async def _checks(parts: Parts) -> dict[str, dict[str, Any]]:
    if not parts.ready:
        told = "could not be opened" if parts.failed else "is being opened"
        waits = {"ready": False, "detail": "waits for the store"}
        return {"store": {"ready": False, "detail": told}, "embedder": waits, "index": waits, "vocabulary": waits}
    known = parts.vocabulary is not None
    recommender = parts.recommender
    return {
        "store": await _check("store", lambda: f"version {recommender.engine.catalogue.version}"),
        "embedder": await _check("embedder", lambda: _embedded(recommender)),
        "index": await _check("index", lambda: f"{len(recommender.engine.index)} items"),
        "vocabulary": {"ready": known, "detail": "read" if known else "is being read"},
        "database": await _check("database", lambda: parts.database.submit(_spoken).result(PATIENCE_S)),
    }


async def _check(name: str, look: Callable[[], str]) -> dict[str, Any]:
    try:
        async with asyncio.timeout(PATIENCE_S):
            return {"ready": True, "detail": await asyncio.to_thread(look)}
    except TimeoutError:
        return {"ready": False, "detail": f"no answer within {PATIENCE_S:g} s"}
    except Exception as error:  # whatever a part does, the probe answers
        log(30, "not ready", part=name, cause=str(error))
        return {"ready": False, "detail": f"failed: {type(error).__name__}"}


def _spoken(database: StateDatabase) -> str:
    with database.reading():
        return "answers"


def _embedded(recommender: Recommender) -> str:
    embedder = recommender.engine.embedder
    return f"{embedder.embed(['ready'], kind='query').shape[1]} numbers"
