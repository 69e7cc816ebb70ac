"""Between turns and their rows and documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Row

from rarec.llm.budget import Spend
from rarec.state.records import NewTurn, ShownItem, StoredTurn
from rarec.state.stored import document, storable, time_of
from rarec.types import ItemId, Mention


def turn_row(session: str, number: int, now: int, turn: NewTurn) -> dict[str, Any]:
    """A turn as its table takes it; `now` in microseconds."""
    return {
        "session_id": session,
        "number": number,
        "created_us": now,
        "role": turn.role,
        "text": storable(turn.text),
        "mentions": None if turn.mentions is None else document([_mention_document(m) for m in turn.mentions]),
        "items": document([_item_document(shown) for shown in turn.items]),
        "filters": document(turn.filters),
        "trace": document(turn.trace),
        "timings_ms": document(turn.timings_ms),
        "calls": turn.spend.calls,
        "tokens": turn.spend.tokens,
        "picodollars": turn.spend.picodollars,
        "model": storable(turn.model),
        "degraded": turn.degraded,
        "reason": storable(turn.reason),
        "bundle": storable(turn.bundle),
    }


def stored_turn(row: Row[Any]) -> StoredTurn:
    """A row of the turns."""
    # "items" is a method of a row
    shown = tuple(
        ShownItem(ItemId(i["item"]), _number(i["score"]), i["why"], i["retriever_rank"]) for i in row._mapping["items"]
    )
    turn = NewTurn(
        row.role, row.text, mentions_of(row.mentions), shown, row.filters, row.trace, row.timings_ms,
        Spend(row.calls, row.tokens, row.picodollars), row.model, row.degraded, row.reason, row.bundle,
    )  # fmt: skip
    return StoredTurn(row.number, time_of(row.created_us), turn)


def mentions_of(kept: Sequence[Mapping[str, Any]] | None) -> tuple[Mention, ...] | None:
    """The mentions of a turn as its row has them."""
    if kept is None:
        return None
    return tuple(
        Mention(ItemId(m["item"]), m["sentiment"], None if m["span"] is None else (m["span"][0], m["span"][1]))
        for m in kept
    )


def _number(value: float | None) -> float:
    """A number that was not finite is kept as null."""
    return float("nan") if value is None else value


def turn_document(stored: StoredTurn) -> dict[str, Any]:
    """A turn as JSON values."""
    turn = stored.turn
    return {
        "number": stored.number,
        "created": stored.created.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "role": turn.role,
        "text": turn.text,
        "mentions": None if turn.mentions is None else [_mention_document(m) for m in turn.mentions],
        "items": document([_item_document(shown) for shown in turn.items]),
        "filters": turn.filters,
        "trace": turn.trace,
        "timings_ms": turn.timings_ms,
        "spend": {"calls": turn.spend.calls, "tokens": turn.spend.tokens, "usd": turn.spend.usd},
        "model": turn.model,
        "degraded": turn.degraded,
        "reason": turn.reason,
        "bundle": turn.bundle,
    }


def _mention_document(mention: Mention) -> dict[str, Any]:
    span = None if mention.span is None else list(mention.span)
    return {"item": mention.item, "sentiment": mention.sentiment, "span": span}


def _item_document(shown: ShownItem) -> dict[str, Any]:
    return {"item": shown.item, "score": shown.score, "why": shown.why, "retriever_rank": shown.retriever_rank}
