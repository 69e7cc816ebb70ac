"""Items and answers as JSON values, as the command line prints them and the service sends them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rarec.types import Filters, Item, Recommendation


def item_document(item: Item) -> dict[str, Any]:
    """An item as JSON values."""
    return {
        "id": item.id,
        "title": item.title,
        "text": item.text,
        "year": item.year,
        "attributes": {name: list(values) for name, values in item.attributes.items()},
        "popularity": item.popularity,
    }


def answer_document(answer: Recommendation) -> dict[str, Any]:
    """Everything in an answer; items have their 1-based rank."""
    return {
        "items": [
            {
                "rank": rank,
                **item_document(ranked.item),
                "score": ranked.score,
                "why": ranked.why,
                "retriever_rank": ranked.retriever_rank,
            }
            for rank, ranked in enumerate(answer.items, start=1)
        ],
        "reply": answer.reply,
        "mentions": [asdict(mention) for mention in answer.mentions],
        "usage": asdict(answer.usage),
        "timings_ms": rounded(answer.timings_ms),
        "report": {**asdict(answer.report), "repaired": answer.report.repaired},
        "degraded": answer.degraded,
        "reason": answer.reason,
        "model": answer.model,
    }


def filters_document(filters: Filters) -> dict[str, Any]:
    """Filters as JSON values; `exclude` is sorted."""
    return {
        "any_of": {name: list(values) for name, values in filters.any_of.items()},
        "all_of": {name: list(values) for name, values in filters.all_of.items()},
        "none_of": {name: list(values) for name, values in filters.none_of.items()},
        "year_min": filters.year_min,
        "year_max": filters.year_max,
        "exclude": sorted(filters.exclude),
    }


def rounded(timings_ms: Mapping[str, float]) -> dict[str, float]:
    """To the microsecond."""
    return {stage: round(ms, 3) for stage, ms in timings_ms.items()}
