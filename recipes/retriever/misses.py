"""Where the retriever misses: by what is known of turn and target, and a sample to be read.

    rarec evaluate recipes/retriever/misses.toml --out runs/misses
    python recipes/retriever/misses.py runs/misses --data DATA --read 50

A miss is a new target that is not among the first ten of the data set's catalogue. The sample is printed with the last
messages before the turn, for a person to say why it was missed; what was said of 50 of them is in `misses_read.json`,
by id, and counted here.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rarec.conversations import read_split
from rarec.evaluate.gold import Gold, GoldExample
from rarec.evaluate.protocols import EvaluationProtocol
from rarec.evaluate.score import counted_list, rows_of, target_ranks
from rarec.evaluate.slices import Mask, context_slices, target_slices
from rarec.evaluate.stored import read_gold, read_predictions
from rarec.types import ItemId

READ = Path(__file__).with_name("misses_read.json")
NEW_TARGETS = EvaluationProtocol()
FIRST, DEPTH = 10, 100
MESSAGES, TITLES = 7, 6


@dataclass(frozen=True, slots=True)
class Ranked:
    """A new target, and what was ranked before it.

    Attributes:
        rank: from 1; `DEPTH` + 1 if it is further down than lists go.
        first: the best of the list.
    """

    example: GoldExample
    target: ItemId
    rank: int
    first: tuple[ItemId, ...]

    @property
    def missed(self) -> bool:
        return self.rank > FIRST


def ranked(gold: Gold, run: Path) -> list[Ranked]:
    """Every new target that is an item of the data set."""
    (found,) = (one for one in read_predictions(run / "predictions.parquet") if one.system == "retriever")
    rows = rows_of(gold, NEW_TARGETS)
    ranks = target_ranks(found, rows).tolist()
    return [
        Ranked(example, target, rank or DEPTH + 1, counted_list(found, example, NEW_TARGETS)[:TITLES])
        for example, target, rank in zip(rows.row_examples, rows.targets, ranks, strict=True)
    ]


def table(rows: Sequence[Ranked], gold: Gold) -> str:
    """Recall and share of the misses, by band."""
    ranks = np.array([row.rank for row in rows])
    missed = ranks > FIRST
    lines = ["| | targets | R@10 | R@50 | of the misses |", "| :-- | --: | --: | --: | --: |"]

    def line(name: str, own: Mask) -> None:
        if own.any():
            cells = [f"{own.sum():,}", f"{1 - missed[own].mean():.3f}", f"{(ranks[own] <= 50).mean():.3f}"]
            lines.append(f"| {name} | {' | '.join(cells)} | {100 * missed[own].sum() / missed.sum():.0f} % |")

    line("all", np.ones(len(rows), np.bool_))
    bands = {
        **context_slices([row.example for row in rows]),
        "popularity": target_slices([gold.items[row.target] for row in rows])["popularity"],
    }
    for name, parts in bands.items():
        for band, own in parts.items():
            line(f"{name} {band}", own)
    for low, high in ((FIRST + 1, 20), (21, 50), (51, DEPTH), (DEPTH + 1, DEPTH + 1)):
        line(f"rank {low} or more" if low == high else f"rank {low} to {high}", (ranks >= low) & (ranks <= high))
    return "\n".join(lines)


def sample(rows: Sequence[Ranked], n: int, seed: int) -> list[Ranked]:
    """The same for everybody who has the same run."""
    return random.Random(seed).sample([row for row in rows if row.missed], n)


def shown(row: Ranked, gold: Gold, texts: Sequence[str]) -> str:
    """One miss to read."""

    def named(item: ItemId) -> str:
        facts = gold.items[item]
        return f"{facts.title} ({facts.year}), mentioned in {facts.popularity}"

    rank = f"rank {row.rank}" if row.rank <= DEPTH else f"beyond rank {DEPTH}"
    lines = [f"{row.example.id} {row.target}: {named(row.target)}, {rank}", *(f"    {text}" for text in texts)]
    return "\n".join([*lines, "  offered: " + "; ".join(map(named, row.first))])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the evaluation")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--read", type=int, default=0, help="print so many misses")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    options = parser.parse_args()
    gold = read_gold(options.run / "redial")
    if gold.split != "valid":
        raise SystemExit(f"the run is of {gold.split!r}; what is read and tuned on is valid")
    rows = ranked(gold, options.run / "redial")
    print(table(rows, gold))
    if options.read:
        talks = {talk.id: talk for talk in read_split(options.data, "redial", "valid")}
        for row in sample(rows, options.read, options.seed):
            before = talks[row.example.dialogue].turns[: row.example.turns]
            texts = [f"{turn.role}: {turn.text}" for turn in before[-MESSAGES:]]
            print(f"\n{shown(row, gold, texts)}")
    read = json.loads(READ.read_text(encoding="utf-8"))
    print("\nread by hand:")
    for why, n in Counter(why for *_, why in read["misses"]).most_common():
        print(f"  {n:2} {read['reasons'][why]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
