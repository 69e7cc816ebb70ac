"""`rarec compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from rarec.cli.command import command
from rarec.cli.console import out, plain, print_json
from rarec.cli.options import AsJson

if TYPE_CHECKING:
    from rich.table import Table

    from rarec.evaluate.compare import Comparison
    from rarec.evaluate.results import Block, Pair


@command
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="The folder of a run, or FOLDER:SYSTEM.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another, or another system of the same.")],
    protocol: Annotated[
        str, typer.Option(metavar="NAME", help="Under which rows are counted; it need not be one of the runs'.")
    ] = "new-targets",
    as_json: AsJson = False,
) -> None:
    """Compare two runs row by row: paired differences with their intervals, on the same examples.

    Systems that both runs have are compared by name, or the two that are named. The examples, targets and catalogue
    must be the same. A line a system says what the headline measure does, and which systems only one run has; systems
    that differ in no row are called identical and get no table. The smallest difference that so many rows would show
    four times in five stands beside each interval; where the interval holds zero, the two do not separate.

    Example: rarec compare runs/monday runs/tuesday, or rarec compare runs/bench:retriever runs/bench:popularity
    """
    from rarec.evaluate.compare import Side, compare_runs

    found = compare_runs(Side.parse(a), Side.parse(b), protocol=protocol)
    if as_json:
        documents = [comparison.document() for comparison in found.comparisons]
        print_json({"comparisons": documents, "unmatched": [asdict(one) for one in found.unmatched]})
        return
    for comparison in found.comparisons:
        out().print(plain(summary(comparison)), markup=False, highlight=False)
    for one in found.unmatched:
        for side, names in (("A", one.a), ("B", one.b)):
            if names:
                text = f"{one.data_set}: only {side} has {', '.join(names)}"
                out().print(plain(text), markup=False, highlight=False)
    for comparison in found.comparisons:
        if comparison.pairs and not comparison.identical:
            out().print(_table(comparison))


def summary(comparison: Comparison) -> str:
    """One line: what the headline measure says."""
    from rarec.evaluate.reports.reading import bound_sign
    from rarec.pages.wording import number, signed, signed_span

    block, pair = comparison.block, comparison.headline
    names = f"{block.data_set}: {comparison.a} − {comparison.b}"
    if pair is None:
        return f"{names}: no measure is known of both"
    if comparison.identical:
        return f"{names}: identical on every measure, n = {block.rows:,} rows"
    sign = bound_sign(block, pair)
    return (
        f"{names}: {pair.measure} {sign}{signed(pair.delta)} {signed_span(pair.low, pair.high)}, "
        f"{_verdict(block, pair)}; minimum detectable {number(pair.minimum_detectable)}"
    )


def _verdict(block: Block, pair: Pair) -> str:
    from rarec.evaluate.reports.reading import shows

    if not shows(block, pair):
        return "does not separate"
    return f"separates, {pair.a if pair.delta > 0 else pair.b} is better"


def _table(comparison: Comparison) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from rarec.pages.wording import level_text

    block = comparison.block
    table = Table(
        title=Text(plain(f"{block.data_set} {block.split} · {block.protocol} · {comparison.a} − {comparison.b}")),
        caption=Text(plain(_caption(comparison))), title_justify="left", caption_justify="left",
        box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False,
    )  # fmt: skip
    table.add_column("measure", no_wrap=True)
    table.add_column(Text(plain(comparison.a)), justify="right", overflow="fold")
    table.add_column(Text(plain(comparison.b)), justify="right", overflow="fold")
    for name in ("difference", level_text(block.level), "detectable"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("separates", no_wrap=True)
    for pair in comparison.pairs:
        table.add_row(*map(Text, _cells(comparison, pair)))
    return table


def _cells(comparison: Comparison, pair: Pair) -> Sequence[str]:
    from rarec.evaluate.reports.reading import bound_sign, figure_of, shows
    from rarec.pages.wording import number, signed, signed_span

    block = comparison.block
    both = [block.system(name) for name in (comparison.a, comparison.b)]
    ours, theirs = (number(figure_of(one, pair.measure).value, lower_bound=one.lower_bound) for one in both)
    better = "A is better" if pair.delta > 0 else "B is better"
    return (
        pair.measure,
        ours,
        theirs,
        f"{bound_sign(block, pair)}{signed(pair.delta)}",
        signed_span(pair.low, pair.high),
        number(pair.minimum_detectable),
        better if shows(block, pair) else "no",
    )


def _caption(comparison: Comparison) -> str:
    from rarec.evaluate.reports.reading import LOWER_BOUND_NOTE
    from rarec.pages.wording import percent

    block = comparison.block
    parts = [f"n = {block.rows:,} rows of {block.dialogues:,} dialogues, {block.samples:,} draws by dialogue."]
    if comparison.pairs and comparison.pairs[0].a_only is not None:
        pair = comparison.pairs[0]
        parts.append(
            f"Among the first ten only A has {percent(pair.a_only)} of the rows, only B {percent(pair.b_only)}."
        )
    if any(block.system(name).lower_bound for name in (comparison.a, comparison.b)):
        parts.append(LOWER_BOUND_NOTE)
    return " ".join(parts)
