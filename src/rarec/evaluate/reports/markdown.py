"""Tables for the documentation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from rarec.errors import InputError
from rarec.evaluate.reports import reading
from rarec.evaluate.reports.views import generation_sheet
from rarec.evaluate.results import Block, SystemResult
from rarec.pages.wording import clean, level_text, number, span

Intervals = Literal["all", "headline"]
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~&])")


def escaped(text: object) -> str:
    """Untrusted text as it stands in a Markdown table or paragraph: no markup, no HTML, one line."""
    return _SPECIAL.sub(r"\\\1", clean(text))


def markdown_table(
    block: Block,
    *,
    measures: Sequence[str] | None = None,
    systems: Sequence[str] | None = None,
    intervals: Intervals = "headline",
) -> str:
    """Systems by measures, in the block's order, with the groups of the headline; no line break at the end.

    Args:
        measures: the columns; all if None.
        systems: the rows to keep; all if None.
        intervals: of the headline in a column of its own, or of every figure below it.

    Raises:
        InputError: a measure or a system is not in the block.
    """
    columns = _known("measure", block.measures if measures is None else measures, block.measures)
    names = [system.system for system in block.systems]
    kept = set(_known("system", names if systems is None else systems, names))
    head = ["system", *map(escaped, columns)]
    if intervals == "headline":
        head.append(f"{escaped(block.headline)} {level_text(block.level)}")
    groups = reading.group_column(block)
    grouped = groups is not None
    head += [groups.head] if groups else []
    lines = [_line(head), _line([":--", *["--:"] * (len(head) - 1 - grouped), *[":--"] * grouped])]
    for place, system in enumerate(block.systems):
        if system.system in kept:
            cells = [escaped(reading.shown_name(system)), *(_cell(system, measure, intervals) for measure in columns)]
            headline = reading.figure_of(system, block.headline)
            cells += [span(headline.low, headline.high)] if intervals == "headline" else []
            cells += [_group(groups, place)] if groups else []
            lines.append(_line(cells))
    return "\n".join(lines)


def markdown_generation(block: Block) -> str:
    """What the language models of a block did, and what of it is easily misread; empty without any."""
    made = generation_sheet(block)
    if made is None:
        return ""
    heads = ["system", *(escaped(f"{column.name} {column.below}".strip()) for column in made.columns)]
    rows = [_line([escaped(row.name), *(cell.value for cell in row.cells)]) for row in made.rows]
    table = [_line(heads), _line([":--", *["--:"] * len(made.columns)]), *rows]
    return "\n".join([*table, "", escaped(reading.UNGROUNDED_NOTE)])


def markdown_notes(block: Block) -> str:
    """What the figures of a block stand on, as a list: protocol, n, level, what would be detected, footnotes."""
    groups = reading.group_column(block)
    lines = [
        f"{escaped(block.protocol)}: {escaped(block.sentence)}.",
        f"{escaped(reading.counts_sentence(block))}.",
        f"Intervals: {level_text(block.level)}, {block.samples:,} bootstrap draws by dialogue.",
        escaped(groups.sentence) if groups else "",
        escaped(reading.detectable_sentence(block)),
        escaped(reading.cutoff_sentence(block)),
        *_footnotes(block),
    ]
    return "\n".join(f"- {line}" for line in lines if line)


def _footnotes(block: Block) -> list[str]:
    texts, marks = reading.notes_of(block)
    return [
        f"{', '.join(escaped(name) for name, own in marks.items() if place in own)}: {escaped(text)}"
        for place, text in enumerate(texts, start=1)
    ]


def _group(groups: reading.GroupColumn, place: int) -> str:
    cell = groups.cells[place]
    return f"`{cell}`" if groups.letters and cell else cell


def _cell(system: SystemResult, measure: str, intervals: Intervals) -> str:
    figure = reading.figure_of(system, measure)
    text = number(figure.value, lower_bound=system.lower_bound)
    if system.seeds > 1 and figure.value is not None and measure in system.seed_sd:
        text += f" ±{number(system.seed_sd[measure])}"
    if intervals == "all" and figure.low is not None and figure.high is not None:
        text += f"<br><sub>{span(figure.low, figure.high)}</sub>"
    return text


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _known(what: str, asked: Sequence[str], have: Sequence[str]) -> list[str]:
    for name in asked:
        if name not in have:
            raise InputError(f"no {what} {name!r} in this table; there are {list(have)!r}")
    return list(asked)
