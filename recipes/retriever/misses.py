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

from rarec.conversations import read_split
from rarec.evaluate.gold import Gold, GoldExample, GoldItem
from rarec.evaluate.stored import read_gold, read_predictions
from rarec.types import ItemId

READ = Path(__file__).with_name("misses_read.json")
FIRST, DEPTH = 10, 100
BANDS = {
    "messages before": (0, 3, 6, 10),
    "mentioned before": (0, 1, 2, 4),
    "in training conversations": (0, 1, 5, 20, 100),
}
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
    item: GoldItem
    rank: int
    first: tuple[ItemId, ...]

    @property
    def missed(self) -> bool:
        return self.rank > FIRST

    @property
    def facts(self) -> tuple[int, ...]:
        """By which `BANDS` are."""
        return self.example.turns, len(self.example.seen), self.item.popularity


def ranked(gold: Gold, run: Path) -> list[Ranked]:
    """Every new target that is an item of the data set."""
    (found,) = (one for one in read_predictions(run / "predictions.parquet") if one.system == "retriever")
    rows: list[Ranked] = []
    for example in gold.examples:
        items = [item for item in found.lists[example.id] if item not in example.seen][:DEPTH]
        for target in example.targets:
            if target in example.repeated or not gold.items[target].in_data_set:
                continue
            rank = items.index(target) + 1 if target in items else DEPTH + 1
            rows.append(Ranked(example, target, gold.items[target], rank, tuple(items[:TITLES])))
    return rows


def table(rows: Sequence[Ranked]) -> str:
    """Recall and share of the misses, by band."""
    misses = sum(row.missed for row in rows)
    lines = ["| | targets | R@10 | R@50 | of the misses |", "| :-- | --: | --: | --: | --: |"]

    def line(name: str, own: Sequence[Ranked]) -> None:
        if own:
            shares = (sum(not r.missed for r in own), sum(r.rank <= 50 for r in own))
            missed = sum(r.missed for r in own) / misses
            cells = [f"{len(own):,}", *(f"{share / len(own):.3f}" for share in shares), f"{100 * missed:.0f} %"]
            lines.append(f"| {name} | {' | '.join(cells)} |")

    line("all", rows)
    for fact, (name, starts) in enumerate(BANDS.items()):
        for low, after in zip(starts, (*starts[1:], None), strict=True):
            own = [r for r in rows if r.facts[fact] >= low and (after is None or r.facts[fact] < after)]
            end = " or more" if after is None else "" if after == low + 1 else f" to {after - 1}"
            line(f"{name}: {low}{end}", own)
    for low, high in ((11, 20), (21, 50), (51, 100), (101, 101)):
        share = sum(low <= r.rank <= high for r in rows) / misses
        lines.append(f"| rank {low}{'' if high == 101 else f' to {high}'}{' or more' if high == 101 else ''} | | | | "
                     f"{100 * share:.0f} % |")  # fmt: skip
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
    print(table(rows))
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
