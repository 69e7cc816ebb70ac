"""What a command would ask a judge, and what that would cost, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rarec.cli.console import plain

if TYPE_CHECKING:
    from rich.table import Table

    from rarec.alignment.plan import AlignPlan
    from rarec.promotion.plan import PromotionPlan

Rows = Sequence[tuple[str, str]]


def cost_rows(plan: AlignPlan | PromotionPlan) -> Rows:
    """Tokens and money."""
    return [
        ("tokens, about", f"{plan.tokens:,}"),
        ("tokens, at most", f"{plan.tokens_most:,}"),
        ("money, about", _money(plan.usd)),
        ("money, at most", _money(plan.usd_most)),
    ]


def _money(usd: float | None) -> str:
    return "no prices" if usd is None else f"{usd:,.2f} USD" if usd else "nothing"


def two_columns(title: str, rows: Rows) -> Table:
    """A table with names on the left."""
    from rich.table import Table

    table = Table("", "", title=plain(title), title_justify="left", show_header=False)
    for row in rows:
        table.add_row(*row)
    return table
