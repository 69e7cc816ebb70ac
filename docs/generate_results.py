"""Write the tables of README.md from docs/results/*.json: python docs/generate_results.py

The JSON files come from `rarec evaluate --json`; tests/unit/test_docs_results.py checks that README is not stale.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
START, END = "<!-- results: python docs/generate_results.py -->", "<!-- end of results -->"
NAMES = {"redial_test_a": "ReDial, half `a` of the test", "inspired_test_a": "INSPIRED, half `a` of the test"}
COLUMNS = ("R@1", "R@5", "R@10", "R@20", "R@50", "N@10")


def figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".removeprefix("0")


def table(name: str, result: dict[str, Any]) -> str:
    rows = result["rows"]
    lines = [
        f"**{NAMES[name]}** ({rows[0]['n']:,} rows, {result['meta']['date'][:10]}):",
        "",
        "| system | " + " | ".join(COLUMNS) + " | N@10 95 % |",
        "|---|" + "---|" * (len(COLUMNS) + 1),
    ]
    for row in rows:
        low, high = row["ci"]["N@10"]
        cells = " | ".join(figure(row[c]) for c in COLUMNS)
        lines.append(f"| {row['system']} | {cells} | [{figure(low)}, {figure(high)}] |")
    return "\n".join(lines)


def rendered() -> str:
    tables = [table(name, json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text())) for name in NAMES]
    return "\n\n".join([START, *tables, END])


def replaced(readme: str) -> str:
    before, _, rest = readme.partition(START)
    return before + rendered() + rest.partition(END)[2]


if __name__ == "__main__":
    README.write_text(replaced(README.read_text(encoding="utf-8")), encoding="utf-8")
