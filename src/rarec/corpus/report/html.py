"""Quality -> one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rarec.corpus.quality import FINDINGS, Quality
from rarec.files import write_text
from rarec.pages.sheets import Cell, Column, Row, Sheet
from rarec.pages.templates import environment, need_matplotlib
from rarec.pages.wording import DASH, percent, quantity

if TYPE_CHECKING:
    from rarec.pages.svg import Drawing

NAMES_DRAWN = 15


def write_report(quality: Quality, path: str | Path) -> None:
    """Write the page; equal figures give equal bytes.

    Raises:
        MissingExtra: matplotlib or jinja2 is not installed.
        StoreError: the file cannot be written.
    """
    write_text(Path(path), page(quality))


def page(quality: Quality) -> str:
    """The page's text; see `write_report`."""
    need_matplotlib()
    return (
        environment(__package__)
        .get_template("page.html.j2")
        .render(
            heading=quality.name,
            date=quality.made[:10],
            sentences=_sentences(quality),
            fill=_fill_sheet(quality),
            sources=_sources_sheet(quality),
            plots=_plots(quality),
            lengths=_quantile_sheet(quality),
            alike=[
                ("Same title and year", "Case and white space aside; items without a year too.", quality.title_year),
                ("Same text", "Word for word; the largest groups.", quality.same_text),
            ],
            findings=[(FINDINGS[found.kind], found) for found in quality.findings if found.items],
            clean=[found.kind for found in quality.findings if not found.items],
            number=lambda value: quantity(value),
            many=lambda value, noun: f"{quantity(value)} {noun}{'' if value == 1 else 's'}",
        )
    )


def _sentences(quality: Quality) -> list[str]:
    """What the first lines say."""
    if not quality.items:
        return ["There are no items."]
    text = next(field for field in quality.fields if field.name == "text")
    found = [
        f"{quality.items:,} items, {percent(text.items / quality.items)} of them with a text"
        + (f" (half of these longer than {quality.text_quantiles[0.5]:,.0f} characters)." if text.items else "."),
        f"{quality.title_year.items:,} items share title and year with another, {quality.same_text.items:,} a text.",
    ]
    suspicious = [one for one in quality.findings if one.items]
    if suspicious:
        found.append("To look at: " + ", ".join(f"{one.items:,} {one.kind}" for one in suspicious) + ".")
    return found


def _fill_sheet(quality: Quality) -> Sheet:
    rows = [
        Row(
            field.name,
            [
                Cell(quantity(field.items)),
                Cell(percent(_share(field.items, quality)), share=_share(field.items, quality)),
                Cell(f"{field.values:.1f}"),
            ],
        )
        for field in quality.fields
    ]
    return Sheet("fields", [Column("items"), Column("filled"), Column("values", "where filled")], rows)


def _sources_sheet(quality: Quality) -> Sheet | None:
    """Which share of all items has a field of which source; None without evidence."""
    if not quality.sources:
        return None
    columns = [Column(source, f"{count:,} items") for source, count in quality.sources.items()]
    rows = [
        Row(
            field.name,
            [
                Cell(percent(_share(field.sources[name], quality)), share=_share(field.sources[name], quality))
                if name in field.sources
                else Cell(DASH)
                for name in quality.sources
            ],
        )
        for field in quality.fields
        if field.sources
    ]
    return Sheet("sources", columns, rows)


def _quantile_sheet(quality: Quality) -> Sheet | None:
    if not quality.text_quantiles:
        return None
    columns = [Column(_quantile_name(share)) for share in quality.text_quantiles]
    cells = [Cell(quantity(length)) for length in quality.text_quantiles.values()]
    return Sheet("lengths", columns, [Row("characters of text", cells)])


def _quantile_name(share: float) -> str:
    return {0.0: "shortest", 0.5: "median", 1.0: "longest"}.get(share, f"{share:.0%}")


def _plots(quality: Quality) -> list[tuple[Drawing, str]]:
    from rarec.corpus.report import plots

    if not quality.items:
        return []
    filled = {field.name: field.items / quality.items for field in quality.fields}
    found = [(plots.shares(filled, "How full the fields are", key="fill"), "Share of the items that have each field.")]
    if quality.years:
        drawing = plots.years(quality.years, quality.year_fences, key="years")
        dashed = any(min(quality.years) <= fence <= max(quality.years) for fence in quality.year_fences or ())
        below = "; dashed lines: years beyond them count as far from the rest." if dashed else "."
        found.append((drawing, f"Items by year{below}"))
    if quality.text_quantiles:
        found.append(
            (plots.lengths(quality.text_lengths, key="lengths"), "Items by length of their text in characters.")
        )
    for name, counts in (("Languages", quality.languages), ("Scripts", quality.scripts)):
        if counts:
            shares = _first({name: count / quality.items for name, count in counts.items()})
            below = "as their attribute says" if name == "Languages" else "of titles and the beginning of texts"
            found.append((plots.shares(shares, name, key=name.lower()), f"Share of the items, {below}."))
    return found


def _first(shares: Mapping[str, float]) -> dict[str, float]:
    """The most frequent, and the rest together."""
    listed = list(shares.items())
    rest = sum(share for _, share in listed[NAMES_DRAWN:])
    return dict(listed[:NAMES_DRAWN]) | ({f"{len(listed) - NAMES_DRAWN} others": rest} if rest else {})


def _share(count: int, quality: Quality) -> float:
    return count / quality.items if quality.items else 0.0
