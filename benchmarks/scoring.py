"""Scoring a batch of queries with one matrix product, against a loop that scores one query at a time.

    python benchmarks/scoring.py [--queries 256] [--dimension 129] [--items 6124 231171] [--n 100] [--repeats 5]

Both ways end with the n best items of each query in order, as an evaluation needs them, and must agree. Rows are random
unit vectors with a popularity column. The two take turns, so that a busy machine slows both; read the ratio of the
medians, not the times. `score` is the product alone, `top n` the selection from its result.

    python benchmarks/scoring.py --data FOLDER --examples FILE

With a data folder: seconds to make each system that needs no language model and to rank the examples of an evaluation
file of ReDial, one after the other, and the peak memory of the process so far.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rarec.evaluate import System, top_columns

Floats = NDArray[np.float32]
Lists = list[list[int]]
HEADER = ("items", "queries", "loop ms", "batch ms", "ratio", "score", "top n")


def batched(queries: Floats, items: Floats, n: int) -> tuple[Lists, float, float]:
    """Best columns of each query; seconds of the product and of the selection."""
    start = time.perf_counter()
    scores: Floats = queries @ items.T
    middle = time.perf_counter()
    best = top_columns(scores, n=n)
    return best, middle - start, time.perf_counter() - middle


def one_at_a_time(queries: Floats, items: Floats, n: int) -> tuple[Lists, float, float]:
    """The same, query by query."""
    best: Lists = []
    product = selection = 0.0
    for query in queries:
        found, scored, selected = batched(query[None], items, n)
        best += found
        product, selection = product + scored, selection + selected
    return best, product, selection


def measured(items: int, options: argparse.Namespace) -> dict[str, Any]:
    """Medians over the repeats, and the ratio of a loop's time to a batch's."""
    generator = np.random.default_rng(options.seed)
    rows, queries = unit(generator, items, options.dimension), unit(generator, options.queries, options.dimension)
    loops, batches = [], []
    for _ in range(options.repeats):
        single, *loop = one_at_a_time(queries, rows, options.n)
        together, *batch = batched(queries, rows, options.n)
        check(single, together, queries @ rows.T)
        loops.append(loop)
        batches.append(batch)
    loop_s, batch_s = (statistics.median(map(sum, runs)) for runs in (loops, batches))
    parts = [statistics.median(r[i] for r in loops) / statistics.median(r[i] for r in batches) for i in (0, 1)]
    return {
        "items": items,
        "queries": options.queries,
        "loop_ms": 1000 * loop_s,
        "batch_ms": 1000 * batch_s,
        "ratio": loop_s / batch_s,
        "score_ratio": parts[0],
        "top_n_ratio": parts[1],
    }


def check(single: Lists, together: Lists, scores: Floats) -> None:
    """Stop unless both ways found the same; items whose scores differ by rounding alone may change places."""
    one, other = (np.take_along_axis(scores, np.array(lists), axis=1) for lists in (single, together))
    if not np.allclose(one, other, rtol=0, atol=1e-5):
        row = int(np.argmax(np.abs(one - other).max(axis=1)))
        sys.exit(f"query {row}: the loop found {single[row][:5]}..., the batch {together[row][:5]}...")


def unit(generator: np.random.Generator, rows: int, dimension: int) -> Floats:
    """Rows of length 1 with one more column, as the retriever's items and queries have it."""
    matrix = generator.standard_normal((rows, dimension - 1), np.float32)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.column_stack([matrix, generator.random(rows, np.float32)])


def on_data(data: Path, file: Path, n: int) -> None:
    """Make and run every system that needs no language model; prints as it goes."""
    from rarec.conversations import data_set_items, read_examples

    start = time.perf_counter()
    examples = read_examples(file, catalogue_items=data_set_items(data, "redial"))
    print(f"{len(examples)} examples, read and linked in {time.perf_counter() - start:.1f} s")
    print(f"{'system':26}{'make s':>9}{'rank s':>9}{'peak MiB':>10}")
    for make in makers(data):
        start = time.perf_counter()
        system = make()
        made = time.perf_counter()
        system.rank(examples, n=n)
        ended = time.perf_counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{system.name:26}{made - start:9.1f}{ended - made:9.1f}{peak:10.0f}", flush=True)


def makers(data: Path) -> list[Callable[[], System]]:
    """What builds each system over ReDial's items."""
    from rarec.assembly import default_bundle
    from rarec.catalogue.sources.corpus import corpus_items
    from rarec.catalogue.text import load_layout
    from rarec.conversations import data_set_items, read_split
    from rarec.embed.minilm import MiniLMEmbedder
    from rarec.evaluate import baselines, stored_vectors
    from rarec.evaluate.neural import RankedSystem, RetrieverSystem, remembering

    items, training = data_set_items(data, "redial"), list(read_split(data, "redial", "train"))
    texts = stored_vectors(data / "embeddings", [item.id for item in items])
    embedder = remembering(MiniLMEmbedder())
    bundle = default_bundle()

    @cache
    def retriever() -> RetrieverSystem:
        popularity = [item.popularity for item in corpus_items(data / "corpus" / "movies.parquet")]
        return RetrieverSystem.load(bundle, items, texts, embedder=embedder, popularity=popularity)

    def similarity(variant: Literal["text", "items", "both"]) -> System:
        name = f"embedding-similarity/{variant}"
        return baselines.EmbeddingSimilarity(items, texts, embedder=embedder, variant=variant, name=name)

    return [
        lambda: baselines.Random(items),
        lambda: baselines.Popularity(items, training),
        lambda: baselines.RepeatContext(items),
        lambda: baselines.CoOccurrence(items, training),
        lambda: baselines.ItemKNN(items, training),
        lambda: baselines.EASE(items, training),
        lambda: baselines.SASRec(items, training),
        lambda: baselines.BM25(items, layout=load_layout("film")),
        lambda: similarity("items"),
        lambda: similarity("text"),
        lambda: similarity("both"),
        retriever,
        lambda: RankedSystem.load(bundle, items, texts, embedder=embedder, retriever=retriever()),
    ]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--queries", type=int, default=256)
    parser.add_argument("--dimension", type=int, default=129)
    parser.add_argument("--items", type=int, nargs="+", default=[6_124, 231_171])
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--data", type=Path, help="folder with corpus/, redial/, mapping/ and embeddings/")
    parser.add_argument("--examples", type=Path, help="evaluation file of ReDial")
    return parser.parse_args()


def show(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    print(f"{options.queries} queries x {options.dimension}, top {options.n}, {os.cpu_count()} cores")
    print("  ".join(f"{name:>9}" for name in HEADER))
    for row in rows:
        times = f"{row['loop_ms']:9.0f}  {row['batch_ms']:9.0f}"
        ratios = "  ".join(f"{row[key]:8.1f}x" for key in ("ratio", "score_ratio", "top_n_ratio"))
        print(f"{row['items']:9,}  {row['queries']:9,}  {times}  {ratios}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def main() -> int:
    options = parse()
    if options.data and options.examples:
        on_data(options.data, options.examples, options.n)
        return 0
    rows = [measured(items, options) for items in options.items]
    show(rows, options)
    if options.json:
        settings = {name: value for name, value in vars(options).items() if name != "json"}
        meta = settings | {"cores": os.cpu_count(), "numpy": np.__version__, "date": time.strftime("%Y-%m-%d")}
        options.json.write_text(json.dumps({"rows": rows, "meta": meta}, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
