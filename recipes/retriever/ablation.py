"""Leave each ingredient of the retriever out, and see what it was worth on the validation conversations.

    python recipes/retriever/ablation.py recipes/retriever/ablation.toml --data DATA
    python recipes/retriever/ablation.py recipes/retriever/sizes.toml --data DATA --plot sizes.svg   # other sizes of it
    python recipes/retriever/ablation.py recipes/retriever/fewer_conversations.toml --data DATA --plot fewer.svg

The whole recipe is trained without the ranker. A variant either leaves kinds of association out of that retriever, or
is the recipe with some keys changed, trained anew, under the weights of associations that the whole recipe found.
Finished variants are kept under --out, so the same command goes on after an interruption; pretraining is done once for
all that share it. The table is of NDCG@10 and recall on valid, with paired intervals by dialogue against the whole
recipe, and of the vectors alone. One seed: the interval is over dialogues, not over trainings.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import sys
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rarec.conversations import held_back
from rarec.embed.cache import CachedEmbedder
from rarec.embed.minilm import MiniLMEmbedder
from rarec.evaluate.bootstrap import paired_interval
from rarec.files import write_text
from rarec.retriever.associations import Associations, AssociationWeights
from rarec.retriever.bundle import load_retriever
from rarec.retriever.data import conversation_data
from rarec.retriever.model import Retriever
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
    parser.add_argument("--plot", type=Path, help="where to draw NDCG@10 against what differs in size, an SVG")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    study = tomllib.loads(options.study.read_text(encoding="utf-8"))
    base = load_recipe(options.study.parent / study["base"])
    work = Workplace(options.out, options.data, base)
    weights = work.trained(WHOLE, base).associations.weights
    found = {WHOLE: work.ranks(WHOLE, partial(work.trained, WHOLE, base))}
    conversations = {WHOLE: work.conversations(base.held_back)}
    for variant in study["variants"]:
        name, share = variant["name"], variant.get("changes", {}).get("held_back", base.held_back)
        found[name] = work.ranks(name, partial(retriever, variant, work, base, weights))
        conversations[name] = work.conversations(share)
    figures = table({name: {**own, "conversations": conversations[name]} for name, own in found.items()})
    print(as_markdown(figures))
    if options.json:
        write_text(options.json, json.dumps({"date": time.strftime("%Y-%m-%d"), "rows": figures}, indent=1) + "\n")
    if options.plot:
        plot(figures, options.plot)
    return 0


def retriever(
    variant: Mapping[str, Any], work: Workplace, base: TrainingRecipe, weights: AssociationWeights
) -> Retriever:
    """The whole recipe's with fewer associations, or one that is trained by a changed recipe."""
    if "without" in variant:
        model = work.trained(WHOLE, base)
        left = weights._replace(**dict.fromkeys(variant["without"], 0.0))
        model.associations = model.associations.with_weights(left)
        return model
    return work.trained(variant["name"], changed(under(base, weights), variant["changes"]))


def changed(base: TrainingRecipe, changes: Mapping[str, Any]) -> TrainingRecipe:
    """The recipe with some keys changed, table by table."""
    values = base.model_dump()
    for key, value in changes.items():
        values[key] = {**values[key], **value} if isinstance(value, dict) else value
    return TrainingRecipe.model_validate(values)


def under(base: TrainingRecipe, weights: AssociationWeights) -> TrainingRecipe:
    """The recipe with these weights of associations, and no search for better ones."""
    kinds = {kind: {"weight": weight} for kind, weight in weights._asdict().items()}
    return changed(base, {**kinds, "association_weights": ()})


class Workplace:
    """Trains variants, and keeps the ranks of their validation targets."""

    def __init__(self, out: Path, data: Path, base: TrainingRecipe) -> None:
        self._out, self._data = out, data
        self._embedder = CachedEmbedder(MiniLMEmbedder(), out / CACHE, keep_queries=True)
        material = film_material(data, self._embedder, told("data"), visits=base.visits, hold_back=0.0)
        assert material.talks is not None
        self._table, self._catalogues = material.table, material.catalogues
        self._training = [c.id for c, _ in material.talks.training]
        self._valid = {
            name: conversation_data(talks, self._table, self._embedder) for name, talks in material.talks.valid.items()
        }

    def conversations(self, share: float) -> int:
        """How many conversations are learned from when this share of them is held back."""
        return sum(not held_back(own, share) for own in self._training)

    def trained(self, name: str, recipe: TrainingRecipe) -> Retriever:
        """By this recipe, now or before.

        Raises:
            SystemExit: what was trained before is of another recipe.
        """
        known, own = self._folder(name) / "recipe.json", recipe.model_dump_json()
        if not known.exists():
            write_text(known, own)
        elif known.read_text(encoding="utf-8") != own:
            raise SystemExit(f"{known} is another recipe; delete {self._out} or choose another folder")
        if not (self._folder(name) / "bundle" / "retriever.json").exists():
            self._train(name, recipe)
        return load_retriever(self._folder(name) / "bundle", embedder=self._embedder.name)

    def ranks(self, name: str, model: Callable[[], Retriever]) -> Mapping[str, Any]:
        """Of all validation targets, with the model's associations and by its vectors alone."""
        ready = model()
        if not (file := self._folder(name) / "ranks.json").exists():
            found = {"whole": self._ranked(ready)}
            ready.associations = Associations()
            write_text(file, json.dumps(found | {"alone": self._ranked(ready)}))
        weights = sum(tensor.numel() for tensor in ready.parameters())
        result: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8")) | {"weights": weights}
        return result

    def _folder(self, name: str) -> Path:
        folder = self._out / re.sub("[^a-z0-9]+", "-", name.lower())
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _train(self, name: str, recipe: TrainingRecipe) -> None:
        work = self._folder(name) / "work"
        work.mkdir(exist_ok=True)
        before = recipe.model_dump_json(include={"seed", "retriever", "pretrain", "pretrain_loop"})
        shared = self._out / f"pretrain-{hashlib.sha256(before.encode()).hexdigest()[:8]}"
        for file in shared.glob("pretrain.*"):
            shutil.copyfile(file, work / file.name)
        if not (work / CACHE).exists():
            (work / CACHE).symlink_to((self._out / CACHE).resolve())
        bundle = self._folder(name) / "bundle"
        train_bundle(recipe, out=bundle, work=work, data=self._data, on_progress=told(name), until="finetune")
        shared.mkdir(exist_ok=True)
        for file in work.glob("pretrain.*"):
            shutil.copyfile(file, shared / file.name)
        shutil.rmtree(work)
        print(file=sys.stderr)

    def _ranked(self, model: Retriever) -> dict[str, Any]:
        ranks: dict[str, Any] = {}
        for data_set, talks in self._valid.items():
            found = validation_ranks(model, self._table, talks, self._catalogues[data_set])
            dialogues = [number for number, s in enumerate(talks.sequences) for _ in s.targets]
            ranks[data_set] = {"ranks": found.tolist(), "dialogues": dialogues}
        return ranks


def told(name: str) -> Callable[[str, int, int, str], None]:
    """One line that tells how far the variant is."""

    def tell(stage: str, done: int, total: int, note: str) -> None:
        print(f"\r{name}: {stage} {done} of {total} {note}".ljust(100)[:100], end="", file=sys.stderr, flush=True)

    return tell


def table(found: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a variant and data set."""
    rows = []
    for data_set in found[WHOLE]["whole"]:
        whole = ndcg_gains(np.asarray(found[WHOLE]["whole"][data_set]["ranks"]))
        for name, sets in found.items():
            ranks = np.array(sets["whole"][data_set]["ranks"])
            own = ndcg_gains(ranks)
            size = {key: sets[key] for key in ("weights", "conversations")}
            row: dict[str, Any] = {"data set": data_set, "variant": name, **size, "n": len(ranks)}
            row |= {f"R@{k}": round(float((ranks <= k).mean()), 4) for k in (1, 10, 50)}
            row["NDCG@10"] = round(float(own.mean()), 4)
            alone = ndcg_gains(np.asarray(sets["alone"][data_set]["ranks"]))
            row["NDCG@10, vectors alone"] = round(float(alone.mean()), 4)
            if name != WHOLE:
                dialogues = sets["whole"][data_set]["dialogues"]
                low, high = paired_interval(own, whole, dialogues, generator=np.random.default_rng(0))
                row["change"] = round(float(own.mean() - whole.mean()), 4)
                row["interval"] = [round(low, 4), round(high, 4)]
            rows.append(row)
    return rows


def as_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "| data set | variant | R@1 | R@10 | R@50 | NDCG@10 | against the whole recipe | vectors alone |",
        "| :-- | :-- | --: | --: | --: | --: | --: | --: |",
    ]
    for row in rows:
        change = ""
        if "change" in row:
            low, high = row["interval"]
            change = f"{row['change']:+.4f} [{low:+.4f}, {high:+.4f}]"
        figures = " | ".join(f"{row[name]:.4f}".lstrip("0") for name in ("R@1", "R@10", "R@50", "NDCG@10"))
        alone = f"{row['NDCG@10, vectors alone']:.4f}".lstrip("0")
        lines.append(f"| {row['data set']} | {row['variant']} | {figures} | {change} | {alone} |")
    return "\n".join(lines)


def plot(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """NDCG@10 against the number of weights, or of conversations where all have equally many weights.

    Bars are the intervals of the difference from the whole recipe.
    """
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot
    from matplotlib.ticker import NullLocator

    size = "weights" if len({row["weights"] for row in rows}) > 1 else "conversations"
    data_sets = list(dict.fromkeys(row["data set"] for row in rows))
    with mpl.rc_context({"svg.hashsalt": "sizes", "svg.fonttype": "path", "font.size": 9}):
        figure, axes = pyplot.subplots(1, len(data_sets), figsize=(9, 3.4), constrained_layout=True, squeeze=False)
        for axis, data_set in zip(axes[0], data_sets, strict=True):
            own = [row for row in rows if row["data set"] == data_set]
            largest = max(row[size] for row in own)
            base = next(row["NDCG@10"] for row in own if row["variant"] == WHOLE)
            for row in own:
                low, high = row.get("interval", (0.0, 0.0))
                axis.plot([row[size]] * 2, [base + low, base + high], color="0.75", linewidth=3, zorder=1)
                axis.plot(row[size], row["NDCG@10"], "o", color="C0" if row["variant"] != WHOLE else "C1", zorder=2)
                name, at = row["variant"], (row[size], row["NDCG@10"])
                side = {"xytext": (5, 4)} if at[0] < largest else {"xytext": (-5, 4), "ha": "right"}
                axis.annotate(name, at, textcoords="offset points", fontsize=8, **side)
            axis.set(
                xscale="log",
                xlabel=size if size == "weights" else "training conversations",
                ylabel="NDCG@10 on valid",
                title=data_set,
            )
            if size == "weights":
                axis.set_xticks([250_000, 500_000, 1_000_000, 2_000_000, 4_000_000])
                axis.xaxis.set_major_formatter(lambda value, _: f"{value / 1e6:g} million")
            else:
                axis.set_xticks(sorted({row[size] for row in own}))
                axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            axis.xaxis.set_minor_locator(NullLocator())
            axis.margins(x=0.25)
            axis.grid(visible=True, alpha=0.3)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    raise SystemExit(main())
