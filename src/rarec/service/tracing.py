"""Why an answer is what it is, as a document that is kept with its turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from rarec.documents import rounded
from rarec.state import StoredTurn, turn_document
from rarec.types import ItemId, Mention, Recommendation


def traced(
    answer: Recommendation, mentions: Iterable[tuple[int, Mention]], titles: Mapping[ItemId, str], *, cached: bool
) -> dict[str, Any]:
    """What was linked, what was proposed and what the model made of it.

    `llm_rank` is a candidate's place in the model's own answer, from 1; null where it did not name it.

    Args:
        mentions: each with the number of its turn.
        titles: of mentioned items that are in the catalogue.
    """
    named = 0 if answer.degraded else len(answer.items) - answer.report.missing
    ranks = {ranked.item.id: rank for rank, ranked in enumerate(answer.items[: max(named, 0)], start=1)}
    shown = {ranked.item.id for ranked in answer.items}
    return {
        "mentions": [
            {
                "id": mention.item,
                "title": titles.get(mention.item, ""),
                "sentiment": mention.sentiment,
                "span": None if mention.span is None else list(mention.span),
                "turn": number,
            }
            for number, mention in mentions
        ],
        "candidates": [
            {
                "id": candidate.item.id,
                "title": candidate.item.title,
                "retriever_rank": rank,
                "retriever_score": candidate.score,
                "llm_rank": ranks.get(candidate.item.id),
                "shown": candidate.item.id in shown,
            }
            for rank, candidate in enumerate(answer.candidates, start=1)
        ],
        "usage": asdict(answer.usage),
        "cached": cached,
        "report": {**asdict(answer.report), "repaired": answer.report.repaired},
    }


def trace_document(stored: StoredTurn) -> dict[str, Any]:
    """The whole trace of a turn of the assistant; one of the user has hardly anything."""
    turn = stored.turn
    empty = {"mentions": [], "candidates": [], "usage": {}, "cached": False, "report": {}}
    return {
        **empty,
        **turn.trace,
        "filters": dict(turn.filters),
        "timings_ms": rounded(turn.timings_ms),
        "cost": {"calls": turn.spend.calls, "tokens": turn.spend.tokens, "usd": turn.spend.usd},
        "model": turn.model,
        "bundle": turn.bundle,
        "degraded": turn.degraded,
        "reason": turn.reason,
    }


def traced_turn(stored: StoredTurn) -> dict[str, Any]:
    """A turn with its trace."""
    return {**turn_document(stored), "trace": trace_document(stored)}
