"""How much the words of items' own texts may weigh: on the films' validation conversations, and in stores of any kind.

    python recipes/retriever/weigh_written.py --data DATA --gains 3 6 --shares 0.02 0.1
    python recipes/retriever/weigh_written.py --store games-shop --store demo --weights 0 1 2

The bundle's other weights stay as they are, and nothing is trained. With --data the validation conversations of ReDial
and INSPIRED are ranked under each weight, with paired intervals by dialogue against the weight 0. With --store
simulated seekers ask for items of that store (docs/simulation.md), the same ones under each weight.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rarec.assembly import default_bundle
from rarec.embed.cache import CachedEmbedder
from rarec.embed.minilm import MiniLMEmbedder
from rarec.evaluate.bootstrap import paired_interval
from rarec.files import write_text
from rarec.pipeline import Recommender
from rarec.retriever.bundle import load_retriever, save_retriever
from rarec.retriever.data import conversation_data
from rarec.retriever.postings import ValuesConfig
from rarec.retriever.tasks import AS_THEY_ARE, ndcg_gains, ranks_by_weight
from rarec.simulation import SimulationSettings, WordMatch, World, draw_targets, simulate
from rarec.training.films import film_material


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the film data sets")
    parser.add_argument("--store", type=Path, action="append", default=[], help="a store; may be repeated")
    parser.add_argument("--bundle", type=Path, default=default_bundle())
    parser.add_argument("--weights", type=float, nargs="+", default=[0.5, 1, 2, 3, 4])
    parser.add_argument("--gains", type=float, nargs="+", default=[6])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.1])
    parser.add_argument("--most", type=int, nargs="+", default=[1000])
    parser.add_argument("--whole", action="store_true", help="rank all films of the corpus, not the data set's alone")
    parser.add_argument("--first", type=int, help="only so many conversations of each data set")
    parser.add_argument("--n-dialogues", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("runs/weigh_written"), help="folder of the embedding cache")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    configs = [
        ValuesConfig(gain=gain, share=share, most=most)
        for gain in options.gains
        for share in options.shares
        for most in options.most
    ]
    rows: list[dict[str, Any]] = []
    if options.data:
        rows += on_films(options, configs)
    for store in options.store:
        rows += in_store(store, options.bundle, configs, options.weights, options.n_dialogues)
    print(as_markdown(rows))
    if options.json:
        write_text(options.json, json.dumps({"date": time.strftime("%Y-%m-%d"), "rows": rows}, indent=1) + "\n")
    return 0


def on_films(options: argparse.Namespace, configs: Sequence[ValuesConfig]) -> list[dict[str, Any]]:
    """One row a data set, config and weight."""
    out, weights = options.out, options.weights
    out.mkdir(parents=True, exist_ok=True)
    embedder = CachedEmbedder(MiniLMEmbedder(), out / "embeddings.sqlite", keep_queries=True)
    material = film_material(options.data, embedder, tell, visits={}, hold_back=0.0)
    assert material.talks is not None
    model = load_retriever(options.bundle, embedder=embedder.name)
    rows: list[dict[str, Any]] = []
    for name, talks in material.talks.valid.items():
        tokenised = conversation_data(talks[: options.first], material.table, embedder)
        catalogue = np.arange(len(material.items)) if options.whole else material.catalogues[name]
        dialogues = [number for number, s in enumerate(tokenised.sequences) for _ in s.targets]
        for config in configs:
            added = replace(model.associations, written=config.model_copy(update={"weight": 1.0}))
            factors = [AS_THEY_ARE._replace(written=weight) for weight in (0.0, *weights)]
            ranks = ranks_by_weight(model, material.table, tokenised, catalogue, added, factors)
            without = ndcg_gains(ranks[0])
            for weight, own in zip(weights, ranks[1:], strict=True):
                low, high = paired_interval(ndcg_gains(own), without, dialogues, generator=np.random.default_rng(0))
                row: dict[str, Any] = {"on": name, "items": len(catalogue), **config.model_dump()}
                row |= {"weight": weight, "n": len(own)}
                row |= {f"R@{k}": round(float((own <= k).mean()), 4) for k in (1, 10, 50)}
                row |= {"N@10": round(float(ndcg_gains(own).mean()), 4)}
                row |= {"change of N@10": round(float((ndcg_gains(own) - without).mean()), 4)}
                rows.append(row | {"interval": [round(low, 4), round(high, 4)]})
                print(f"\n{row} {low:.4f} {high:.4f}", file=sys.stderr)
    embedder.close()
    return rows


def in_store(
    store: Path, bundle: Path, configs: Sequence[ValuesConfig], weights: Sequence[float], dialogues: int
) -> list[dict[str, Any]]:
    """One row a config and weight, and one of plain word matching: share of targets shown by turn 1 and 5."""
    rows: list[dict[str, Any]] = []
    with Recommender.open(store) as recommender, tempfile.TemporaryDirectory() as folder:
        world = World(recommender.engine.catalogue)
        targets = draw_targets(world, dialogues, by="uniform", seed=0)
        model = load_retriever(bundle, embedder=recommender.engine.embedder.name)
        known = model.associations
        cases: list[ValuesConfig | None] = [None]
        cases += [config.model_copy(update={"weight": weight}) for config in configs for weight in weights]
        for number, config in enumerate(cases):
            system: Recommender | WordMatch = WordMatch(world)
            if config is not None:
                changed = copied(bundle, Path(folder) / str(number))
                model.associations = replace(known, written=config if config.weight else None)
                save_retriever(changed, model, embedder=recommender.engine.embedder.name, training={})
                system = recommender.with_bundle(changed)
            result = simulate(system, targets, world=world, settings=SimulationSettings())
            shares = result.system("recommender").success
            row: dict[str, Any] = {"on": store.name, "system": "word match" if config is None else "recommender"}
            row |= {} if config is None else config.model_dump()
            row |= {"n": result.dialogues}
            for turn in (1, 5):
                own = shares[turn - 1]
                row[f"turn {turn}"] = f"{own.value:.3f} [{own.low:.3f}, {own.high:.3f}]"
            rows.append(row)
            print(row, file=sys.stderr)
    return rows


def copied(bundle: Path, folder: Path) -> Path:
    """The bundle's ranker in a folder of its own."""
    folder.mkdir()
    for path in bundle.glob("ranker.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def tell(stage: str, done: int, total: int, note: str) -> None:
    print(f"\r{stage} {done} of {total} {note}".ljust(100)[:100], end="", file=sys.stderr, flush=True)


def as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    lines: list[str] = []
    names: list[str] = []
    for row in rows:
        if list(row) != names:
            names = list(row)
            lines += ["", "| " + " | ".join(names) + " |", "| " + " | ".join(["--:"] * len(names)) + " |"]
        lines.append("| " + " | ".join(str(value) for value in row.values()) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
