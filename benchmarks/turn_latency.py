"""One turn at the size of a whole film corpus, without embedder and language model, against the bare scan of its index.

    python benchmarks/turn_latency.py                                   # 337,731 invented items
    python benchmarks/turn_latency.py --corpus movies.parquet --vectors minilm_f16.npy --json out.json

A shape is TEXTxWIDTH: the embedder's dimension and the retriever's width; the index holds WIDTH + 1 numbers an item.
384x128 is the shipped bundle, other shapes are untrained, which changes no size. The turn is
`Recommender.reply` with a language model that answers at once: linking, encoding, search, items from SQLite, prompt,
parsing and reasons. What the embedder and that model take is subtracted. In the same run, by turns with it, two bare
scans of the same rows are timed: *scan* is the int8 product alone, *search* is the index's exact answer (scan, bounds,
rescoring in fp32) for the same query, 50 best, no filter.

A *warm* turn goes on from a conversation that was answered before, two messages shorter; a *cold* one is new to this
process. Times are wall and processor time of one process at one thread; on a machine that does other things too, read
ratios of medians and processor time, not milliseconds. Memory is that of the open store; after the first shape it comes
out too low, because later ones reuse what the first freed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import rarec.index.exact
import rarec.pipeline
from large_store import PoolEmbedder, add_options, catalogue_items, memory_mb, pool, talk
from rarec.assembly import Engine, default_bundle
from rarec.catalogue import CatalogueStore, load_layout
from rarec.index.engines import load_engine
from rarec.index.quantise import quantise
from rarec.llm.protocol import OnText
from rarec.pipeline import Recommender
from rarec.retriever.bundle import load_retriever, read_manifest
from rarec.retriever.model import Retriever, RetrieverConfig
from rarec.settings import Settings
from rarec.types import Completion, CompletionRequest, Conversation, Filters, Turn, Usage

SHIPPED = "384x128"
N = 10
CANDIDATES = 50
TITLES = 2000
"""Messages name one of so many best known titles."""
OUTSIDE = ("embedder", "language model")
"""Parts that are not counted."""
FILTERS = Filters(year_min=1990, none_of={"genres": ("Horror",)})


class Instant:
    """Answers at once with the offered order."""

    name = "instant"

    async def complete(self, request: CompletionRequest, *, on_text: OnText | None = None) -> Completion:  # noqa: ARG002
        assert request.task is not None
        ranking = list(range(1, request.task.n + 1))
        return Completion(json.dumps({"ranking": ranking, "reply": "Try [1] or [2]."}), self.name, Usage(1, 900, 60))


class Parts:
    """Processor time of named parts of a turn, each without the parts inside it."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = defaultdict(float)
        self._local = threading.local()

    def follow(self, owner: Any, function: str, part: str) -> None:
        """Time every call of ``owner.function``."""
        original = getattr(owner, function)

        def timed(*arguments: Any, **named: Any) -> Any:
            with self._part(part):
                return original(*arguments, **named)

        setattr(owner, function, timed)

    @contextmanager
    def _part(self, part: str) -> Iterator[None]:
        inside: list[float] = self._local.__dict__.setdefault("inside", [])
        inside.append(0.0)
        start = time.thread_time()
        try:
            yield
        finally:
            spent = time.thread_time() - start
            self.ms[part] += 1000 * (spent - inside.pop())
            if inside:
                inside[-1] += spent


def followed(recommender: Recommender) -> Parts:
    """Wrap the parts of a turn; `rarec.index.exact` and `rarec.pipeline` are wrapped once a process."""
    parts, engine = Parts(), recommender.engine
    parts.follow(engine, "link", "link")
    parts.follow(engine, "query", "encode")
    parts.follow(engine, "bonuses", "bonuses")
    parts.follow(engine.embedder, "embed", "embedder")
    parts.follow(engine.index, "_scan", "scan")
    parts.follow(engine.index, "_allow", "filters")
    parts.follow(engine.index, "search", "bounds and rescoring")
    parts.follow(engine.catalogue, "get_many", "items")
    return parts


def follow_pipeline(parts: Callable[[], Parts]) -> None:
    """Wrap the functions of the pipeline; `parts` gives the clock that counts now."""
    for name, part in (
        ("render", "prompt and parsing"), ("parse", "prompt and parsing"), ("answer_schema", "prompt and parsing"),
        ("_answer", "reasons"), ("check_conversation", "checks"),
    ):  # fmt: skip
        original = getattr(rarec.pipeline, name)

        def timed(*arguments: Any, _original: Any = original, _part: str = part, **named: Any) -> Any:
            with parts()._part(_part):
                return _original(*arguments, **named)

        setattr(rarec.pipeline, name, timed)


def clocked(function: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor milliseconds of one call."""
    start, used = time.perf_counter(), time.process_time()
    function()
    return 1000 * (time.perf_counter() - start), 1000 * (time.process_time() - used)


class Bench:
    """One shape: the recommender and what is timed of it."""

    def __init__(self, recommender: Recommender, titles: Sequence[str], seed: int) -> None:
        self.recommender, self._titles, self._seed = recommender, titles, seed
        self.parts = followed(recommender)
        index = recommender.engine.index
        snapshot = index._snapshot
        self._codes = snapshot.table.codes[: snapshot.count]

    def warm(self, messages: int, repeats: int, filters: Filters | None = None) -> dict[str, Any]:
        """Turns of a conversation of about so many messages that was answered before."""
        rows: list[dict[str, float]] = []
        seed = self._seed
        while len(rows) < repeats:
            seed += 1
            longest = max(messages, messages * 6 // 5)
            turns = self._linked(talk(self._titles, longest + longest % 2 + 1, seed)).turns
            first = max(1, messages - messages % 2 - 1)
            self._reply(turns[:first], filters)
            for end in range(first + 2, longest + 1, 2):
                rows.append(self._measured(turns[:end], filters))
                if len(rows) == repeats:
                    break
        return summary(rows)

    def cold(self, messages: int, repeats: int) -> dict[str, Any]:
        """The first turn that this process sees of a conversation."""
        rows = []
        for number in range(repeats):
            self._forget()
            rows.append(self._measured(talk(self._titles, messages, self._seed - 1 - number).turns, None))
        return summary(rows)

    def _linked(self, conversation: Conversation) -> Conversation:
        return replace(conversation, turns=tuple(replace(t, mentions=None) for t in conversation.turns))

    def _forget(self) -> None:
        engine = self.recommender.engine
        engine.encoder.forget()
        engine.linker._memory.forget()

    def _reply(self, turns: tuple[Turn, ...], filters: Filters | None) -> None:
        answer = self.recommender.reply(Conversation(turns), n=N, filters=filters, words=False)
        assert len(answer.items) == N
        assert not answer.degraded

    def _measured(self, turns: tuple[Turn, ...], filters: Filters | None) -> dict[str, float]:
        self.parts.ms.clear()
        wall, used = clocked(lambda: self._reply(turns, filters))
        parts = {f"part: {name}": ms for name, ms in self.parts.ms.items() if name not in OUTSIDE}
        outside = sum(self.parts.ms[name] for name in OUTSIDE)
        parts["part: other"] = used - outside - sum(parts.values())
        engine = self.recommender.engine
        query = engine.query(engine.link(Conversation(turns)))
        codes = quantise(query[None, : self._codes.shape[1]]).codes[0]
        scan, scan_used = clocked(lambda: engine.index._scan(self._codes, codes))  # type: ignore[misc]
        search, search_used = clocked(lambda: engine.index.search(query[None], n=CANDIDATES))
        return {
            "turn": wall - outside, "turn cpu": used - outside, "scan": scan, "scan cpu": scan_used,
            "search": search, "search cpu": search_used, **parts,
        }  # fmt: skip


def summary(rows: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Percentiles in milliseconds, and ratios of medians."""

    def median(name: str) -> float:
        return statistics.median(row.get(name, 0.0) for row in rows)

    def percentile(name: str, q: float) -> float:
        return float(np.percentile([row[name] for row in rows], q))

    clocks = ("turn", "turn cpu", "scan", "scan cpu", "search", "search cpu")
    parts = dict.fromkeys(name for row in rows for name in row if name.startswith("part: "))
    found: dict[str, Any] = {"turns": len(rows)}
    found |= {f"{name} p50 ms": round(median(name), 3) for name in clocks}
    found |= {f"{name} p99 ms": round(percentile(name, 99), 3) for name in ("turn", "turn cpu", "search cpu")}
    found["turn over scan"] = round(median("turn") / median("scan"), 3)
    found["turn over search"] = round(median("turn") / median("search"), 3)
    found["turn over scan, cpu"] = round(median("turn cpu") / median("scan cpu"), 3)
    found["turn over search, cpu"] = round(median("turn cpu") / median("search cpu"), 3)
    found["parts, cpu p50 ms"] = {name.removeprefix("part: "): round(median(name), 3) for name in parts}
    return found


def shape_of(text: str) -> tuple[int, int]:
    """``384x128`` -> text dimension and width."""
    dimension, _, width = text.partition("x")
    return int(dimension), int(width)


def opened(shape: str, catalogue: CatalogueStore, options: argparse.Namespace) -> Recommender:
    dimension, width = shape_of(shape)
    if shape == SHIPPED:
        name = read_manifest(default_bundle(), "retriever").embedder
        model = load_retriever(default_bundle(), embedder=name)
    else:
        name, model = "pool", Retriever(RetrieverConfig(text_dimension=dimension, width=width), seed=options.seed)
    embedder = PoolEmbedder(pool(dimension, options.vectors, options.seed), name)
    settings = Settings.model_validate({"recommend": {"candidates": CANDIDATES}})
    return Recommender(Engine(catalogue, embedder, model), settings, Instant())


def measured(shape: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    before, start = memory_mb(), time.perf_counter()
    recommender = opened(shape, CatalogueStore.open(folder / "catalogue.sqlite"), options)
    open_s = time.perf_counter() - start
    with recommender:
        engine = recommender.engine
        table = engine.index._snapshot.table
        memory = {
            "opened store MB": round(memory_mb() - before),
            "of which index MB": round(sum(getattr(table, name).nbytes for name in rarec.index.table.COLUMNS) / 1e6),
            "of which scanned codes MB": round(table.codes[: len(engine.index)].nbytes / 1e6),
            "carried state bytes": sum(h.nbytes for h in engine.model.start()),
        }
        titles = [item.title for item, _ in zip(catalogue_by_popularity(engine), range(TITLES), strict=False)]
        bench = Bench(recommender, titles, options.seed)
        BENCH[0] = bench.parts
        bench.warm(5, 5)  # numpy, torch and SQLite set themselves up in the first calls
        found: dict[str, Any] = {"shape": shape, "items": len(engine.index), "open s": round(open_s, 1), **memory}
        for messages in options.messages:
            found[f"warm, {messages} messages"] = bench.warm(messages, options.repeats)
            found[f"cold, {messages} messages"] = bench.cold(messages, options.cold)
        found["warm, 5 messages, filtered"] = bench.warm(5, options.repeats, FILTERS)
    return found


BENCH: list[Parts] = [Parts()]
"""The clock that counts now."""


def catalogue_by_popularity(engine: Engine) -> Iterator[Any]:
    items = engine.catalogue.get_many(engine.index.ids()[: 5 * TITLES])
    return iter(sorted(items, key=lambda item: -item.popularity))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_options(parser)
    parser.add_argument("--shapes", nargs="+", default=[SHIPPED, "1024x128", "384x384", "1024x1024"])
    parser.add_argument("--messages", type=int, nargs="+", default=[5, 50, 500])
    parser.add_argument("--repeats", type=int, default=60, help="warm turns of each kind")
    parser.add_argument("--cold", type=int, default=5, help="cold turns of each kind")
    options = parser.parse_args()
    torch.set_num_threads(1)
    follow_pipeline(lambda: BENCH[0])
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with CatalogueStore.open(folder / "catalogue.sqlite", create=True, layout=load_layout("film")) as catalogue:
            catalogue.add(catalogue_items(options.rows, options.corpus, options.seed))
        for shape in options.shapes:
            rows.append(measured(shape, folder, options))
            show(rows[-1])
    if options.json:
        document = {"meta": meta(options), "shapes": rows}
        options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


def meta(options: argparse.Namespace) -> dict[str, object]:
    return {
        "rows": options.rows, "real corpus": options.corpus is not None, "real vectors": options.vectors is not None,
        "n": N, "candidates": CANDIDATES, "repeats": options.repeats, "cold": options.cold, "seed": options.seed,
        "engine": load_engine()[0], "threads": 1, "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1), "numpy": np.__version__, "torch": torch.__version__,
        "date": time.strftime("%F"),
    }  # fmt: skip


def show(row: dict[str, Any]) -> None:
    head = {name: value for name, value in row.items() if not isinstance(value, dict)}
    print("  ".join(f"{name} {value}" for name, value in head.items()))
    print(f"{'':32}{'turn p50':>10}{'p99':>9}{'/search':>9}{'/scan':>9}{'cpu p50':>10}{'/search':>9}{'/scan':>9}")
    for name, found in row.items():
        if isinstance(found, dict):
            print(
                f"  {name:30}{found['turn p50 ms']:10.1f}{found['turn p99 ms']:9.1f}{found['turn over search']:9.2f}"
                f"{found['turn over scan']:9.2f}{found['turn cpu p50 ms']:10.1f}{found['turn over search, cpu']:9.2f}"
                f"{found['turn over scan, cpu']:9.2f}"
            )
            parts = sorted(found["parts, cpu p50 ms"].items(), key=lambda part: -part[1])
            print("      " + ", ".join(f"{name} {ms:.1f}" for name, ms in parts), flush=True)


if __name__ == "__main__":
    sys.exit(main())
