"""A table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from rarec.evaluate.table import Table, TableRow


def render(table: Table, *, title: str = "") -> RichTable:
    """One line a system: protocol, n, each measure, the interval of the last one, and its difference if compared.

    A dash stands where a recording is too short to tell. Figures are rounded to three digits.
    """
    from rich.table import Table as RichTable

    measures = list(table.rows[0].values) if table.rows else []
    last = measures[-1] if measures else ""
    level = table.meta.get("level", 0.95)
    against = next((row.against for row in table.rows if row.against is not None), None)
    shown = RichTable(title=title or None, caption=_caption(table), title_justify="left", caption_justify="left")
    for name in ("system", "protocol"):
        shown.add_column(name, no_wrap=True)
    for name in ("n", *measures, f"{last} {level:.0%}"):
        shown.add_column(name, justify="right", no_wrap=True)
    if against is not None:
        shown.add_column(f"Δ{last} vs {against}", justify="right", no_wrap=True)
    block = ""
    for row in table.rows:
        if block and row.protocol != block:
            shown.add_section()
        block = row.protocol
        cells = [row.system, row.protocol, f"{row.n:,}", *(_figure(row.values[m]) for m in measures)]
        cells.append(_span(row.intervals[last]))
        if against is not None:
            cells.append(_difference(row, last))
        shown.add_row(*cells)
    return shown


def _caption(table: Table) -> str:
    meta = table.meta
    parts = [
        f"catalogue {meta['catalogue']:,}" if "catalogue" in meta else "",
        f"{meta['unmapped_targets']} ground truths without an item of their own left out"
        if meta.get("unmapped_targets")
        else "",
        f"intervals by dialogue, {meta['samples']:,} draws" if "samples" in meta else "",
    ]
    return "; ".join(part for part in parts if part)


def _difference(row: TableRow, measure: str) -> str:
    if measure not in row.differences:
        return "–"
    delta, span = row.differences[measure]
    return f"{delta:+.3f} {_span(span)}"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".replace("0.", ".", 1)


def _span(span: tuple[float, float] | None) -> str:
    return "–" if span is None else f"[{_figure(span[0])}, {_figure(span[1])}]"
