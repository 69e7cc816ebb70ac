"""Users of `rarec serve` against a fake model of fixed latency: what the service takes of a turn, and what it holds up.

    python benchmarks/service_load.py --data ../shared/data --minutes 20          # the figures of docs/serving.md
    python benchmarks/service_load.py --rows 2000 --levels 1 4 --seconds 5        # a small one

Everything is on this machine's loopback, in four processes: the service as `rarec serve` starts it, the fake endpoint,
something that asks for /healthz fifty times a second, and the users. A user sends a message, reads the answer, thinks,
and goes on, in sessions of six messages that the service keeps; half of the conversations are streamed. The catalogue
has 231,171 items: those of the film corpus with --data, else invented ones. Vectors of items are mixtures of real ones
(or random) and lie in the store's cache; messages are embedded by the real embedder, in the service.

*Overhead* is the time of a turn, as the client sees it, minus the latency that the model was told to have: queueing,
HTTP on both sides, session, embedder, retrieval, prompt, booking, keeping. *Inside* is the service's own count of the
stages, without the model. *First* is the time to the first streamed words of the reply minus the model's own. *Loop* is
the time of /healthz, which needs one step of the event loop: its largest value bounds how long the loop stood still,
and includes waiting for a processor. Percentiles have 95 % intervals from order statistics. On a machine that does
other things too, read processor time a turn.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from large_store import PoolEmbedder, catalogue_items, pool
from load_users import Taken, Users
from loaded_service import Pace, Service, Watcher, endpoint, service, watcher
from rarec.assembly import create_store
from rarec.catalogue import CatalogueStore
from rarec.embed.cache import CachedEmbedder
from rarec.embed.minilm import MiniLMEmbedder
from rarec.files import write_text
from rarec.settings import StorePaths

ROWS = 231_171
TITLES = 2000
CHUNK = 8192
CORPUS = Path("corpus/movies.parquet")
VECTORS = Path("embeddings/minilm_f16.npy")
QUANTILES = (0.5, 0.99)
AT_ONCE = 64
"""Turns that are answered at the same time; the others wait. More only take the processors from each other."""


def make_store(folder: Path, rows: int, data: Path | None, seed: int) -> list[str]:
    """A store of so many items whose vectors are in its cache; the titles that messages name."""
    corpus, vectors = (None, None) if data is None else (data / CORPUS, data / VECTORS)
    paths = create_store(folder, layout="film")
    with CatalogueStore.open(paths.catalogue) as catalogue:
        catalogue.add(catalogue_items(rows, corpus, seed))
        titles = [item.title for item in islice(catalogue, TITLES)]
        name = MiniLMEmbedder().name
        made = PoolEmbedder(pool(MiniLMEmbedder().dimension, vectors, seed), name)
        with CachedEmbedder(made, StorePaths(folder).embeddings, chunk=CHUNK) as cache:
            items = iter(catalogue)
            while some := [catalogue.layout.render(item) for item in islice(items, CHUNK)]:
                cache.embed(some)
    return titles


def percentile(values: Sequence[float], q: float) -> dict[str, float] | None:
    """A percentile with its 95 % interval from order statistics, in ms; None of no values."""
    if not values:
        return None
    ordered = np.sort(values)
    middle, half = q * len(ordered), 1.96 * float(np.sqrt(q * (1 - q) * len(ordered)))
    low, high = (ordered[int(np.clip(place, 0, len(ordered) - 1))] for place in (middle - half, middle + half))
    return {
        "ms": round(float(np.quantile(ordered, q, method="inverted_cdf")), 2),
        "low": round(float(low), 2),
        "high": round(float(high), 2),
    }


def both(values: Sequence[float]) -> dict[str, Any]:
    return {"n": len(values), **{f"p{q * 100:g}": percentile(values, q) for q in QUANTILES}}


def figures(taken: Sequence[Taken], pace: Pace, seconds: float) -> dict[str, Any]:
    """What turns say, of those that the model took part in."""
    good = [one for one in taken if one.asked]
    plain = [one for one in good if one.first_ms is None]
    return {
        "turns": len(taken),
        "turns a second": round(len(taken) / seconds, 2),
        "statuses": {str(status): count for status, count in sorted(Counter(one.status for one in taken).items())},
        "remembered": sum(one.status == 200 and not one.asked and not one.reason for one in taken),
        "without the model": dict(Counter(one.reason for one in taken if one.reason).most_common()),
        "overhead": both([one.wall_ms - pace.plain_ms for one in plain]),
        "inside": both([one.timings_ms["total"] - one.timings_ms["llm"] for one in good]),
        "stages p50 ms": {
            name: round(statistics.median(one.timings_ms.get(name, 0.0) for one in plain), 1)
            for name in sorted({name for one in plain for name in one.timings_ms})
        },
        "first": both([one.first_ms - pace.first_ms for one in good if one.first_ms is not None]),
    }


def loop_figures(looks: Sequence[float]) -> dict[str, Any]:
    return both(looks) | {"largest ms": round(max(looks, default=0.0), 1)}


def level(users: int, options: argparse.Namespace, live: Service, watching: Watcher, who: Users) -> dict[str, Any]:
    """One number of users, after a while to warm up."""
    who.run(users, options.warm_up)
    watching.take()
    used, start = live.processor_s, time.perf_counter()
    taken = who.run(users, options.seconds)
    seconds = time.perf_counter() - start  # turns that had begun were waited for
    used = live.processor_s - used
    return {
        "conversations": users,
        **figures(taken, Pace(options.latency, options.piece), options.seconds),
        "processor ms a turn": round(1000 * used / max(len(taken), 1), 1),
        "processors": round(used / seconds, 2),
        "loop": loop_figures(watching.take()),
        "memory MB": round(live.memory_mb, 1),
    }


@contextmanager
def memory_of(live: Service, every_s: float) -> Iterator[list[tuple[float, float]]]:
    """(seconds, MB) at intervals, while the block lasts."""
    found: list[tuple[float, float]] = []
    over, start = threading.Event(), time.perf_counter()

    def look() -> None:
        while True:
            found.append((round(time.perf_counter() - start, 1), round(live.memory_mb, 1)))
            if over.wait(every_s):
                return

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def soak(options: argparse.Namespace, live: Service, watching: Watcher, who: Users) -> dict[str, Any]:
    """The same users for a long time: whether memory stays where it is."""
    watching.take()
    with memory_of(live, options.every) as memory:
        taken = who.run(options.soak, 60 * options.minutes)
    later = memory[len(memory) // 4 :]
    times, sizes = np.array([at for at, _ in later]), np.array([mb for _, mb in later])
    slope = float(np.polyfit(times, sizes, 1)[0]) * 3600 if len(later) > 2 else 0.0
    return {
        "conversations": options.soak,
        "minutes": options.minutes,
        **figures(taken, Pace(options.latency, options.piece), 60 * options.minutes),
        "loop": loop_figures(watching.take()),
        "memory MB": memory,
        "MB an hour, after the first quarter": round(slope, 1),
    }


HEAD = (
    "conversations", "turns/s", "n", "overhead p50", "p99", "first words p50", "p99", "loop p99", "largest",
    "processor a turn",
)  # fmt: skip


def table(document: dict[str, Any]) -> str:
    """The levels in markdown."""

    def cell(found: dict[str, Any], q: str) -> str:
        one = found[q]
        return "–" if one is None else f"{one['ms']:.0f} [{one['low']:.0f}, {one['high']:.0f}]"

    def row(*cells: object) -> str:
        return f"| {' | '.join(map(str, cells))} |"

    lines = [row(*HEAD), row(*["--:"] * len(HEAD))]
    for one in document["levels"]:
        overhead, first, loop = one["overhead"], one["first"], one["loop"]
        lines.append(
            row(
                one["conversations"], one["turns a second"], one["turns"], cell(overhead, "p50"), cell(overhead, "p99"),
                cell(first, "p50"), cell(first, "p99"), cell(loop, "p99"), loop["largest ms"],
                one["processor ms a turn"],
            )
        )  # fmt: skip
    idle, long = document["idle loop"], document.get("soak")
    lines += ["", f"Milliseconds. The loop of the idle service: p99 {cell(idle, 'p99')}, largest {idle['largest ms']}."]
    if long:
        memory = long["memory MB"]
        lines.append(
            f"Memory with {long['conversations']} conversations over {long['minutes']:g} minutes, {long['turns']} "
            f"turns: {memory[0][1]:.0f} MB at first, {memory[-1][1]:.0f} at the end, "
            f"{long['MB an hour, after the first quarter']:+.0f} MB an hour after the first quarter."
        )
    return "\n".join(lines) + "\n"


def meta(options: argparse.Namespace, load: float) -> dict[str, object]:
    return {
        "rows": options.rows, "real corpus and vectors": options.data is not None, "latency s": options.latency,
        "piece s": options.piece, "think s": options.think, "seconds a level": options.seconds, "seed": options.seed,
        "cores": os.cpu_count(), "load before": round(load, 1), "threads": os.environ.get("OMP_NUM_THREADS", ""),
        "python": platform.python_version(), "rarec": metadata.version("rarec"), "date": time.strftime("%F"),
    }  # fmt: skip


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS, help="items in the catalogue")
    parser.add_argument("--data", type=Path, help=f"folder with {CORPUS} and {VECTORS}; else all is invented")
    parser.add_argument("--levels", type=int, nargs="+", default=[1, 16, 64, 256], help="conversations at once")
    parser.add_argument("--seconds", type=float, default=120, help="of each level, after --warm-up")
    parser.add_argument("--warm-up", type=float, default=10)
    parser.add_argument("--latency", type=float, default=1.0, help="seconds until the fake model answers")
    parser.add_argument("--piece", type=float, default=0.02, help="seconds before each event that it streams")
    parser.add_argument("--think", type=float, default=5.0, help="mean seconds between an answer and the next message")
    parser.add_argument("--soak", type=int, default=16, help="conversations of the long run")
    parser.add_argument("--minutes", type=float, default=0, help="of the long run; 0 leaves it out")
    parser.add_argument("--every", type=float, default=10, help="seconds between two looks at the memory")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("docs/results/service_load.json"), help="beside it, a table")
    return parser.parse_args()


def main() -> int:
    options, load = parsed(), os.getloadavg()[0]
    pace, most = Pace(options.latency, options.piece), max(*options.levels, options.soak)
    settings = {
        "requests_per_minute": 0, "concurrency": min(most, AT_ONCE), "queue": most, "queue_timeout_s": 60,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        start = time.perf_counter()
        titles = make_store(Path(name) / "store", options.rows, options.data, options.seed)
        print(f"{options.rows} items in {time.perf_counter() - start:.0f} s", flush=True)
        with (
            endpoint(pace) as model,
            service(Path(name) / "store", model, Path(name) / "log", settings) as live,
            watcher(live.url) as watching,
        ):
            who = Users(live.url, titles, think_s=options.think, streamed=0.5, seed=options.seed)
            time.sleep(min(5.0, options.seconds))
            idle = loop_figures(watching.take())
            document: dict[str, Any] = {"meta": meta(options, load), "idle loop": idle, "levels": []}
            for users in options.levels:
                document["levels"].append(level(users, options, live, watching, who))
                print(json.dumps(document["levels"][-1]), flush=True)
            if options.minutes:
                document["soak"] = soak(options, live, watching, who)
    write_text(options.out, json.dumps(document, indent=1) + "\n")
    write_text(options.out.with_suffix(".md"), table(document))
    print(table(document))
    refused = sum(n for one in document["levels"] for status, n in one["statuses"].items() if status != "200")
    print(f"{refused} turns got no answer")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
