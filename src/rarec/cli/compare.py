"""`rarec compare`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from rarec.cli.command import command
from rarec.cli.console import out, plain, print_json
from rarec.cli.options import AsJson

if TYPE_CHECKING:
    from rich.table import Table

    from rarec.evaluate.compare import Comparison
    from rarec.evaluate.results import Pair


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
    must be the same. The smallest difference that so many rows would show four times in five stands beside each
    interval; where the interval holds zero, the two do not separate.

    Example: rarec compare runs/monday runs/tuesday, or rarec compare runs/bench:retriever runs/bench:popularity
    """
    from rarec.evaluate.compare import Side, compare_runs

    found = compare_runs(Side.parse(a), Side.parse(b), protocol=protocol)
    if as_json:
        print_json({"comparisons": [comparison.document() for comparison in found]})
        return
    for comparison in found:
        out().print(_table(comparison))


def _table(comparison: Comparison) -> Table:
    from rich.table import Table
    from rich.text import Text

    block = comparison.block
    table = Table(
        title=plain(f"{block.data_set} {block.split}, {block.protocol}: {comparison.a} − {comparison.b}"),
        caption=_caption(comparison),
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("measure", no_wrap=True)
    for name in (comparison.a, comparison.b, "difference", f"{block.level:.0%}", "detectable"):
        table.add_column(Text(plain(name)), justify="right")
    table.add_column("separates")
    for pair in comparison.pairs:
        table.add_row(*_cells(comparison, pair))
    return table


def _cells(comparison: Comparison, pair: Pair) -> Sequence[str]:
    ours, theirs = (comparison.block.system(name).figures[pair.measure].value for name in (comparison.a, comparison.b))
    better = "a" if pair.delta > 0 else "b"
    return (
        pair.measure,
        f"{ours:.4f}",
        f"{theirs:.4f}",
        f"{pair.delta:+.4f}",
        f"[{pair.low:+.4f}, {pair.high:+.4f}]",
        f"{pair.minimum_detectable:.4f}",
        f"{better} is better" if pair.separates else "no",
    )


def _caption(comparison: Comparison) -> str:
    block = comparison.block
    parts = [f"n = {block.rows:,} rows of {block.dialogues:,} dialogues, {block.samples:,} draws by dialogue"]
    if comparison.pairs and comparison.pairs[0].a_only is not None:
        pair = comparison.pairs[0]
        parts.append(f"among the first ten only a has {pair.a_only:.1%} of the rows, only b {pair.b_only:.1%}")
    bounds = [name for name in (comparison.a, comparison.b) if block.system(name).lower_bound]
    parts += [f"the figures of {name} are lower bounds" for name in bounds]
    return plain("; ".join(parts))
