"""How well words become filters, on phrasings written for the purpose (benchmarks/data/phrasings.jsonl).

    python benchmarks/constraints.py                      both halves, and docs/results/constraints.json
    python benchmarks/constraints.py --half development --misses
    python benchmarks/constraints.py --data ../shared/data     how often something fires in ReDial's valid, and a sample

Films are the starter catalogue, games the second domain of `rarec.testing`. Titles are linked first, as when serving. A
constraint is right if its attribute, values, years, negation, "soft" and "required" all are; a phrasing is exact if
nothing is missing and nothing is too much. Intervals are Wilson's, 95 %. What cannot be enforced is not counted. The
rules were tuned on the development half; the other one was looked at when they were done.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from rarec.catalogue import Linker, starter_items
from rarec.constraints import Constraint, Vocabulary, understand
from rarec.files import write_text
from rarec.testing.second_domain import second_domain
from rarec.types import Conversation, Item, Turn

PHRASINGS = Path(__file__).parent / "data" / "phrasings.jsonl"
RESULTS = Path(__file__).parents[1] / "docs" / "results" / "constraints.json"
HALVES = ("development", "held-out")
Z = 1.959964
SAMPLE = 60

Key = tuple[object, ...]


@dataclass(frozen=True)
class Outcome:
    """One phrasing: what was right, too much and missing."""

    phrasing: Mapping[str, Any]
    found: frozenset[Key]
    expected: frozenset[Key]


class Domain:
    """A catalogue with its linker and vocabulary."""

    def __init__(self, items: Iterable[Item]) -> None:
        known = list(items)
        self.linker, self.vocabulary = Linker(known), Vocabulary(known)

    def read(self, turns: Iterable[Mapping[str, str]]) -> tuple[Constraint, ...]:
        linked = tuple(
            Turn("user" if t["role"] == "user" else "assistant", t["text"], self.linker.link(t["text"])) for t in turns
        )
        return understand(Conversation(linked), self.vocabulary).parts


def outcomes() -> Iterator[Outcome]:
    """All phrasings, read by the rules."""
    domains = {"films": Domain(starter_items()), "games": Domain(second_domain().items)}
    for line in PHRASINGS.read_text(encoding="utf-8").splitlines():
        phrasing = json.loads(line)
        parts = domains[phrasing["domain"]].read(phrasing["turns"])
        yield Outcome(phrasing, frozenset(map(key_found, parts)), frozenset(map(key_expected, phrasing["expected"])))


def key_found(part: Constraint) -> Key:
    """What must be right about a constraint."""
    years = part.year_min, part.year_max
    return part.attribute, frozenset(part.values), years, part.negated, not part.hard, part.required


def key_expected(part: Mapping[str, Any]) -> Key:
    """The same of an expected one."""
    years = part.get("year_min"), part.get("year_max")
    flags = (part.get("negated", False), part.get("soft", False), part.get("required", False))
    return part["attribute"], frozenset(part.get("values", ())), years, *flags


def wilson(right: int, n: int) -> tuple[float, float]:
    """The interval of a share, 95 %; of nothing it is [0, 1]. Source: Wilson 1927."""
    if not n:
        return 0.0, 1.0
    share, z2 = right / n, Z * Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def shares(results: list[Outcome]) -> dict[str, dict[str, float]]:
    """Precision and recall of constraints, exact phrasings, and traps in which nothing was found."""
    right = sum(len(o.found & o.expected) for o in results)
    traps = [o for o in results if not o.expected]
    counts = {
        "precision": (right, sum(len(o.found) for o in results)),
        "recall": (right, sum(len(o.expected) for o in results)),
        "exact": (sum(o.found == o.expected for o in results), len(results)),
        "quiet traps": (sum(not o.found for o in traps), len(traps)),
    }
    return {
        name: {"right": k, "n": n, "share": k / n if n else 0.0, "low": wilson(k, n)[0], "high": wilson(k, n)[1]}
        for name, (k, n) in counts.items()
    }


def show(results: list[Outcome], *, misses: bool) -> None:
    for outcome in results:
        if misses and outcome.found != outcome.expected:
            print(" || ".join(t["text"] for t in outcome.phrasing["turns"]))
            for key in sorted(outcome.expected - outcome.found, key=str):
                print("    missing ", *key)
            for key in sorted(outcome.found - outcome.expected, key=str):
                print("    too much", *key)
    for name, s in shares(results).items():
        print(f"  {name:12} {s['share']:.3f} [{s['low']:.3f}, {s['high']:.3f}]  {s['right']:.0f} of {s['n']:.0f}")


def in_the_wild(data: Path, seed: int) -> None:
    """How many seeker turns of ReDial's valid part give a hard constraint, and SAMPLE of them to read."""
    films, turns = Domain(starter_items()), 0
    fired: list[tuple[str, str]] = []
    with (data / "redial" / "valid.jsonl.zst").open("rb") as file:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8"):
            for turn in json.loads(line)["turns"]:
                if turn["role"] != "seeker":
                    continue
                turns += 1
                parts = films.read([{"role": "user", "text": turn["text"]}])
                if any(part.hard for part in parts):
                    fired.append((turn["text"], " · ".join(p.label if p.hard else f"maybe {p.label}" for p in parts)))
    print(f"{len(fired)} of {turns} seeker turns")
    for text, told in random.Random(seed).sample(fired, min(SAMPLE, len(fired))):
        print(f"- {text}\n    {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=HALVES, help="only this half, and no file is written")
    parser.add_argument("--misses", action="store_true", help="show each phrasing that is not exact")
    parser.add_argument("--data", type=Path, help="folder with redial/valid.jsonl.zst")
    parser.add_argument("--seed", type=int, default=10, help="of the sample")
    given = parser.parse_args()
    if given.data is not None:
        in_the_wild(given.data, given.seed)
        return
    every = list(outcomes())
    document: dict[str, Any] = {}
    for half in HALVES if given.half is None else (given.half,):
        of_half = [o for o in every if o.phrasing["half"] == half]
        print(f"{half}, {len(of_half)} phrasings")
        show(of_half, misses=given.misses)
        document[half] = {"phrasings": len(of_half), **shares(of_half)}
        for domain in ("films", "games"):
            document[half][domain] = shares([o for o in of_half if o.phrasing["domain"] == domain])["exact"]
    if given.half is None:
        write_text(RESULTS, json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
