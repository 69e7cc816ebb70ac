"""Withhold items from all training, and see how often they are found once they have arrived.

    python recipes/retriever/cold.py recipes/film.toml --data DATA

A tenth of the films of the dialogue sets, by a hash of their ids, is taken out of everything that training reads: the
sequences of pretraining, the mentions and titles of the training conversations, the candidates and negatives. Then they
are put into the catalogue, as new items are, and the validation turns whose target is one of them are ranked by the
retriever that never saw them and by one that saw all. The ratio of the two is what it costs an item to be new.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rarec.assembly import default_bundle
from rarec.embed.cache import CachedEmbedder
from rarec.embed.minilm import MiniLMEmbedder
from rarec.evaluate.bootstrap import interval
from rarec.files import write_text
from rarec.retriever.associations import Associations
from rarec.retriever.bundle import load_retriever, save_retriever
from rarec.retriever.data import Interactions, ItemTable, conversation_data
from rarec.retriever.model import Retriever
from rarec.retriever.sequence import message_text
from rarec.retriever.tasks import NextItem, validation_ranks
from rarec.training import TrainingRecipe, load_recipe
from rarec.training.films import film_material
from rarec.training.finetuning import Finetuning
from rarec.training.material import Material, Talks
from rarec.training.stages import Stages
from rarec.types import Conversation, ItemId, Turn

SHARE = 0.1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path, help="a training recipe for the film data sets")
    parser.add_argument("--data", type=Path, required=True, help="folder of the film data sets")
    parser.add_argument("--out", type=Path, default=Path("runs/cold"), help="folder of what is trained")
    parser.add_argument(
        "--whole", type=Path, help="bundle of the same recipe that withheld nothing; else the shipped one"
    )
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe, out = load_recipe(options.recipe), options.out
    out.mkdir(parents=True, exist_ok=True)
    embedder = CachedEmbedder(MiniLMEmbedder(), out / "embeddings.sqlite", keep_queries=True)
    material = film_material(options.data, embedder, tell, visits=recipe.visits, hold_back=recipe.held_back)
    cold = {material.items[row].id for row in material.candidates if withheld(material.items[row].id)}
    if not (out / "bundle" / "retriever.json").exists():
        trained(recipe, without(material, cold), out, embedder)
    models = {
        "withheld": load_retriever(out / "bundle", embedder=embedder.name),
        "seen": load_retriever(options.whole or default_bundle(), embedder=embedder.name),
    }
    figures = compared(models, material, cold, embedder)
    print(as_markdown(figures), file=sys.stderr)
    if options.json:
        write_text(options.json, json.dumps({"date": time.strftime("%Y-%m-%d"), "rows": figures}, indent=1) + "\n")
    return 0


def tell(stage: str, done: int, total: int, note: str) -> None:
    print(f"\r{stage} {done} of {total} {note}".ljust(100)[:100], end="", file=sys.stderr, flush=True)


def withheld(item: ItemId) -> bool:
    """The same tenth for everybody."""
    return int.from_bytes(hashlib.sha256(f"cold {item}".encode()).digest()[:4], "big") < SHARE * 2**32


def without(material: Material, cold: Collection[ItemId]) -> Material:
    """What training would have read before these items existed."""
    kept = [row for row, item in enumerate(material.items) if item.id not in cold]
    place = np.full(len(material.items), -1)
    place[kept] = np.arange(len(kept))
    items = [material.items[row] for row in kept]
    table = ItemTable({item.id: row for row, item in enumerate(items)}, material.table.features[kept], tuple(items))

    def rows(old: NDArray[np.int64]) -> NDArray[np.int64]:
        new: NDArray[np.int64] = place[old]
        return new[new >= 0]

    assert material.talks is not None
    talks = material.talks
    return replace(
        material,
        items=items,
        table=table,
        catalogues={name: rows(old) for name, old in material.catalogues.items()},
        candidates=rows(material.candidates),
        people=[
            Interactions(place[p.rows][place[p.rows] >= 0], p.sentiment[place[p.rows] >= 0]) for p in material.people
        ],
        talks=Talks(
            [(unsaid(c, cold), visits) for c, visits in talks.training],
            {name: [unsaid(c, cold) for c in own] for name, own in talks.valid.items()},
            {name: Counter({i: n for i, n in own.items() if i not in cold}) for name, own in talks.mentions.items()},
        ),
    )


def unsaid(conversation: Conversation, cold: Collection[ItemId]) -> Conversation:
    """Without mentions of some items, and without their titles."""
    turns = tuple(
        Turn(t.role, message_text(t), tuple(replace(m, span=None) for m in t.mentions if m.item not in cold))
        if t.mentions
        else t
        for t in conversation.turns
    )
    return replace(conversation, turns=turns)


def trained(recipe: TrainingRecipe, material: Material, out: Path, embedder: CachedEmbedder) -> None:
    """A retriever by the recipe's stages, without the ranker."""
    assert material.talks is not None
    stages = Stages(recipe, out, {}, tell)
    model = Retriever(recipe.retriever, seed=recipe.seed)
    task = NextItem(model, material.table, material.people, recipe.pretrain, seed=recipe.seed)
    stages.run("pretrain", model, task, recipe.pretrain_loop)
    figures = Finetuning(recipe, material, material.talks, embedder, tell).run(model, stages)
    save_retriever(out / "bundle", model, embedder=embedder.name, training={"figures": figures})
    print(file=sys.stderr)


def compared(
    models: dict[str, Retriever], material: Material, cold: Collection[ItemId], embedder: CachedEmbedder
) -> list[dict[str, Any]]:
    """Recall of cold targets and of all others, by data set and model, with and without associations."""
    assert material.talks is not None
    found = []
    for name, talks in material.talks.valid.items():
        data = conversation_data(talks, material.table, embedder)
        targets = [(line, t.row) for line, s in enumerate(data.sequences) for t in s.targets]
        known = np.isin([row for _, row in targets], material.catalogues[name])
        new = np.array([material.items[row].id in cold for _, row in targets])
        for which, model in models.items():
            whole = model.associations
            for parts, associations in (("all", whole), ("vectors alone", Associations())):
                model.associations = associations
                ranks = validation_ranks(model, material.table, data, material.catalogues[name])
                for group, chosen in (("withheld", known & new), ("others", known & ~new)):
                    dialogues = [line for (line, _), own in zip(targets, chosen, strict=True) if own]
                    found.append(
                        {"data set": name, "retriever": which, "parts": parts, "targets": group}
                        | recalls(ranks[chosen], dialogues)
                    )
            model.associations = whole
    return found


def recalls(ranks: NDArray[np.int64], dialogues: Sequence[int]) -> dict[str, Any]:
    row: dict[str, Any] = {"n": len(ranks)}
    for k in (10, 50):
        hits = (ranks <= k).astype(np.float64)
        low, high = interval(hits, dialogues, generator=np.random.default_rng(0))
        row[f"R@{k}"] = round(float(hits.mean()), 4)
        row[f"R@{k} interval"] = [round(low, 4), round(high, 4)]
    return row


def as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| data set | retriever | parts | targets | n | R@10 | R@50 |",
        "| :-- | :-- | :-- | :-- | --: | --: | --: |",
    ]
    for row in rows:
        figures = " | ".join(f"{row[f'R@{k}']:.3f} {row[f'R@{k} interval']}" for k in (10, 50))
        named = " | ".join(str(row[key]) for key in ("data set", "retriever", "parts", "targets", "n"))
        lines.append(f"| {named} | {figures} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
