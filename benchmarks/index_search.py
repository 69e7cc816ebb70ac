"""How fast the exact index answers, beside numpy and faiss.

    python benchmarks/index_search.py                      # 231,171 x 129, as the whole film corpus
    python benchmarks/index_search.py --rows 50000 --json out.json

Rows are random unit vectors with a popularity column. Recall is the share of the best n scores that a system reaches,
up to 1e-4. Times are wall time on this machine: read the ratios, not the milliseconds. faiss takes part if it is
installed (pip install faiss-cpu).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarec.index import ExactIndex
from rarec.index.engines import ORDER, EngineName
from rarec.types import Filters, Item, ItemId

Floats = NDArray[np.float32]
Search = Callable[[Floats], NDArray[np.int64]]
"""Queries -> row numbers, shape (queries, n)."""

System = tuple[str, float, Search]
"""Name, seconds to add all rows, and the search."""


def main() -> int:
    options = parse()
    rng = np.random.default_rng(options.seed)
    vectors = unit(rng.standard_normal((options.rows, options.dimension - 1)), rng.exponential(0.1, options.rows))
    queries = unit(rng.standard_normal((options.batch, options.dimension - 1)), np.ones(options.batch))
    wanted = np.sort(vectors @ queries.T, axis=0)[-options.n :][::-1].T
    rows = [measured(system, vectors, queries, wanted, options) for system in systems(vectors, options.n)]
    show(rows, options)
    if options.json:
        options.json.write_text(json.dumps({"rows": rows, "meta": meta(options)}, indent=1) + "\n", encoding="utf-8")
    return 0


def measured(
    system: System, vectors: Floats, queries: Floats, wanted: Floats, options: argparse.Namespace
) -> dict[str, Any]:
    """Times in milliseconds and the share of the wanted scores that were reached."""
    name, add_s, search = system
    scores = np.sort(np.einsum("qnd,qd->qn", vectors[search(queries)], queries), axis=1)[:, ::-1]
    singles = [timed(search, queries[i : i + 1]) for i in range(min(options.repeats, len(queries)))]
    batches = [timed(search, queries) / len(queries) for _ in range(3)]
    return {
        "system": name,
        "add_s": add_s,
        "p50_ms": statistics.median(singles),
        "batch_ms": statistics.median(batches),
        "recall": float((scores >= wanted - 1e-4).mean()),
    }


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=231_171)
    parser.add_argument("--dimension", type=int, default=129)
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=50, help="single queries that are timed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def unit(rows: NDArray[np.float64], last: NDArray[np.float64]) -> Floats:
    """Rows of length 1 with one more column."""
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.column_stack([rows, last]).astype(np.float32)


def systems(vectors: Floats, n: int) -> list[System]:
    items = [Item(ItemId(str(row)), "t", attributes={"half": ("ab"[row % 2],)}) for row in range(len(vectors))]
    found: list[System] = [("numpy fp32", 0.0, lambda q: numpy_search(vectors, q, n))]
    found += [exact(engine, items, vectors, n) for engine in ORDER]
    faiss_flat = faiss(vectors, n)
    return [*found, faiss_flat] if faiss_flat else found


def exact(engine: EngineName, items: list[Item], vectors: Floats, n: int) -> System:
    index = ExactIndex(vectors.shape[1], engine=engine)
    start = time.perf_counter()
    index.add(items, vectors)
    seconds = time.perf_counter() - start

    def search(queries: Floats) -> NDArray[np.int64]:
        return np.array([[int(id) for id in hits.ids] for hits in index.search(queries, n=n, filters=Filters())])

    return f"rarec exact ({engine})", seconds, search


def numpy_search(vectors: Floats, queries: Floats, n: int) -> NDArray[np.int64]:
    found = []
    for start in range(0, len(queries), 64):
        scores = queries[start : start + 64] @ vectors.T
        best = np.argpartition(scores, -n, axis=1)[:, -n:]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
        found.append(np.take_along_axis(best, order, axis=1))
    return np.concatenate(found)


def faiss(vectors: Floats, n: int) -> System | None:
    try:
        import faiss as library  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None
    index: Any = library.IndexFlatIP(vectors.shape[1])
    start = time.perf_counter()
    index.add(vectors)
    seconds = time.perf_counter() - start

    def search(queries: Floats) -> NDArray[np.int64]:
        rows: NDArray[np.int64] = index.search(queries, n)[1]
        return rows

    return "faiss Flat", seconds, search


def timed(search: Search, queries: Floats) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    search(queries)
    return 1000 * (time.perf_counter() - start)


def meta(options: argparse.Namespace) -> dict[str, object]:
    return {
        "rows": options.rows, "dimension": options.dimension, "n": options.n, "batch": options.batch,
        "seed": options.seed, "cores": os.cpu_count(), "numpy": np.__version__,
        "date": time.strftime("%Y-%m-%d"),
    }  # fmt: skip


def show(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    base = rows[0]
    print(f"{options.rows} x {options.dimension}, top {options.n}, ratios against {base['system']}")
    print(
        f"{'system':24}{'add s':>8}{'one, p50 ms':>14}{'ratio':>8}"
        f"{f'each of {options.batch}, ms':>18}{'ratio':>8}{'recall':>9}"
    )
    for row in rows:
        one, batch = base["p50_ms"] / row["p50_ms"], base["batch_ms"] / row["batch_ms"]
        print(
            f"{row['system']:24}{row['add_s']:8.2f}{row['p50_ms']:14.2f}{one:7.1f}x{row['batch_ms']:18.2f}{batch:7.1f}x"
            f"{row['recall']:9.4f}"
        )


if __name__ == "__main__":
    sys.exit(main())
