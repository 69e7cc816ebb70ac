"""An answer as JSON, and as lines and tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rarec.cli.console import plain
from rarec.types import Item, ItemId, Mention, ParseReport, Recommendation

if TYPE_CHECKING:
    from rich.table import Table

    from rarec.constraints.result import Constraints


def understood_document(understood: Constraints) -> dict[str, Any]:
    """What the user's words ask for, as JSON values."""
    return {
        "constraints": [{"id": part.id, **asdict(part)} for part in understood.parts],
        "unenforced": [asdict(wish) for wish in understood.unenforced],
    }


def label(item: Item) -> str:
    """``Title (year)`` on one line, safe for a terminal."""
    title = " ".join(plain(item.title).split())
    return title if item.year is None else f"{title} ({item.year})"


def items_table(answer: Recommendation) -> Table:
    """The ranked items: rank, title, why, and their place in the retriever's order."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("item")
    table.add_column("why", style="dim")
    table.add_column("retrieved", justify="right")
    for rank, ranked in enumerate(answer.items, start=1):
        table.add_row(str(rank), Text(label(ranked.item)), Text(plain(ranked.why)), str(ranked.retriever_rank))
    return table


def timings_line(answer: Recommendation) -> str:
    """The time of each stage."""
    stages = ", ".join(f"{stage} {ms:,.1f}" for stage, ms in answer.timings_ms.items())
    return f"ms: {stages}" if stages else "ms: not measured"


def degraded_line(answer: Recommendation) -> str:
    """Why no model took part; empty if one did."""
    return f"In the retriever's order: {plain(answer.reason)}." if answer.degraded else ""


def mentions_line(mentions: tuple[Mention, ...], titles: Mapping[ItemId, Item]) -> str:
    """The mentioned items with what is felt about them."""
    words = [
        (label(titles[m.item]) if m.item in titles else plain(m.item))
        + ("" if m.sentiment == "mentioned" else f" [{m.sentiment}]")
        for m in mentions
    ]
    return "; ".join(words) if words else "none"


def report_line(report: ParseReport) -> str:
    """What had to be repaired in the model's answer."""
    found = [
        f"{count} {what}"
        for count, what in (
            (report.missing, "places left empty"),
            (report.repeated, "given again"),
            (report.unknown, "not offered"),
        )
        if count
    ]
    return ", ".join([*found, *(["not the JSON that was asked for"] if report.malformed else [])]) or "nothing repaired"
