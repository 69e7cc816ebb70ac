"""One new item on a live store of the size of a film corpus: from `rarec import` to an answer that holds it, and back.

    python benchmarks/new_item.py --corpus movies.parquet --vectors minilm_f16.npy --json out.json

A recommender is open on the store. In each round a file with one item is imported, the next turn asks for it in words
of its plot, it is deleted, and the same turn is asked again. The turn filters by its director: the rank
without a filter is told too, by the whole score and by vectors alone. New items and messages are
embedded by the packaged MiniLM, the others as `large_store` says; nothing is trained. *write* is the transaction in the
catalogue, *take over* what the next turn does with it before it answers (embed, project, index, link). The commands are
also run once each as processes of their own, whose start is most of their time.

Times are medians of wall and processor time at one thread; on a machine that does other things too, read processor time
and the ratio to the bare search of the index, which is timed in every round.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from large_store import Floats, PoolEmbedder, add_options, catalogue_items, memory_mb, pool
from rarec.assembly import Engine, create_store, default_bundle
from rarec.catalogue import CatalogueStore, import_items
from rarec.embed.minilm import MiniLMEmbedder
from rarec.embed.protocol import Kind, Progress
from rarec.pipeline import Recommender
from rarec.retriever.bundle import load_retriever, read_manifest
from rarec.settings import Settings
from rarec.types import Conversation, Filters, ItemId, Turn
from turn_latency import CANDIDATES, Parts, clocked

SHOWN = 50
DIRECTOR = "Nobody Yet"
FILTERS = Filters(any_of={"directors": (DIRECTOR,)})
SUBJECTS = ("beekeepers", "lighthouse painters", "tram drivers", "ice carvers", "organ builders", "kite makers")
PLACES = ("Reykjavik", "Trieste", "Valparaiso", "Nagasaki", "Tbilisi")


class OpenedFromPool:
    """The pool's vectors for what the store held when it was opened, the real model's for everything after that."""

    def __init__(self, pool: PoolEmbedder, real: MiniLMEmbedder) -> None:
        self._pool, self._real = pool, real
        self.live = False

    @property
    def name(self) -> str:
        return self._pool.name

    @property
    def dimension(self) -> int:
        return self._pool.dimension

    def embed(self, texts: Sequence[str], *, kind: Kind = "document", progress: Progress | None = None) -> Floats:
        embedder = self._real if self.live else self._pool
        return embedder.embed(texts, kind=kind, progress=progress)


class Round:
    """One item that comes and goes."""

    def __init__(self, recommender: Recommender, folder: Path, number: int) -> None:
        self._recommender, self._file = recommender, folder / "new.jsonl"
        subject, place = SUBJECTS[number % len(SUBJECTS)], PLACES[number % len(PLACES)]
        self.id = ItemId(f"new-{number}")
        row = {
            "id": self.id, "title": f"The {subject.title()} of {place}", "year": 2026, "popularity": 1000,
            "text": f"Three {subject} in {place} keep their workshop open through one long winter.",
            "attributes": {"genres": ["Drama"], "directors": [DIRECTOR]},
        }  # fmt: skip
        self._file.write_text(json.dumps(row) + "\n", encoding="utf-8")
        self._asked = Conversation((Turn("user", f"A drama about {subject} in {place}, in winter?"),))

    def run(self, parts: Parts) -> dict[str, float]:
        """Milliseconds of everything; fails if the item is not offered, or still is when it was deleted."""
        engine = self._recommender.engine
        found: dict[str, float] = {}
        assert self.rank() == 0
        found |= named("import: write", lambda: import_items(engine.catalogue, self._file))
        parts.ms.clear()
        found |= named("import: take over", engine.refresh)
        found |= {f"of it {part}, cpu": ms for part, ms in parts.ms.items()}
        found |= named("import: turn", self.rank)
        assert self.rank() > 0, "the next turn does not offer the item"
        linked = engine.link(self._asked)
        query, ids = engine.query(linked), engine.index.ids()
        products, bonuses = engine.index.vectors(ids) @ query, engine.bonuses(linked)
        scores = products + np.array([bonuses.get(id, 0.0) for id in ids], dtype=np.float32)
        own = ids.index(self.id)
        found["rank by vectors alone"] = 1.0 + int(np.count_nonzero(products > products[own]))
        found["rank without filter"] = 1.0 + int(np.count_nonzero(scores > scores[own]))
        found |= named("delete: write", lambda: engine.catalogue.delete([self.id]))
        found |= named("delete: take over", engine.refresh)
        found |= named("delete: turn", self.rank)
        assert self.rank() == 0
        return found | named("search", lambda: engine.index.search(query[None], n=CANDIDATES))

    def rank(self) -> int:
        """The item's place in an answer of `SHOWN`, 0 if it is not there."""
        answer = self._recommender.reply(self._asked, n=SHOWN, filters=FILTERS, words=False)
        shown = [ranked.item.id for ranked in answer.items]
        return 1 + shown.index(self.id) if self.id in shown else 0


def named(name: str, function: Callable[[], object]) -> dict[str, float]:
    """The two clocks of a call, by name."""
    wall, used = clocked(function)
    return {f"{name}, wall": wall, f"{name}, cpu": used}


def command(store: Path, *words: str | Path) -> dict[str, float]:
    """Run `rarec` as a process of its own; seconds of wall and processor time."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    program = "from rarec.cli import main; main()"
    subprocess.run(
        [sys.executable, "-c", program, *map(str, words), "--store", str(store)], check=True, capture_output=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall s": round(time.perf_counter() - start, 3), "cpu s": round(used, 3)}


def opened(store: Path, options: argparse.Namespace) -> Recommender:
    name = read_manifest(default_bundle(), "retriever").embedder
    model = load_retriever(default_bundle(), embedder=name)
    real = MiniLMEmbedder(threads=1)
    real.embed(["a first text, which loads the model"])
    rows = pool(model.config.text_dimension, options.vectors, options.seed)
    embedder = OpenedFromPool(PoolEmbedder(rows, name), real)
    engine = Engine(CatalogueStore.open(store / "catalogue.sqlite"), embedder, model)
    embedder.live = True
    return Recommender(engine, Settings.model_validate({"recommend": {"candidates": CANDIDATES}}), None)


def followed(engine: Engine) -> Parts:
    parts = Parts()
    parts.follow(engine.embedder, "embed", "embed")
    parts.follow(engine.model, "project", "project")
    parts.follow(engine.index, "add", "index")
    parts.follow(engine.linker, "add", "link")
    return parts


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_options(parser)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = create_store(folder / "store", layout="film").root
        with CatalogueStore.open(store / "catalogue.sqlite") as catalogue:
            catalogue.add(catalogue_items(options.rows, options.corpus, options.seed))
        with opened(store, options) as recommender:
            parts = followed(recommender.engine)
            Round(recommender, folder, 0).run(parts)  # the first calls set things up
            rows = [Round(recommender, folder, number).run(parts) for number in range(1, options.rounds + 1)]
            found = summary(rows)
            last = Round(recommender, folder, options.rounds + 1)
            found["rarec import"] = command(store, "import", folder / "new.jsonl")
            assert last.rank() > 0
            found["rarec delete"] = command(store, "delete", last.id, "--yes")
            assert last.rank() == 0
    show(found)
    if options.json:
        options.json.write_text(json.dumps({"meta": meta(options), **found}, indent=1) + "\n", encoding="utf-8")
    return 0


def summary(rows: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Medians, the slowest, and what they are in bare searches."""
    median = {name: statistics.median(row[name] for row in rows) for name in rows[0]}

    def total(row: dict[str, float], what: str, clock: str) -> float:
        return sum(row[f"{what}: {part}, {clock}"] for part in ("write", "take over", "turn"))

    ranks = {f"{name}, p50": median[name] for name in ("rank by vectors alone", "rank without filter")}
    found: dict[str, Any] = {"rounds": len(rows), **ranks}
    for what in ("import", "delete"):
        for clock in ("wall", "cpu"):
            totals = [total(row, what, clock) for row in rows]
            found[f"{what} to answer, {clock} p50 ms"] = round(statistics.median(totals), 2)
            found[f"{what} to answer, {clock} max ms"] = round(max(totals), 2)
        for part in ("take over", "turn"):
            found[f"{what}: {part} over search, cpu"] = round(median[f"{what}: {part}, cpu"] / median["search, cpu"], 2)
    return found | {"p50 ms": {name: round(ms, 3) for name, ms in median.items() if "rank" not in name}}


def meta(options: argparse.Namespace) -> dict[str, object]:
    return {
        "rows": options.rows, "real corpus": options.corpus is not None, "real vectors": options.vectors is not None,
        "shown": SHOWN, "threads": 1, "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1),
        "peak memory MB": round(memory_mb(peak=True)), "seed": options.seed, "torch": torch.__version__,
        "date": time.strftime("%F"),
    }  # fmt: skip


def show(found: dict[str, Any]) -> None:
    for name, value in found.items():
        if isinstance(value, dict):
            print(f"{name}: " + ", ".join(f"{part} {figure}" for part, figure in value.items()))
        else:
            print(f"{name:40}{value:>12}")


if __name__ == "__main__":
    sys.exit(main())
