"""MovieLens 1M, leave one out: our blocks and losses against LRURec as its paper describes it, and SASRec.

    python benchmarks/leave_one_out.py --data ../shared/data --folder runs/leave_one_out --out figures.json
    python benchmarks/leave_one_out.py --data ../shared/data --folder runs/loo --models "ours by id" --epochs 3

*reference*, *ours by id* and *ours* are those of `training_throughput.py`, in float32 or bfloat16, by id over the whole
catalogue or sampled; *sasrec* is that of the library RecTools (`pip install 'rectools[torch]' 'pandas<3'`). Of each
person's films in order the last is the test target, the one before the validation target, and all before are trained
on: windows of 200, drawn anew in each epoch, batches of 128, by rarec's own training loop with a peak rate of 1e-3 and
decay of .01. Every film competes but those that the person has rated before. The epoch is chosen by NDCG@10 on the
validation targets; training ends when it has not risen for some epochs. Differences to the reference are of the same
people, and told where its ranks are in the folder. Interrupt and run again: it goes on. SASRec is trained by the
library on the last 200 films before the targets, at a constant rate, and looked at after every fifth epoch; it has no
difference. It takes and gives back large tables in every step; MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184
before the command saves it a third of the time on Linux.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from rarec.catalogue import load_layout
from rarec.catalogue.sources.corpus import corpus_items
from rarec.embed.cache import CachedEmbedder
from rarec.embed.minilm import MiniLMEmbedder
from rarec.evaluate.bootstrap import interval
from rarec.files import atomic_write, write_text
from rarec.retriever.data import Interactions, ItemTable
from rarec.retriever.features import PopularityScale
from rarec.retriever.model import Retriever, RetrieverConfig, Tokens
from rarec.retriever.sequence import ITEM, START
from rarec.retriever.tasks import NextItem, PretrainConfig, ndcg_at_10, ndcg_gains
from rarec.retriever.trainer import Precision, Progress, TrainerConfig, train
from rarec.training.films import seed_embeddings
from rarec.types import ItemId
from training_throughput import BLOCKS, DROPOUT, HANDS, NEGATIVES, TEXT, WIDTH, OursById, Reference

BATCH, LENGTH = 128, 200
LOOK_EVERY = 5
"""Epochs of SASRec between two looks at valid."""
RANKS = ".ranks.safetensors"
"""Behind a model's name: the file of everybody's rank."""
MODELS = (
    "reference",
    "ours by id",
    "ours by id, bfloat16",
    "ours by id, sampled, bfloat16",
    "ours",
    "ours, bfloat16",
    "sasrec",
)
PUBLISHED = {"LRURec (published)": (0.19298, 0.32636), "SASRec (published there)": (None, 0.31810)}
"""NDCG@10 and Recall@10, Yue et al. 2024, "Linear recurrent units for sequential recommendation"."""


@dataclass(frozen=True, slots=True)
class Split:
    """People's films in order.

    Attributes:
        sequences: numbers of films, from 1 on, the last two of each held out.
        films: id of the film of each number; 0 is none.
    """

    sequences: list[NDArray[np.int64]]
    films: list[str]

    def contexts(self, held: int) -> tuple[list[NDArray[np.int64]], NDArray[np.int64]]:
        """What comes before the targets, and these: the last films (1), or those before (2)."""
        return [s[:-held] for s in self.sequences], np.array([s[-held] for s in self.sequences])


def read(path: Path) -> Split:
    """The 5-core of LRURec's own preparation: the rows that have a position."""
    import pyarrow.parquet as parquet

    columns = parquet.read_table(path, columns=["user_id", "movie_id", "item", "position"])
    user, movie, item = (columns[name].to_numpy(zero_copy_only=False) for name in ("user_id", "movie_id", "item"))
    position = columns["position"].to_numpy(zero_copy_only=False).astype(np.float64)
    kept = np.flatnonzero(~np.isnan(position))
    kept = kept[np.lexsort((position[kept], user[kept]))]
    _, first, numbers = np.unique(movie[kept], return_index=True, return_inverse=True)
    starts = np.flatnonzero(np.diff(user[kept], prepend=user[kept][0] - 1))
    return Split(np.split(numbers + 1, starts[1:]), ["", *(str(i) for i in item[kept][first])])


def padded(rows: Sequence[NDArray[np.int64]]) -> Tensor:
    """(batch, time), 0 behind the last."""
    result = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for line, row in zip(result, rows, strict=True):
        line[: len(row)] = torch.from_numpy(row)
    return result


class ById:
    """Trains and scores a model with a table of films."""

    def __init__(self, model: Reference | OursById, split: Split) -> None:
        self.model, self._rows = model, [s[:-2] for s in split.sequences if len(s) > 3]

    def steps(self) -> int:
        return -(-len(self._rows) // BATCH)

    def loss(self, epoch: int, step: int, generator: torch.Generator) -> Tensor:
        order = torch.randperm(len(self._rows), generator=torch.Generator().manual_seed(epoch))
        windows = []
        for person in order[step * BATCH : (step + 1) * BATCH].tolist():
            room = max(0, len(self._rows[person]) - LENGTH - 1)
            start = int(torch.randint(room + 1, (1,), generator=generator))
            windows.append(self._rows[person][start : start + LENGTH + 1])
        return self.model.loss(padded(windows))

    def scores(self, contexts: Sequence[NDArray[np.int64]]) -> Tensor:
        """Of all films, shape (contexts, films); the first column is of none."""
        rows = [c[-LENGTH:] for c in contexts]
        last = torch.tensor([len(row) - 1 for row in rows])
        state = self.model.states(padded(rows))[torch.arange(len(rows)), last]
        return state @ self.model.table.weight.T + self.model.bias


class ByText:
    """The same with rarec's retriever: films enter as vectors of their texts, and no parameter is one film's."""

    def __init__(self, data: Path, folder: Path, split: Split) -> None:
        self.model = Retriever(RetrieverConfig(text_dimension=TEXT, width=WIDTH, blocks=BLOCKS, dropout=DROPOUT))
        corpus = {item.id: item for item in corpus_items(data / "corpus" / "movies.parquet")}
        scale = PopularityScale([item.popularity for item in corpus.values()])
        items = [corpus[ItemId(film)] for film in split.films[1:]]
        embedder, layout = CachedEmbedder(MiniLMEmbedder(), folder / "embeddings.sqlite"), load_layout("film")
        seed_embeddings(embedder, data / "embeddings")
        self._table = ItemTable.of(items, embedder.embed([layout.render(i) for i in items]), scale=scale)
        embedder.close()
        people = [Interactions(s[:-2] - 1, np.zeros(len(s) - 2, dtype=np.int64)) for s in split.sequences]
        config = PretrainConfig(batch=BATCH, length=LENGTH + 1, negatives=NEGATIVES, scored_share=1.0)
        self._task = NextItem(self.model, self._table, people, config)
        self.steps, self.loss = self._task.steps, self._task.loss

    def scores(self, contexts: Sequence[NDArray[np.int64]]) -> Tensor:
        """As of `ById`."""
        vectors = self.model.items(self._table.features)
        rows = padded([c[-LENGTH:] for c in contexts]).T
        last = (rows > 0).sum(dim=0)
        kind = torch.full((len(rows) + 1, len(contexts)), ITEM)
        kind[0] = START
        tokens = Tokens(
            kind=kind,
            role=torch.zeros_like(kind),
            sentiment=torch.zeros_like(kind),
            item=torch.cat([torch.zeros(1, len(contexts), WIDTH), vectors[(rows - 1).clamp(min=0), :WIDTH]]),
            text=torch.zeros(1, 1, TEXT).expand(*kind.shape, -1),
        )
        queries = self.model.queries(tokens)[last, torch.arange(len(contexts))]
        return torch.cat([torch.full((len(contexts), 1), -torch.inf), queries @ vectors.T], dim=1)


def ranks(
    scores: Callable[[Sequence[NDArray[np.int64]]], Tensor],
    contexts: Sequence[NDArray[np.int64]],
    targets: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Of the targets, from 1 on; the worst on ties. Films of the context do not compete."""
    found = []
    for at in range(0, len(contexts), 256):
        part, wanted = contexts[at : at + 256], torch.from_numpy(targets[at : at + 256])
        with torch.no_grad():
            own = scores(part)
        for line, context in zip(own, part, strict=True):
            line[context] = -torch.inf
        own[:, 0] = -torch.inf
        target = own[torch.arange(len(own)), wanted, None]
        found.append((own >= target).sum(dim=1).numpy())
    return np.concatenate(found)


def trained(name: str, of: ById | ByText, split: Split, folder: Path, epochs: int, patience: int) -> dict[str, Any]:
    """Figures of the best epoch; goes on behind the checkpoint that is in the folder."""
    valid = split.contexts(2)

    def validate() -> float:
        of.model.eval()
        return ndcg_at_10(ranks(of.scores, *valid))

    def tell(progress: Progress) -> None:
        if progress.score is not None:
            told = f"loss {progress.loss:.4f}, valid N@10 {progress.score:.5f}"
            print(f"{name}, epoch {progress.epoch + 1}: {told}", flush=True)

    precision: Precision = "bfloat16" if name.endswith("bfloat16") else "float32"
    config = TrainerConfig(
        epochs=epochs, learning_rate=1e-3, weight_decay=0.01, clip=5.0, patience=patience, precision=precision
    )
    run = train(of.model, of, config, checkpoint=folder / f"{name}.safetensors", validate=validate, on_step=tell)
    found = ranks(of.scores, *split.contexts(1))
    with atomic_write(folder / f"{name}{RANKS}") as file:
        file.write(save({"ranks": torch.from_numpy(found)}, {"settings": json.dumps([epochs, patience])}))
    return _figures(found) | {
        "valid N@10": round(run["best_score"], 5),
        "epoch": run["best_epoch"] + 1,
        "epochs": run["epochs"],
    }


def sasrec(split: Split, folder: Path, epochs: int) -> dict[str, Any]:
    """The library's network, with the width, blocks, length, batch and rate of the others and a softmax over all films;
    every fifth epoch is looked at and kept in the folder, and gives the figures if it is the best of them on valid."""
    import pandas as pd
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    def data(held: int) -> Any:
        rows = [
            (person, int(film), at) for person, s in enumerate(split.sequences) for at, film in enumerate(s[:-held])
        ]
        frame = pd.DataFrame(rows, columns=["user_id", "item_id", "datetime"]).assign(weight=1.0)
        return Dataset.construct(frame.assign(datetime=pd.to_datetime(frame["datetime"], unit="s")))

    def found(held: int) -> NDArray[np.int64]:
        """Ranks of the targets; 11 for all behind the tenth."""
        people = np.arange(len(split.sequences))
        shown = model.recommend(people, data(held), k=10, filter_viewed=True)
        targets = np.array([s[-held] for s in split.sequences])
        hits = shown[shown["item_id"].to_numpy() == targets[shown["user_id"].to_numpy()]]
        ranks = np.full(len(people), 11)
        ranks[hits["user_id"].to_numpy()] = hits["rank"].to_numpy()
        return ranks

    model = SASRecModel(
        n_factors=WIDTH, n_blocks=BLOCKS, n_heads=1, session_max_len=LENGTH, dropout_rate=DROPOUT, loss="softmax",
        lr=1e-3, batch_size=BATCH, epochs=LOOK_EVERY, deterministic=True,
    )  # fmt: skip
    training, kept = data(2), folder / "sasrec.safetensors"
    model.fit_partial(training, min_epochs=0, max_epochs=0)  # only now there is a network
    network, optimizer = model.lightning_model.torch_model, model.lightning_model.optimizer
    done, best = restored(network, optimizer, kept) if kept.exists() else (0, {})
    if done > epochs:
        raise SystemExit(f"{kept} is of {done} epochs; ask for at least as many, or delete it")
    model.lightning_model.is_fitted = kept.exists()  # else the library would draw the weights anew
    for epoch in range(done + LOOK_EVERY, epochs + 1, LOOK_EVERY):
        torch.manual_seed(epoch)  # else a run that goes on would begin with the draws of the first
        model.fit_partial(training, min_epochs=LOOK_EVERY, max_epochs=LOOK_EVERY)
        ndcg = round(ndcg_at_10(found(2)), 5)
        print(f"sasrec, epoch {epoch}: valid N@10 {ndcg}", flush=True)
        if ndcg > best.get("valid N@10", 0.0):
            best = _figures(found(1)) | {"valid N@10": ndcg, "epoch": epoch}
        keep(network, optimizer, kept, epoch, best)
    return best | {"epochs": epochs}


def keep(network: nn.Module, optimizer: torch.optim.Optimizer, path: Path, epoch: int, best: Mapping[str, Any]) -> None:
    """Weights, the optimizer's moments, and how far it is."""
    tensors = {f"model.{name}": tensor for name, tensor in network.state_dict().items()}
    for number, own in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": torch.as_tensor(tensor) for name, tensor in own.items()}
    content = save(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, {"epoch": str(epoch), "best": json.dumps(best)}
    )
    with atomic_write(path) as file:
        file.write(content)


def restored(network: nn.Module, optimizer: torch.optim.Optimizer, path: Path) -> tuple[int, dict[str, Any]]:
    """Put back what was kept; the epoch and the best figures so far."""
    state: dict[int, dict[str, Tensor]] = {}
    with safe_open(path, "pt") as file:
        names = list(file.keys())
        weights = {name.removeprefix("model."): file.get_tensor(name) for name in names if name.startswith("model.")}
        for name in (name for name in names if name.startswith("optimizer.")):
            _, number, what = name.split(".")
            state.setdefault(int(number), {})[what] = file.get_tensor(name)
        told = file.metadata()
    network.load_state_dict(weights)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return int(told["epoch"]), json.loads(told["best"])


def _figures(found: NDArray[np.int64]) -> dict[str, Any]:
    return _mean("N@10", ndcg_gains(found)) | _mean("R@10", (found <= 10).astype(np.float64)) | {"n": len(found)}


def _mean(name: str, values: NDArray[np.float64]) -> dict[str, Any]:
    """Over people, with its interval."""
    low, high = interval(values, range(len(values)), generator=np.random.default_rng(0))
    return {name: round(float(values.mean()), 5), f"{name} interval": [round(low, 4), round(high, 4)]}


def over_reference(name: str, folder: Path) -> dict[str, Any]:
    """Difference in NDCG@10, people paired; nothing without the ranks of both, under the same settings."""
    gains, settings = [], set()
    for of in (name, "reference"):
        path = folder / f"{of}{RANKS}"
        if not path.exists():
            return {}
        with safe_open(path, "np") as file:
            gains.append(ndcg_gains(file.get_tensor("ranks")))
            settings.add(file.metadata()["settings"])
    if len(settings) > 1:
        return {}
    return _mean("N@10 over reference", gains[0] - gains[1])


def as_markdown(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """One line a model, and what is published."""
    lines = ["| model | N@10 | R@10 | epoch |", "| :-- | --: | --: | --: |"]
    for name, row in rows.items():
        figures = " | ".join(
            f"{row[key]:.4f} [{', '.join(f'{v:.4f}' for v in row[f'{key} interval'])}]" for key in ("N@10", "R@10")
        )
        lines.append(f"| {name} | {figures} | {row['epoch']} |")
    for name, (ndcg, recall) in PUBLISHED.items():
        lines.append(f"| {name} | {'' if ndcg is None else f'{ndcg:.4f}'} | {recall:.4f} | |")
    return "\n".join(lines)


def known(path: Path, settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Rows that an earlier run under the same settings left in the file."""
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    if found.get("settings") != settings:
        raise SystemExit(f"{path} is of other settings, {found.get('settings')!r}; choose another file")
    rows: dict[str, dict[str, Any]] = found["rows"]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with movielens/ml1m_ratings.parquet")
    parser.add_argument("--folder", type=Path, required=True, help="where what is trained is kept")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--epochs", type=int, default=200, help="at most")
    parser.add_argument("--patience", type=int, default=10, help="epochs without a better one")
    parser.add_argument("--sasrec-epochs", type=int, default=100, help="more of them go on where fewer ended")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="JSON file of the figures; those of other models in it stay")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.folder.mkdir(parents=True, exist_ok=True)
    split = read(options.data / "movielens" / "ml1m_ratings.parquet")
    films = len(split.films) - 1
    settings = {"epochs": options.epochs, "patience": options.patience}
    rows = known(options.out, settings) if options.out else {}
    print(f"{len(split.sequences):,} people, {films:,} films", flush=True)
    for name in options.models:
        torch.manual_seed(0)
        if name == "sasrec":
            rows[name] = sasrec(split, options.folder, options.sasrec_epochs)
        else:
            of: ById | ByText
            if name.split(", ")[0] == "ours":
                of = ByText(options.data, options.folder, split)
            else:
                hands = HANDS if "sampled" in name else 1
                of = ById(Reference(films) if name == "reference" else OursById(films, hands), split)
            rows[name] = trained(name, of, split, options.folder, options.epochs, options.patience)
        if name != "reference":
            rows[name] |= over_reference(name, options.folder)
        rows[name]["date"] = time.strftime("%Y-%m-%d")
        if options.out:
            in_order = {model: rows[model] for model in MODELS if model in rows}
            write_text(options.out, json.dumps({"settings": settings, "rows": in_order}, indent=1) + "\n")
    print(as_markdown(rows))


if __name__ == "__main__":
    main()
