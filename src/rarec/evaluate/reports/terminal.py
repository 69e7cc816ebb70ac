"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rarec.errors import InputError
from rarec.evaluate.reports import reading
from rarec.evaluate.reports.views import generation_sheet
from rarec.evaluate.results import Block, Results, SystemResult
from rarec.pages.sheets import Sheet
from rarec.pages.wording import DASH, clean, level_text, number, signed, signed_span, span

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table


def render(what: Block | Results, *, against: str | None = None) -> BlockTables:
    """One table a block for a rich console: figures, interval of the headline, groups, and differences if asked.

    A second one below it says what the language models did, if there are any.

    Systems stand in the block's order. Where the console is too narrow, measures are left out and the caption names
    them; no figure is ever cut. A dash stands where nothing is known.

    Args:
        against: the system whose difference from every other one is shown; blocks without it show none.

    Raises:
        InputError: no block has a system `against`.
    """
    blocks = tuple(what.blocks) if isinstance(what, Results) else (what,)
    names = dict.fromkeys(system.system for block in blocks for system in block.systems)
    if against is not None and against not in names:
        raise InputError(f"no system {against!r} to compare with; there are {list(names)!r}")
    return BlockTables(blocks, against)


@dataclass(frozen=True, slots=True)
class BlockTables:
    """What `render` gives; print it on a rich console."""

    blocks: tuple[Block, ...]
    against: str | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for place, block in enumerate(self.blocks):
            if place:
                yield ""
            yield _fitting(
                (_table(block, one, self.against) for one in _layouts(block, self.against)), console, options
            )
            if (made := generation_sheet(block)) is not None:
                yield _fitting(_generation_tables(made), console, options)


@dataclass(frozen=True, slots=True)
class _Layout:
    """What of a block is shown, and whether equal letters stand below one another."""

    measures: tuple[str, ...]
    aligned: bool
    against: str | None


def _layouts(block: Block, against: str | None) -> Iterator[_Layout]:
    """From the widest to the narrowest: first measures go, the headline never; then alignment; then differences."""
    compared = against if any(system.system == against for system in block.systems) else None
    shown = list(block.measures)
    yield _Layout(tuple(shown), True, compared)
    for measure in reversed(block.measures):
        if measure != block.headline:
            shown.remove(measure)
            yield _Layout(tuple(shown), True, compared)
    yield _Layout(tuple(shown), False, compared)
    yield _Layout(tuple(shown), False, None)


def _fitting(tables: Iterator[Table], console: Console, options: ConsoleOptions) -> Table:
    """The first that fits, else the last."""
    from rich.measure import Measurement

    table = None
    for table in tables:
        if Measurement.get(console, options.update(max_width=10_000), table).minimum <= options.max_width:
            break
    assert table is not None  # there is always a layout
    return table


def _table(block: Block, layout: _Layout, against: str | None) -> Table:
    groups = reading.group_column(block, aligned=layout.aligned)
    cells = groups.cells if groups else [""] * len(block.systems)
    rows = [
        [reading.shown_name(system), cell.rstrip(), *_figures(block, system, layout)]
        for system, cell in zip(block.systems, cells, strict=True)
    ]
    heads = ["system", groups.head if groups else "group", *layout.measures]
    heads.append(f"{block.headline} {level_text(block.level)}")
    heads += [f"{block.headline} minus {layout.against}"] if layout.against is not None else []
    return _drawn(_title(block), heads, rows, caption=_caption(block, layout, against), left=2)


_SHORT = {"median": "p50 ms", "95th percentile": "p95 ms", "US dollars": "dollars"}
"""Heads of the page that are too wide for a terminal."""


def _generation_tables(made: Sheet) -> Iterator[Table]:
    """From the widest to the narrowest: the last columns go first, and the caption names them."""
    heads = [_SHORT.get(column.name, column.name) for column in made.columns]
    known = [at for at in range(len(heads)) if any(row.cells[at].value != DASH for row in made.rows)]
    unknown = [head for at, head in enumerate(heads) if at not in known]
    for shown in range(len(known), 0, -1):
        kept, hidden = known[:shown], [heads[at] for at in known[shown:]]
        caption = [
            "named, tokens, dollars: a turn; ungrounded, repeated: of what was named; repaired, degraded: of calls.",
            reading.UNGROUNDED_NOTE,
            f"Not known: {', '.join(unknown)}." if unknown else "",
            f"Not shown for want of room: {', '.join(hidden)}." if hidden else "",
        ]
        rows = [[row.name, *(row.cells[at].value for at in kept)] for row in made.rows]
        yield _drawn(
            "Language models", ["system", *(heads[at] for at in kept)], rows, left=1,
            caption="\n".join(line for line in caption if line),
        )  # fmt: skip


def _drawn(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str, left: int) -> Table:
    """A table whose first `left` columns are words. Only heads and names may wrap: a cut figure is another figure."""
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(title, style="bold"), caption=Text(caption, style="dim"),
        title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False,
    )  # fmt: skip
    table.add_column(clean(heads[0]), overflow="fold", min_width=16)
    for place, head in enumerate(map(clean, heads[1:]), start=1):
        widest = max([cell_len(row[place]) for row in rows] + [cell_len(word) for word in head.split()][:1], default=1)
        table.add_column(Text(head), justify="left" if place < left else "right", min_width=widest)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _figures(block: Block, system: SystemResult, layout: _Layout) -> list[str]:
    cells = [
        number(reading.figure_of(system, measure).value, lower_bound=system.lower_bound) for measure in layout.measures
    ]
    headline = reading.figure_of(system, block.headline)
    cells.append(span(headline.low, headline.high))
    if layout.against is not None:
        cells.append(_difference(block, system.system, layout.against))
    return cells


def _title(block: Block) -> str:
    return f"{clean(block.data_set)} {clean(block.split)} · {clean(block.protocol)} · n = {block.rows:,}"


def _caption(block: Block, layout: _Layout, against: str | None) -> str:
    hidden = [clean(measure) for measure in block.measures if measure not in layout.measures]
    if against is not None and layout.against is None and any(system.system == against for system in block.systems):
        hidden.append(f"differences from {clean(against)}")
    lines = [
        f"{reading.counts_sentence(block)}; {block.samples:,} draws.",
        groups.sentence if (groups := reading.group_column(block)) is not None else "",
        reading.detectable_sentence(block),
        reading.cutoff_sentence(block),
        reading.LOWER_BOUND_NOTE if any(system.lower_bound for system in block.systems) else "",
        *_troubles(block),
        f"Not shown for want of room: {', '.join(hidden)}." if hidden else "",
    ]
    return "\n".join(line for line in lines if line)


def _troubles(block: Block) -> list[str]:
    """A footnote for each kind of trouble with the systems that have it."""
    names: dict[str, list[str]] = {}
    for system in block.systems:
        if (said := reading.trouble(system)) != "":
            names.setdefault(said, []).append(clean(system.system))
    return [f"{reading.DAGGER} {', '.join(own)}: {said}." for said, own in names.items()]


def _difference(block: Block, system: str, against: str) -> str:
    pair = reading.pair_of(block, system, against) if system != against else None
    if pair is None:
        return DASH
    return f"{reading.bound_sign(block, pair)}{signed(pair.delta)} {signed_span(pair.low, pair.high)}"
