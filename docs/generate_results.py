"""Write the tables of README.md and docs/results.md from docs/results/metrics.json: python docs/generate_results.py

metrics.json is the one that `rarec evaluate` leaves in the folder of a run. Only what stands between the two marks of a
document is written; the prose around them is kept. tests/unit/test_docs_results.py checks that neither is stale.
While there is no metrics.json, README's tables come from the two older files beside it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rarec.evaluate.reports.markdown import escaped, markdown_notes, markdown_table
from rarec.evaluate.results import Results

ROOT = Path(__file__).parents[1]
README, PAGE = ROOT / "README.md", ROOT / "docs" / "results.md"
METRICS = ROOT / "docs" / "results" / "metrics.json"
START, END = "<!-- results: python docs/generate_results.py -->", "<!-- end of results -->"
NEW_PAGE = f"# Results\n\n{START}\n{END}\n"
# README keeps a selection; docs/results.md has every row.
PROTOCOL = "new-targets"
SYSTEMS = ("popularity", "co-occurrence", "embedding-similarity", "retriever", "retriever+ranker", "gpt-4")
MEASURES = ("R@1", "R@5", "R@10", "R@20", "R@50", "N@10")


def short_tables(results: Results, *, systems: tuple[str, ...]) -> str:
    """README's: one protocol, some systems, the headline's interval."""
    tables = []
    for block in results.blocks:
        if block.protocol == PROTOCOL:
            head = f"**{escaped(block.data_set)} {escaped(block.split)}**, {PROTOCOL} ({block.rows:,} rows):"
            tables += [head, markdown_table(block, measures=MEASURES, systems=systems)]
    return "\n\n".join(tables)


def full_tables(results: Results) -> str:
    """docs/results.md's: every block, every system, every interval, and what they stand on."""
    parts = []
    for block in results.blocks:
        parts += [
            f"## {escaped(block.data_set)} {escaped(block.split)}, {escaped(block.protocol)}",
            markdown_table(block, intervals="all"),
            markdown_notes(block),
        ]
    if date := results.meta.get("date"):
        parts.append(f"Computed on {escaped(date)[:10]}.")
    return "\n\n".join(parts)


def replaced(document: str, content: str) -> str:
    """The document with `content` between its marks; raises ValueError if it does not have both, once and in order."""
    if document.count(START) != 1 or document.count(END) != 1 or document.index(START) > document.index(END):
        raise ValueError(f"the document needs the lines {START!r} and {END!r}, each once")
    before, _, rest = document.partition(START)
    return f"{before}{START}\n\n{content}\n\n{END}{rest.partition(END)[2]}"


def documents() -> dict[Path, str]:
    """What every generated document should be."""
    readme = README.read_text(encoding="utf-8")
    if not METRICS.exists():
        return {README: replaced(readme, older_tables())}
    results = Results.read(METRICS)
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else NEW_PAGE
    return {
        README: replaced(readme, short_tables(results, systems=SYSTEMS)),
        PAGE: replaced(page, full_tables(results)),
    }


OLDER = {"redial_test_a": "ReDial, half `a` of the test", "inspired_test_a": "INSPIRED, half `a` of the test"}


def older_tables() -> str:
    folder = METRICS.parent
    return "\n\n".join(
        _older(title, json.loads((folder / f"{name}.json").read_text())) for name, title in OLDER.items()
    )


def _older(title: str, result: dict[str, Any]) -> str:
    rows = result["rows"]
    lines = [
        f"**{title}** ({rows[0]['n']:,} rows, {result['meta']['date'][:10]}):",
        "",
        "| system | " + " | ".join(MEASURES) + " | N@10 95 % |",
        "|---|" + "---|" * (len(MEASURES) + 1),
    ]
    for row in rows:
        low, high = row["ci"]["N@10"]
        cells = " | ".join(_figure(row[measure]) for measure in MEASURES)
        lines.append(f"| {row['system']} | {cells} | [{_figure(low)}, {_figure(high)}] |")
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".removeprefix("0")


if __name__ == "__main__":
    for path, text in documents().items():
        path.write_text(text, encoding="utf-8")
