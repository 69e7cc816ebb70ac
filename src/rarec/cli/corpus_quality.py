"""`rarec corpus report` and `diff`: what the items of a catalogue are like, and how two catalogues differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rarec.cli.command import command
from rarec.cli.console import err, many, out, plain, print_json
from rarec.cli.options import AsJson
from rarec.cli.progress import staged
from rarec.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from rarec.corpus.diff import Difference
    from rarec.corpus.quality import Alike, Quality

SHOWN = 3
NAMES_SHOWN = 8
FIELDS_SHOWN = 15
VALUE_WIDTH = 70
AROUND = 30


@command
def report(
    place: Annotated[
        Path, typer.Argument(metavar="FOLDER|STORE", help="A corpus, as rarec corpus build makes it, or a store.")
    ],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write a page with plots; it loads nothing.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say how good a catalogue is: how full each field is and from which source, what comes twice, what looks wrong.

    Fill rates, items with the same title and year or the same text, languages and scripts, years, lengths of texts, and
    rows to look at: markup and misread encodings, titles in place of texts, texts that many share, years far from the
    rest. Nothing in it knows what the items are. Items are read twice, one after the other, and not kept.

    Example: rarec corpus report films-2026-11 --html report.html
    """
    from rarec.corpus.either import opened
    from rarec.corpus.quality import examine

    if html is not None and not html.absolute().parent.is_dir():  # before the work, not after it
        raise InputError(f"no folder {str(html.absolute().parent)!r} to write to; make it first")
    with opened(place) as items, staged(unit="items") as tell:
        quality = examine(items, tell)
    if html is not None:
        from rarec.corpus.report.html import write_report

        write_report(quality, html)
        err().print(plain(f"Wrote {html}"))
    if as_json:
        print_json(asdict(quality))
    else:
        _show_quality(quality)
        for line in _told_by_the_build(place):
            err().print(plain(line), style="yellow")


@command
def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A corpus or a store.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="A corpus or a store.")],
    as_json: AsJson = False,
) -> None:
    """Say what came, what went and what changed, by field and with examples, between two catalogues.

    Items are compared by id. Either side may be a corpus folder or a store, so that what rarec corpus update would do
    can be read before it is done. Nothing is written but a temporary file of about a hundred bytes an item.

    Example: rarec corpus diff films-2026-08 films-2026-11
    """
    from rarec.corpus.diff import difference
    from rarec.corpus.either import opened

    with opened(old) as before, opened(new) as after, staged(unit="items") as tell:
        found = difference(before, after, tell)
    if as_json:
        print_json(asdict(found))
    else:
        _show_difference(found, old, new)


def add_to(group: typer.Typer) -> None:
    """Join these commands to the group ``rarec corpus``."""
    group.command("report")(report)
    group.command("diff")(diff)


def _told_by_the_build(place: Path) -> Iterator[str]:
    """What was wrong when a corpus was built and bears on all of it; nothing for a store."""
    from rarec.corpus.reading import is_corpus, open_corpus

    if not is_corpus(place):
        return
    corpus = open_corpus(place)
    for source, extent in corpus.extents.items():
        if extent != "whole":
            yield f"The source {source} was read {extent}; see problems.jsonl."
    if shared := corpus.manifest.get("counts", {}).get("shared"):
        more = f" and {len(shared) - NAMES_SHOWN:,} more" if len(shared) > NAMES_SHOWN else ""
        yield f"Ids that many things of one source have, taken for none: {', '.join(shared[:NAMES_SHOWN])}{more}"


def _show_quality(quality: Quality) -> None:
    console = out()
    console.print(
        f"{plain(quality.name)}: {many(quality.items, 'item')}" + (quality.made and f", made {plain(quality.made)}")
    )
    if not quality.items:
        return
    console.print(_fill_table(quality))
    for what, alike in (("Same title and year", quality.title_year), ("Same text", quality.same_text)):
        console.print(f"{what}: {many(alike.items, 'item')} in {many(alike.groups, 'group')}")
        _show_groups(alike)
    if quality.languages:
        console.print(f"Languages: {_names(quality.languages, quality.items)}")
    console.print(f"Scripts: {_names(quality.scripts, quality.items)}")
    if quality.years:
        console.print(f"Years: {min(quality.years)} to {max(quality.years)}")
    if quality.text_quantiles:
        shown = ", ".join(f"{share:.0%} {length:,.0f}" for share, length in quality.text_quantiles.items())
        console.print(f"Characters of text, quantiles: {shown}")
    console.print(_findings_table(quality))


def _fill_table(quality: Quality) -> Table:
    from rich.table import Table

    table = Table("field")
    for name in ("items", "filled", "values each"):
        table.add_column(name, justify="right")
    if quality.sources:
        table.add_column("share of the items by source")
    for field in quality.fields:
        cells = [plain(field.name), f"{field.items:,}", _percent(field.items, quality.items), f"{field.values:.1f}"]
        if quality.sources:
            shares = sorted(field.sources.items(), key=lambda entry: -entry[1])
            cells.append(_names(dict(shares), quality.items))
        table.add_row(*cells)
    return table


def _findings_table(quality: Quality) -> Table:
    from rich.table import Table

    from rarec.corpus.quality import FINDINGS

    table = Table("to look at", "what")
    table.add_column("items", justify="right")
    table.add_column("for example")
    for found in quality.findings:
        lines = "\n".join(_short(line) for line in found.examples[:SHOWN])
        table.add_row(found.kind, FINDINGS[found.kind], f"{found.items:,}", lines)
    return table


def _show_groups(alike: Alike) -> None:
    for group in alike.examples[:SHOWN]:
        members = "; ".join(_short(member) for member in group.members)
        more = f"; and {group.items - len(group.members):,} more" if group.items > len(group.members) else ""
        out().print(f"  {members}{more}")


def _show_difference(found: Difference, old: Path, new: Path) -> None:
    from rich.table import Table

    console = out()
    console.print(plain(f"{found.old} in {old} -> {found.new} in {new}"))
    table = Table("added", "retired", "changed", "unchanged")
    table.add_row(*(f"{count:,}" for count in (found.added, found.retired, found.changed, found.unchanged)))
    console.print(table)
    for kind, lines in (("added", found.added_examples), ("retired", found.retired_examples)):
        for line in lines:
            console.print(f"  {kind:>7}  {_short(line)}")
    if not found.fields:
        return
    changes = Table("field")
    changes.add_column("items", justify="right")
    for name in ("for example", "before", "after"):
        changes.add_column(name)
    for field, count in list(found.fields.items())[:FIELDS_SHOWN]:
        for one in found.changes[field][:1] or (None,):
            shown = () if one is None else (_short(one.item), *_values(one.before, one.after))
            changes.add_row(plain(field), f"{count:,}", *shown)
    console.print(changes)


def _names(counts: Mapping[str, int], total: int) -> str:
    listed: Sequence[tuple[str, int]] = list(counts.items())
    shown = ", ".join(f"{plain(name)} {_percent(count, total)}" for name, count in listed[:NAMES_SHOWN])
    return shown + (f" and {len(listed) - NAMES_SHOWN:,} more" if len(listed) > NAMES_SHOWN else "")


def _percent(part: int, total: int) -> str:
    return f"{100 * part / total:.1f}%" if total else "-"


def _values(before: Any, after: Any) -> tuple[str, str]:
    """Both values in short; of long ones that begin alike, from a little before where they part."""
    texts = [_text(before), _text(after)]
    pairs = enumerate(zip(*texts, strict=False))
    alike = next((at for at, (one, other) in pairs if one != other), min(map(len, texts)))
    if max(map(len, texts)) > VALUE_WIDTH and alike > AROUND:
        texts = ["…" + text[alike - AROUND :] for text in texts]
    return _short(texts[0]), _short(texts[1])


def _text(value: Any) -> str:
    if value is None or value == ():
        return "-"
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return " ".join(text.replace("\n", " ⏎ ").split())


def _short(text: str) -> str:
    line = " ".join(plain(text).split())
    return line if len(line) <= VALUE_WIDTH else line[: VALUE_WIDTH - 1] + "…"
