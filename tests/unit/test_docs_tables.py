"""A table of Markdown whose lines differ in their number of cells is shown as text, or loses cells."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/rarec/**/*.md")]
_RULE = re.compile(r"\|?[ :|-]*-[ :|-]*\|[ :|-]*")


def cells(line: str) -> int:
    """How many cells a line of a table has; a pipe after a backslash belongs to a cell's text."""
    return len(re.sub(r"\\\|", "", line).strip().strip("|").split("|"))


def tables(text: str) -> list[list[str]]:
    """The lines of each table, code blocks left out."""
    lines = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL).splitlines()
    found: list[list[str]] = []
    for at, line in enumerate(lines):
        if at and _RULE.fullmatch(line.strip()) and "|" in lines[at - 1]:
            rows = [lines[at - 1], line]
            rows += [row for row in _until_empty(lines[at + 1 :])]
            found.append(rows)
    return found


def _until_empty(lines: list[str]) -> list[str]:
    end = next((at for at, line in enumerate(lines) if not line.strip().startswith("|")), len(lines))
    return lines[:end]


def test_a_table_that_is_broken_is_found() -> None:
    (good,) = tables("| a | b |\n| :-- | --: |\n| 1 | x \\| y |\n\ntext")
    assert {cells(line) for line in good} == {2}
    (bad,) = tables("| a |\n| :-- | --: |\n| 1 | 2 |")
    assert [cells(line) for line in bad] == [1, 2, 2]
    assert tables("```\n| a |\n|---|---|\n```\n") == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tables_have_as_many_cells_in_every_line(page: Path) -> None:
    for table in tables(page.read_text(encoding="utf-8")):
        assert {cells(line) for line in table} == {cells(table[0])}, table[0]
