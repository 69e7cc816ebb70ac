"""For the owner: figures, the last answers with their traces, and which bundle answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from rarec.errors import BundleError
from rarec.llm.budget import Spend
from rarec.service.admin_documents import BundlesOut, OverviewOut, PromoteIn, SwitchOut, TurnsOut
from rarec.service.admission import admitted, caller_of, parts_of
from rarec.service.parts import Parts
from rarec.service.problems import Problem, as_json
from rarec.service.tracing import traced_turn
from rarec.state import DayFigures, Overview, read_overview, recent_answers

MOST_LISTED = 200
_LOG = 50


async def owner(request: Request) -> None:
    """Let only the owner in. Raises Problem: 403."""
    if not caller_of(request).admin:
        raise Problem(
            403, "not-the-owner", "Only for the owner", "this key may not do that; rarec keys add NAME --admin makes "
            "one that may",
        )  # fmt: skip


router = APIRouter(prefix="/v1/admin", tags=["admin"], dependencies=[Depends(admitted), Depends(owner)])


@router.get("/overview", response_model=OverviewOut)
async def overview(request: Request, days: Annotated[int, Query(ge=1, le=366)] = 30) -> Response:
    """Figures of all keys over the last days, in UTC."""
    parts = parts_of(request)
    since = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)
    found = await parts.database.run(lambda database: read_overview(database, since=since))
    return _json(
        {
            "since": since.date().isoformat(),
            "items": parts.items,
            "counts_dollars": parts.books.counts_dollars,
            **_figures(found),
        }
    )


@router.get("/turns", response_model=TurnsOut)
async def last_turns(request: Request, limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 50) -> Response:
    """The last answers of all keys with their traces, the newest first."""
    found = await parts_of(request).database.run(lambda database: recent_answers(database, limit=limit))
    return _json({"turns": [{"session": a.session, "key": a.key, **traced_turn(a.stored)} for a in found]})


@router.get("/bundles", response_model=BundlesOut)
async def bundles(request: Request) -> Response:
    """Which bundle is live, which one answers, which others lie in the store, and how that came."""
    parts = parts_of(request)
    return _json(await asyncio.to_thread(_bundles, parts))


@router.post("/promote")
async def promote(request: Request, wanted: PromoteIn) -> SwitchOut:
    """Make a bundle of the store live, by the owner's word; `rarec promote` measures new ones before that.

    It answers after a moment, and no request is dropped: turns that run end under the bundle before.
    """
    parts = parts_of(request)

    def switch() -> tuple[str, str]:
        from rarec.promotion.switch import make_live

        return make_live(parts.store, wanted.bundle, embedder=parts.recommender.engine.embedder.name)

    return await _switched(parts, switch)


@router.post("/rollback")
async def rollback(request: Request) -> SwitchOut:
    """Make the bundle live that was so before."""
    parts = parts_of(request)

    def switch() -> tuple[str, str]:
        from rarec.promotion.switch import roll_back

        recommender = parts.recommender
        return roll_back(parts.store, recommender.settings, embedder=recommender.engine.embedder.name)

    return await _switched(parts, switch)


async def _switched(parts: Parts, switch: Callable[[], tuple[str, str]]) -> SwitchOut:
    try:
        was, live = await asyncio.to_thread(switch)
    except BundleError as error:
        raise Problem(422, "bundle-refused", "The bundle cannot be used", str(error)) from error
    parts.wake()
    return SwitchOut(was=was, live=live)


def _bundles(parts: Parts) -> dict[str, Any]:
    from rarec.live import read_live
    from rarec.promotion.decisions import Decisions
    from rarec.promotion.switch import installed

    log = list(Decisions(parts.store.promotion).read())
    live = read_live(parts.store.root)
    return {
        "live": live.live,
        "serving": parts.serving,
        "before": list(live.before),
        "candidates": [
            {"bundle": one.name, "weights": one.weights, "live": one.live} for one in installed(parts.store)
        ],
        "log": list(islice(reversed(log), _LOG)),
    }


def _figures(found: Overview) -> dict[str, Any]:
    turns = sum(day.turns for day in found.days)
    latency = found.latency_ms
    return {
        "sessions": found.sessions,
        "turns": turns,
        "degraded_share": sum(day.degraded for day in found.days) / turns if turns else 0.0,
        "latency_ms": None if latency is None else {"p50": latency[0], "p99": latency[1]},
        "spend": _spend(found.days),
        "likes": sum(day.likes for day in found.days),
        "refuses": sum(day.refuses for day in found.days),
        "days": [
            {
                "day": day.day,
                "turns": day.turns,
                "degraded": day.degraded,
                "spend": _spend((day,)),
                "likes": day.likes,
                "refuses": day.refuses,
            }
            for day in found.days
        ],
    }


def _spend(days: Sequence[DayFigures]) -> dict[str, Any]:
    total = sum((day.spend for day in days), Spend())
    return {"calls": total.calls, "tokens": total.tokens, "usd": total.usd}


def _json(document: Any) -> Response:
    return Response(as_json(document), media_type="application/json")
