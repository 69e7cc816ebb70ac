"""Write the tables of README.md and docs/results.md from docs/results/metrics.json: python docs/generate_results.py

metrics.json is the one that `rarec evaluate` leaves in the folder of a run. Given its path as an argument, it is first
copied here without what the tables do not need: slices and recall curves of protocols other than new-targets.
Only what stands between the two marks of a document is written; the prose around them is kept.
tests/unit/test_docs_results.py checks that neither is stale.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rarec.evaluate.reports.markdown import escaped, markdown_generation, markdown_notes, markdown_table
from rarec.evaluate.reports.reading import group_column
from rarec.evaluate.results import Block, Results
from rarec.files import write_text

ROOT = Path(__file__).parents[1]
README, PAGE = ROOT / "README.md", ROOT / "docs" / "results.md"
METRICS = ROOT / "docs" / "results" / "metrics.json"
START, END = "<!-- results: python docs/generate_results.py -->", "<!-- end of results -->"
NEW_PAGE = f"# Results\n\n{START}\n{END}\n"
# README keeps a selection; docs/results.md has every row.
PROTOCOL = "new-targets"
SYSTEMS = (
    "popularity", "bm25", "embedding-similarity", "co-occurrence", "item-knn", "ease", "sasrec", "retriever",
    "retriever+ranker", "gpt-4", "retriever+ranker & item-knn, learned",
)  # fmt: skip
MEASURES = ("R@1", "R@5", "R@10", "R@20", "R@50", "N@10")


def copied(source: Path) -> None:
    """Write METRICS from the metrics.json of a run, on one line; figures, pairs and hashes stay as they are.

    Raises InputError if `source` is no metrics.json.
    """
    results = Results.read(source)
    blocks = tuple(block if block.protocol == PROTOCOL else _slim(block) for block in results.blocks)
    document = results.model_copy(update={"blocks": blocks}).model_dump(mode="json")
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    write_text(METRICS, text + "\n")


def _slim(block: Block) -> Block:
    systems = tuple(system.model_copy(update={"slices": {}, "recall_curve": ()}) for system in block.systems)
    return block.model_copy(update={"systems": systems})


def short_tables(results: Results, *, systems: tuple[str, ...]) -> str:
    """README's: one protocol, some systems, the headline's interval."""
    tables = []
    for block in results.blocks:
        if block.protocol == PROTOCOL:
            head = f"**{escaped(block.data_set)} {escaped(block.split)}**, {PROTOCOL} ({block.rows:,} rows):"
            tables += [head, markdown_table(block, measures=MEASURES, systems=systems)]
            groups = group_column(block)
            if groups is not None and not groups.letters:  # letters are explained in the prose
                tables.append(f"The whole table has {len(block.systems)} systems; {escaped(groups.sentence)}")
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
        if block.protocol == PROTOCOL and (models := markdown_generation(block)):  # calls are the same under all
            parts += ["What the language models did, over all their calls:", models]
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
    results = Results.read(METRICS)
    page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else NEW_PAGE
    return {
        README: replaced(readme, short_tables(results, systems=SYSTEMS)),
        PAGE: replaced(page, full_tables(results)),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("metrics", type=Path, nargs="?", help="metrics.json of a run, to be copied first")
    if source := parser.parse_args().metrics:
        copied(source)
    for path, text in documents().items():
        path.write_text(text, encoding="utf-8")
