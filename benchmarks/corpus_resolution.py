"""How well the resolver of `rarec corpus` finds what is the same.

    python benchmarks/corpus_resolution.py --data ../shared/data --out docs/results/corpus_resolution.json

Planted: invented dumps of twelve sources in their real formats (`rarec.testing.dumps`), whose truth is known:
namesakes, twins of one year, remakes, series with a film's title, foreign titles, things that stand twice in a source.
Real: the merged film corpus taken apart into ten sources (`corpus_apart.py`) and resolved anew; its rows are the truth,
though they hold duplicates of their own (`data/corpus_crossing.json`). Both once with ids, once with all ids hidden.
Pairs: those rows of the corpus that share title and year, judged by hand or by a list (`data/corpus_pairs.json`), and
what the resolver made of them.

Precision and recall are of pairs of records. Intervals are Wilson's, 95 %, as if pairs were independent; those of the
shares of things are the ones to trust.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corpus_apart import IDS, SOURCES, records_of, rows_of
from rarec.corpus.clusters import Clusters, Reason
from rarec.corpus.judging import Rules
from rarec.corpus.recipe import load_corpus_recipe
from rarec.corpus.record import Problem, Record
from rarec.corpus.resolve import resolve
from rarec.corpus.sources import reader_of
from rarec.corpus.staging import Staging
from rarec.corpus.traits import read_traits
from rarec.files import write_text
from rarec.testing.dumps import RECIPE, TRUTH, DumpOptions, write_dumps

PAIRS = Path(__file__).parent / "data" / "corpus_pairs.json"
CROSSING = Path(__file__).parent / "data" / "corpus_crossing.json"
"""Unions of records of two rows that were read by hand: whether the corpus has a film twice there."""
Truth = dict[tuple[str, str], int]
"""Source and key of a record -> the thing that it is."""
_Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Resolved:
    """Records after the resolver, in its order.

    Attributes:
        things: what each record is.
        labels: the group that each was put into.
    """

    clusters: Clusters
    things: NDArray[np.int64]
    labels: NDArray[np.int32]


def wilson(right: int, n: int) -> dict[str, Any]:
    """A share with its 95 % interval. Source: Wilson 1927."""
    if not n:
        return {"n": 0}
    share, factor = right / n, 1 + _Z * _Z / n
    middle = (share + _Z * _Z / (2 * n)) / factor
    reach = _Z * math.sqrt(share * (1 - share) / n + _Z * _Z / (4 * n * n)) / factor
    low, high = max(0.0, middle - reach), min(1.0, middle + reach)
    return {"share": round(share, 5), "low": round(low, 5), "high": round(high, 5), "n": n}


def resolved(
    sources: Sequence[str],
    rows: Callable[[str], Iterable[Record | Problem]],
    truth: Mapping[tuple[str, str], int],
    *,
    ids: Sequence[str],
    hidden: bool,
) -> Resolved:
    """Stage and resolve records; with `hidden` ids none of them has any."""

    def shown(source: str) -> Iterator[Record | Problem]:
        for row in rows(source):
            yield replace(row, ids={}) if hidden and isinstance(row, Record) else row

    rules = Rules()
    with tempfile.TemporaryDirectory() as folder, closing(Staging(Path(folder) / "staged.sqlite")) as staging:
        for source in sources:
            staging.stage(source, "measured", shown(source))
        traits = read_traits(staging, sources, trusted=ids, facts=rules.facts, numbers=tuple(rules.numbers))
        known = {place: truth[record.source, record.key] for place, record in staging.scan()}
        things = np.array([known[place] for place in traits.places.tolist()], np.int64)
    clusters = resolve(traits, rules)
    return Resolved(clusters, things, clusters.labels)


def figures(found: Resolved) -> dict[str, Any]:
    """Precision and recall of pairs, things that came out whole, and what each reason was worth."""
    labels, things = found.labels.astype(np.int64), found.things
    both, made, true = (_pairs(column) for column in (things << 32 | labels, labels, things))
    unions: dict[str, Any] = {}
    right, of = Counter[int](), Counter[int]()
    for one, other, reason, _ in found.clusters.joined:
        of[reason] += 1
        right[reason] += int(things[one] == things[other])
    for number in sorted(of):
        unions[Reason(number).name.lower()] = wilson(right[number], of[number])
    whole, apart = _whole(labels, things), _whole(things, labels)
    return {
        "records": len(things),
        "things": len(np.unique(things)),
        "groups": len(np.unique(labels)),
        "precision_of_pairs": wilson(both, made),
        "recall_of_pairs": wilson(both, true),
        "things_in_one_group": wilson(int(whole.sum()), len(whole)),
        "groups_of_one_thing": wilson(int(apart.sum()), len(apart)),
        "unions_that_are_right": unions,
        "refused": {Reason(k).name.lower(): n for k, n in sorted(Counter(found.clusters.refused.reason).items())},
    }


def _pairs(column: NDArray[np.int64]) -> int:
    """Pairs of records that have the same number."""
    _, counts = np.unique(column, return_counts=True)
    return int((counts.astype(np.int64) * (counts - 1) // 2).sum())


def _whole(column: NDArray[np.int64], by: NDArray[np.int64]) -> NDArray[np.bool_]:
    """For each number of `by`, in order, whether all its records have one number in the column."""
    order = np.lexsort((column, by))
    column, by = column[order], by[order]
    starts = np.flatnonzero(np.r_[True, by[1:] != by[:-1]])
    return np.asarray(np.minimum.reduceat(column, starts) == np.maximum.reduceat(column, starts))


def planted(films: int, *, hidden: bool) -> dict[str, Any]:
    """Invented dumps through their readers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_dumps(folder, DumpOptions(films=films))
        recipe = load_corpus_recipe(folder / RECIPE)
        truth: Truth = {}
        why: dict[int, str] = {}
        with (folder / TRUTH).open(encoding="utf-8") as lines:
            for line in lines:
                told = json.loads(line)
                truth[told["source"], told["key"]] = told["film"]
                if told["planted"] or told["film"] not in why:
                    why[told["film"]] = told["planted"]
        configs = {source.name: source for source in recipe.sources}

        def rows(source: str) -> Iterator[Record | Problem]:
            scratch = folder / f"scratch-{source}"
            scratch.mkdir()
            config = configs[source]
            return reader_of(config.kind)(
                config, recipe.paths_of(config), scratch=scratch, progress=lambda *_: None, rows={}
            )

        found = resolved(tuple(configs), rows, truth, ids=recipe.ids, hidden=hidden)
    return {**figures(found), "planted": _by_kind(found, why)}


def _by_kind(found: Resolved, why: Mapping[int, str]) -> dict[str, Any]:
    """Of films that are hard to tell: those that share no group with another film, and those in one group."""
    labels, things = found.labels.astype(np.int64), found.things
    whole = dict(zip(np.unique(things).tolist(), _whole(labels, things).tolist(), strict=True))
    pure = dict(zip(np.unique(labels).tolist(), _whole(things, labels).tolist(), strict=True))
    mixed = {thing for thing, label in zip(things.tolist(), labels.tolist(), strict=True) if not pure[label]}
    kinds: dict[str, list[int]] = {}
    for thing in whole:
        kinds.setdefault(why[thing] or "others", []).append(thing)
    return {
        kind: {
            "apart_from_others": wilson(sum(thing not in mixed for thing in members), len(members)),
            "in_one_group": wilson(sum(whole[thing] for thing in members), len(members)),
        }
        for kind, members in sorted(kinds.items())
    }


def real(corpus: Path, *, hidden: bool) -> Resolved:
    """The merged corpus, taken apart and resolved."""
    truth: Truth = {}
    said: dict[str, list[Record]] = {source: [] for source in SOURCES}
    for row in rows_of(corpus):
        for record in records_of(row):
            said[record.source].append(record)
            truth[record.source, record.key] = int(row["id"])
    return resolved(SOURCES, said.__getitem__, truth, ids=IDS, hidden=hidden)


def whole(corpus: Path) -> Resolved:
    """The merged corpus as the one source that it is."""
    truth: Truth = {}

    def rows(source: str) -> Iterator[Record]:
        for row in rows_of(corpus):
            title = row["title"].strip()
            ids = {"imdb": row["imdb_id"] or "", "tmdb": "" if row["tmdb_id"] is None else str(row["tmdb_id"])}
            for name, column in (("movielens", "ml_ids"), ("letterboxd", "letterboxd_slugs")):
                ids[name] = str((row[column] or [""])[0])
            roles = {name: tuple(dict.fromkeys(row[name] or ())) for name in ("directors", "cast")}
            truth[source, f"r{row['id']}"] = int(row["id"])
            yield Record(
                source,
                f"r{row['id']}",
                () if title == "nan" else (title,),
                row["year"],
                {name: value for name, value in ids.items() if value},
                tuple(dict.fromkeys((*roles["directors"], *roles["cast"]))),
                {name: names for name, names in roles.items() if names},
            )

    return resolved(("merged",), rows, truth, ids=IDS, hidden=False)


def of_pairs(found: Resolved) -> dict[str, Any]:
    """What became of the judged pairs of rows: joined, reported as a possible duplicate, or otherwise kept apart."""
    groups: dict[int, set[int]] = {}
    for thing, label in zip(found.things.tolist(), found.labels.tolist(), strict=True):
        groups.setdefault(thing, set()).add(label)
    refused: dict[tuple[int, int], str] = {}
    for one, other, reason, _ in found.clusters.refused:
        pair = sorted((int(found.labels[one]), int(found.labels[other])))
        refused[pair[0], pair[1]] = reason.name.lower()
    fates: dict[str, Counter[str]] = {}
    for one, other, verdict, _, by_hand in json.loads(PAIRS.read_text(encoding="utf-8"))["pairs"]:
        if one not in groups or other not in groups:
            fate = "not there"
        elif groups[one] & groups[other]:
            fate = "joined"
        else:
            crossed = (refused.get((min(a, b), max(a, b))) for a in groups[one] for b in groups[other])
            fate = next((reason for reason in crossed if reason), "apart")
        for name in (verdict, f"{verdict}, read by hand") if by_hand else (verdict,):
            fates.setdefault(name, Counter())[fate] += 1
    return {
        verdict: {"joined": wilson(counts["joined"], counts.total()), "became": dict(counts.most_common())}
        for verdict, counts in sorted(fates.items())
    }


def measure(data: Path, sizes: Sequence[int], tell: Callable[[str], None]) -> dict[str, Any]:
    """Everything."""
    document: dict[str, Any] = {"planted": {}, "real": {}, "pairs": {}}
    for films in sizes:
        for name, hidden in (("with ids", False), ("ids hidden", True)):
            tell(f"planted, {films:,} films, {name}")
            document["planted"][f"{films} films, {name}"] = planted(films, hidden=hidden)
    corpus = data / "corpus" / "movies.parquet"
    if corpus.is_file():
        for name, hidden in (("with ids", False), ("ids hidden", True)):
            tell(f"real, {name}")
            found = real(corpus, hidden=hidden)
            document["real"][name] = figures(found)
            document["pairs"][f"taken apart, {name}"] = of_pairs(found)
        read = Counter(verdict for *_, verdict in json.loads(CROSSING.read_text(encoding="utf-8"))["pairs"])
        document["real"]["unions of two rows that are of one film, read by hand"] = {
            **wilson(read["same"], read.total()),
            "unknown": read["unknown"],
        }
        tell("real, as one source")
        document["pairs"]["as one source"] = of_pairs(whole(corpus))
    return document


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--films", type=int, nargs="*", default=[3000, 100_000])
    parser.add_argument("--out", type=Path, help="a JSON file to write")
    options = parser.parse_args()
    document = measure(options.data, options.films, lambda text: print(text, flush=True))
    text = json.dumps(document, indent=1) + "\n"
    if options.out:
        write_text(options.out, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
