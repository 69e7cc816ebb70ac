"""Leave each ingredient of the retriever out, and see what it was worth on the validation conversations.

    python recipes/retriever/ablation.py recipes/retriever/ablation.toml --data DATA

Each variant is the base recipe with some keys changed, trained without the ranker. Finished variants are kept under
--out, so the same command goes on after an interruption; pretraining is done once for all that share it. The table is
of NDCG@10 and recall on valid, with paired intervals by dialogue against the whole recipe. One seed: the interval is
over dialogues, not over trainings.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rarec.embed.cache import CachedEmbedder
from rarec.embed.minilm import MiniLMEmbedder
from rarec.evaluate.bootstrap import paired_interval
from rarec.files import write_text
from rarec.retriever.bundle import load_retriever
from rarec.retriever.data import conversation_data
from rarec.retriever.tasks import ndcg_gains, validation_ranks
from rarec.training import TrainingRecipe, load_recipe, train_bundle
from rarec.training.films import film_material

WHOLE = "whole recipe"
CACHE = "embeddings.sqlite"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="base recipe and variants")
    parser.add_argument("--data", type=Path, required=True, help="folder of the film data sets")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"), help="folder of what is trained")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    study = tomllib.loads(options.study.read_text(encoding="utf-8"))
    base = load_recipe(options.study.parent / study["base"])
    variants = {WHOLE: base} | {v["name"]: changed(base, v["changes"]) for v in study["variants"]}
    for name, recipe in variants.items():
        folder = options.out / name.replace(" ", "-").replace(",", "")
        if not (folder / "ranks.json").exists():
            trained(recipe, folder, options.out, options.data, name)
    found = {
        name: json.loads((options.out / name.replace(" ", "-").replace(",", "") / "ranks.json").read_text())
        for name in variants
    }
    figures = table(found)
    print(as_markdown(figures))
    if options.json:
        write_text(options.json, json.dumps({"date": time.strftime("%Y-%m-%d"), "rows": figures}, indent=1) + "\n")
    return 0


def changed(base: TrainingRecipe, changes: Mapping[str, Any]) -> TrainingRecipe:
    """The recipe with some keys changed, table by table."""
    values = base.model_dump()
    for key, value in changes.items():
        values[key] = {**values[key], **value} if isinstance(value, dict) else value
    return TrainingRecipe.model_validate(values)


def trained(recipe: TrainingRecipe, folder: Path, out: Path, data: Path, name: str) -> None:
    """Train one variant, and write the rank of each validation target."""
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    shared = out / f"pretrain-{recipe.pretrain_loop.epochs}-epochs"
    for file in shared.glob("pretrain.*"):
        shutil.copyfile(file, work / file.name)
    if not (work / CACHE).exists():
        (work / CACHE).symlink_to((out / CACHE).resolve())

    def tell(stage: str, done: int, total: int, note: str) -> None:
        print(f"\r{name}: {stage} {done} of {total} {note}".ljust(100)[:100], end="", file=sys.stderr, flush=True)

    train_bundle(recipe, out=folder / "bundle", work=work, data=data, on_progress=tell, until="finetune")
    if not shared.exists():
        shared.mkdir()
        for file in work.glob("pretrain.*"):
            shutil.copyfile(file, shared / file.name)
    embedder = CachedEmbedder(MiniLMEmbedder(), work / CACHE, keep_queries=True)
    material = film_material(data, embedder, tell, visits=recipe.visits, hold_back=0.0)
    assert material.talks is not None
    model = load_retriever(folder / "bundle", embedder=embedder.name)
    ranks: dict[str, Any] = {}
    for data_set, talks in material.talks.valid.items():
        tokenised = conversation_data(talks, material.table, embedder)
        found = validation_ranks(model, material.table, tokenised, material.catalogues[data_set])
        dialogues = [number for number, s in enumerate(tokenised.sequences) for _ in s.targets]
        ranks[data_set] = {"ranks": found.tolist(), "dialogues": dialogues}
    write_text(folder / "ranks.json", json.dumps(ranks))
    shutil.rmtree(work)
    print(file=sys.stderr)


def table(found: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a variant and data set."""
    rows = []
    for data_set in found[WHOLE]:
        whole = ndcg_gains(np.asarray(found[WHOLE][data_set]["ranks"]))
        for name, sets in found.items():
            ranks = np.array(sets[data_set]["ranks"])
            own = ndcg_gains(ranks)
            row: dict[str, Any] = {"data set": data_set, "variant": name, "n": len(ranks)}
            row |= {f"R@{k}": round(float((ranks <= k).mean()), 4) for k in (1, 10, 50)}
            row["NDCG@10"] = round(float(own.mean()), 4)
            if name != WHOLE:
                dialogues = sets[data_set]["dialogues"]
                low, high = paired_interval(own, whole, dialogues, generator=np.random.default_rng(0))
                row["change"] = round(float(own.mean() - whole.mean()), 4)
                row["interval"] = [round(low, 4), round(high, 4)]
            rows.append(row)
    return rows


def as_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "| data set | variant | R@1 | R@10 | R@50 | NDCG@10 | against the whole recipe |",
        "| :-- | :-- | --: | --: | --: | --: | --: |",
    ]
    for row in rows:
        change = ""
        if "change" in row:
            low, high = row["interval"]
            change = f"{row['change']:+.4f} [{low:+.4f}, {high:+.4f}]"
        figures = " | ".join(f"{row[name]:.4f}".lstrip("0") for name in ("R@1", "R@10", "R@50", "NDCG@10"))
        lines.append(f"| {row['data set']} | {row['variant']} | {figures} | {change} |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
