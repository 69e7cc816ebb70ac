"""How well the linker finds what ReDial's annotators marked.

    python benchmarks/linker_quality.py --data ../shared/data            the table on test_a
    python benchmarks/linker_quality.py --data ../shared/data --fit      the weights, from train (prints TOML)

Text forms: as it is ("Title (year)" in most turns), years stripped, years stripped and lower case. Catalogues:
the titles of ReDial, and the whole corpus. An id that is not annotated in the turn counts as wrong, whatever
the reason; the errors are then split by reason. Intervals: 95 %, bootstrap over dialogues.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import zstandard
from numpy.typing import NDArray

from rarec.catalogue.evidence import Features, features, is_ordinary, lexicon
from rarec.catalogue.folding import folded_words
from rarec.catalogue.linker import Found, Linker
from rarec.catalogue.sources import corpus_items
from rarec.types import Item

_YEAR = re.compile(r" \(\d{4}\)")
FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "years stripped": lambda text: _YEAR.sub("", text),
    "years stripped, lower case": lambda text: _YEAR.sub("", text).lower(),
}
DRAWS = 2000
SEED = 2026
PENALTY = 1.0  # of the squared weights, in the units of the log-likelihood
# ReDial cannot tell these: there are no quotation marks to speak of, and a part number behind a name means another
# item whatever its annotators marked.
SET_BY_HAND = {"numbered": -8.0, "quoted": 5.0}
# Nor these, for its items have no other titles and its mentions no other spelling: a little less than the title.
LIKE_THE_TITLE = {"other": -0.5, "spelled": -0.5}


@dataclass
class Turn:
    text: str
    gold: frozenset[str]


@dataclass
class Outcome:
    """Counts over a split; `counts` has (found, wrong, missed) a dialogue, shape (dialogues, 3)."""

    counts: NDArray[np.int64]
    outside: int
    reasons: Counter[str] = field(default_factory=Counter)


def dialogues(data: Path, split: str) -> Iterator[list[Turn]]:
    with zstandard.open(data / "redial" / f"{split}.jsonl.zst", "rt", encoding="utf-8") as file:
        for line in file:
            yield [
                Turn(turn["text"], frozenset(str(i) for i in turn["items"] if i is not None))
                for turn in json.loads(line)["turns"]
            ]


def catalogues(data: Path) -> dict[str, list[Item]]:
    items = list(corpus_items(data / "corpus" / "movies.parquet"))
    rows = pq.read_table(data / "mapping" / "crs_items.parquet", columns=["dataset", "corpus_id"]).to_pylist()
    redial = {str(row["corpus_id"]) for row in rows if row["dataset"] == "redial" and row["corpus_id"] is not None}
    return {"ReDial": [item for item in items if item.id in redial], "corpus": items}


def measure(linker: Linker, items: dict[str, Item], talks: list[list[Turn]], form: Callable[[str], str]) -> Outcome:
    counts = np.zeros((len(talks), 3), dtype=np.int64)
    outcome = Outcome(counts, 0)
    for row, talk in enumerate(talks):
        for turn in talk:
            gold = {item_id for item_id in turn.gold if item_id in items}
            outcome.outside += len(turn.gold) - len(gold)
            found = {mention.item for mention in linker.link(form(turn.text))}
            counts[row] += (len(found & gold), len(found - gold), len(gold - found))
            for wrong in found - gold:
                outcome.reasons[_reason(items[wrong], [items[i] for i in gold - found], turn)] += 1
    return outcome


def _reason(wrong: Item, missed: list[Item], turn: Turn) -> str:
    same = [item for item in missed if folded_words(item.title) == folded_words(wrong.title)]
    if any(item.year == wrong.year for item in same):
        return "duplicate"
    if same:
        return "namesake"
    return "other item" if missed else "nothing annotated" if not turn.gold else "not annotated"


def interval(counts: NDArray[np.int64]) -> dict[str, tuple[float, float, float]]:
    """name -> (value, low, high) of precision, recall and F1; resampled by dialogue."""
    draws = np.random.default_rng(SEED).integers(0, len(counts), size=(DRAWS, len(counts)))
    sums = np.stack([counts.sum(axis=0), *(counts[draw].sum(axis=0) for draw in draws)]).astype(float)
    found, wrong, missed = sums.T
    values = {
        "precision": found / np.maximum(found + wrong, 1),
        "recall": found / np.maximum(found + missed, 1),
        "f1": 2 * found / np.maximum(2 * found + wrong + missed, 1),
    }
    return {
        name: (float(v[0]), float(np.quantile(v[1:], 0.025)), float(np.quantile(v[1:], 0.975)))
        for name, v in values.items()
    }


def table(data: Path, split: str) -> list[dict[str, Any]]:
    talks = list(dialogues(data, split))
    rows: list[dict[str, Any]] = []
    for name, items in catalogues(data).items():
        linker, known = Linker(items), {str(item.id): item for item in items}
        for form, change in FORMS.items():
            began = time.perf_counter()
            outcome = measure(linker, known, talks, change)
            spent = time.perf_counter() - began
            found, wrong, missed = map(int, outcome.counts.sum(axis=0))
            rows.append(
                {
                    "catalogue": name,
                    "items": len(items),
                    "text": form,
                    "split": split,
                    "dialogues": len(talks),
                    "turns": sum(map(len, talks)),
                    "annotated": found + missed,
                    "annotated_outside_catalogue": outcome.outside,
                    "found": found,
                    "wrong": wrong,
                    "missed": missed,
                    **interval(outcome.counts),
                    "wrong_by_reason": dict(outcome.reasons.most_common()),
                    "ms_per_turn": 1000 * spent / sum(map(len, talks)),
                }
            )
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    print(f"split {rows[0]['split']}, {rows[0]['dialogues']} dialogues, {rows[0]['turns']} turns; 95 % by dialogue")
    print("| catalogue | text | n | precision | recall | F1 | duplicates | namesakes | other | unannotated | ms/turn |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        reasons = row["wrong_by_reason"]
        figures = " | ".join("{:.3f} [{:.3f}, {:.3f}]".format(*row[name]) for name in ("precision", "recall", "f1"))
        unmarked = reasons.get("nothing annotated", 0) + reasons.get("not annotated", 0)
        print(
            f"| {row['catalogue']} ({row['items']:,}) | {row['text']} | {row['annotated']} | {figures} "
            f"| {reasons.get('duplicate', 0)} | {reasons.get('namesake', 0)} | {reasons.get('other item', 0)} "
            f"| {unmarked} | {row['ms_per_turn']:.2f} |"
        )
    outside = {row["catalogue"]: row["annotated_outside_catalogue"] for row in rows}
    print("annotated items outside the catalogue, not counted:", outside)


def fit(data: Path, count: int) -> str:
    """Weights as TOML: one logistic regression for names of ordinary words, one for the others."""
    talks = list(dialogues(data, "train"))[:count]
    samples: dict[bool, list[tuple[Features, bool]]] = {True: [], False: []}
    for items in catalogues(data).values():
        linker = Linker(items)
        for form in FORMS.values():
            for turn in (turn for talk in talks for turn in talk):
                for found, right in _labelled(list(linker.candidates(form(turn.text))), turn.gold):
                    seen = features(found.seen, lexicon())
                    if LIKE_THE_TITLE.keys().isdisjoint(seen):
                        samples[is_ordinary(found.seen, lexicon())].append((seen, right))
    lines = [
        f"# Log-odds of a mention, fitted on {len(talks)} dialogues of ReDial train by benchmarks/linker_quality.py",
        f"# --fit; set by hand: {', '.join((*SET_BY_HAND, *LIKE_THE_TITLE))}.",
    ]
    for ordinary, section in ((True, "ordinary"), (False, "distinctive")):
        print(f"{section}: {len(samples[ordinary])} occurrences", file=sys.stderr)
        lines.append(f"\n[{section}]")
        lines += [f"{name} = {weight:.2f}" for name, weight in sorted(_regression(samples[ordinary]).items())]
    return "\n".join(lines)


def _labelled(found: list[Found], gold: frozenset[str]) -> Iterator[tuple[Found, bool]]:
    """Occurrences with whether they are mentions; what lies inside a true one is neither."""
    true = [f.span for f in found if f.meaning.item.id in gold]
    for f in found:
        right = f.meaning.item.id in gold
        if right or not any(start <= f.span[0] and f.span[1] <= end for start, end in true):
            yield f, right


def _regression(samples: list[tuple[Features, bool]]) -> dict[str, float]:
    names = sorted({name for sample, _ in samples for name in sample} - SET_BY_HAND.keys())
    column = {name: place for place, name in enumerate(names)}
    x = np.zeros((len(samples), len(names)))
    fixed = np.zeros(len(samples))
    for row, (sample, _) in enumerate(samples):
        for name, value in sample.items():
            if name in column:
                x[row, column[name]] = value
            else:
                fixed[row] += SET_BY_HAND[name] * value
    y = np.array([right for _, right in samples], dtype=float)
    weights = np.zeros(len(names))
    for _ in range(25):  # Newton's method
        p = 1 / (1 + np.exp(-np.clip(x @ weights + fixed, -30, 30)))
        gradient = x.T @ (y - p) - PENALTY * weights
        curvature = (x * (p * (1 - p))[:, None]).T @ x + PENALTY * np.eye(len(names))
        weights = weights + np.linalg.solve(curvature, gradient)
    fitted = {**dict(zip(names, map(float, weights), strict=True)), **SET_BY_HAND}
    return {**fitted, **{name: fitted["full"] + less for name, less in LIKE_THE_TITLE.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder with corpus/, redial/ and mapping/")
    parser.add_argument("--split", default="test_a")
    parser.add_argument("--json", action="store_true", help="print every count as JSON")
    parser.add_argument("--fit", action="store_true", help="fit the weights on train and print them")
    parser.add_argument("--dialogues", type=int, default=1500, help="how many dialogues --fit reads")
    arguments = parser.parse_args()
    if arguments.fit:
        print(fit(arguments.data, arguments.dialogues))
    else:
        rows = table(arguments.data, arguments.split)
        print(json.dumps(rows, indent=1)) if arguments.json else show(rows)


if __name__ == "__main__":
    main()
