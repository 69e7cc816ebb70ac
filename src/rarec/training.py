"""From data files to a bundle: pretrain, fine-tune, and train the local ranker. The wiring, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rarec.catalogue import load_layout
from rarec.catalogue.sources.corpus import corpus_items
from rarec.complaints import wrong_values
from rarec.conversations import DIALOGUE_SETS, as_served, data_set_catalogue, held_back, read_ml1m, read_split
from rarec.conversations import Interactions as Person
from rarec.embed.cache import CachedEmbedder
from rarec.embed.minilm import MiniLMEmbedder
from rarec.embed.protocol import Embedder
from rarec.errors import BundleError, InputError, StoreError
from rarec.evaluate.bootstrap import paired_interval
from rarec.files import read_recipe_toml, write_text
from rarec.ranker.model import Ranker, RankerConfig
from rarec.ranker.tasks import RankingTasks, recommending_turns
from rarec.ranker.train import ChooseTarget, Example, RankerTrainingConfig, gains_at_10, order_of
from rarec.retriever.bundle import CARD, save_model, save_retriever
from rarec.retriever.data import ConversationData, Interactions, ItemTable, conversation_data
from rarec.retriever.features import PopularityScale
from rarec.retriever.model import EXTRA_FEATURES, Retriever, RetrieverConfig
from rarec.retriever.sequence import SENTIMENT_CODE
from rarec.retriever.tasks import (
    FinetuneConfig,
    NextItem,
    NextMention,
    PretrainConfig,
    ndcg_at_10,
    validation_ranks,
)
from rarec.retriever.trainer import Progress, Task, TrainerConfig, train
from rarec.types import Conversation, Item

OnProgress = Callable[[str, int, int, str], None]
"""Called with (stage, done, total, what to show beside the bar)."""


class TrainingRecipe(BaseModel):
    """Everything that decides a bundle, beside the data. See `recipes/film.toml`.

    Attributes:
        seed: of the initial weights.
        retriever: its shape.
        pretrain, finetune, ranker: settings of each stage and its training loop.
        visits: data set -> how often an epoch of fine-tuning visits each of its conversations; 1 if not named.
        user_weight: weight of what users mention first themselves, as further targets of fine-tuning.
        held_back: share of the training conversations that neither the retriever nor the ranker sees, so that
            alignment can learn from turns that they do not know by heart; see `rarec.conversations.held_back`.
        folds: retrievers trained for the ranker's candidates, each on all conversations but its fold.
        fold_epochs: epochs of each of them.
        candidates: how many items the ranker learns to choose among.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    retriever: RetrieverConfig = RetrieverConfig(text_dimension=384)
    pretrain: PretrainConfig = PretrainConfig()
    pretrain_loop: TrainerConfig = TrainerConfig(epochs=12, learning_rate=2e-3, weight_decay=0.01)
    finetune: FinetuneConfig = FinetuneConfig()
    finetune_loop: TrainerConfig = TrainerConfig(epochs=10, learning_rate=1.5e-3, patience=3)
    visits: dict[str, int] = Field(default_factory=lambda: {"inspired": 3})
    user_weight: float = Field(default=0.3, ge=0)
    held_back: float = Field(default=0.0, ge=0, lt=1)
    folds: int = Field(default=2, ge=2)
    fold_epochs: int = Field(default=6, gt=0)
    candidates: int = Field(default=50, gt=1)
    ranker: RankerTrainingConfig = RankerTrainingConfig()
    ranker_loop: TrainerConfig = TrainerConfig(epochs=20, learning_rate=1e-3, weight_decay=0.05, patience=4)


_PRETRAIN = {"seed", "retriever", "pretrain", "pretrain_loop"}
_FINETUNE = _PRETRAIN | {"visits", "user_weight", "held_back", "finetune", "finetune_loop"}
_HANGS_ON = {
    "pretrain": _PRETRAIN,
    "finetune": _FINETUNE,
    "fold": _FINETUNE | {"folds", "fold_epochs"},
    "ranker": set(TrainingRecipe.model_fields),
}
"""First word of a stage -> the parts of the recipe that decide its weights."""


def load_recipe(path: Path | None) -> TrainingRecipe:
    """Read a recipe; None gives the one of the shipped bundle.

    Raises:
        SettingsError: the file is missing, not TOML, or has unknown or wrong values; all are listed.
    """
    if path is None:
        return TrainingRecipe()
    try:
        return TrainingRecipe.model_validate(read_recipe_toml(path))
    except ValidationError as error:
        raise wrong_values(error, TrainingRecipe, source=str(path)) from error


@dataclass(frozen=True, slots=True)
class Corpus:
    """Items, their features, and the rows of each data set's catalogue."""

    items: list[Item]
    table: ItemTable
    catalogues: dict[str, NDArray[np.int64]]

    def embeddings(self, items: Sequence[Item]) -> NDArray[np.float32]:
        """Embeddings of the items' texts, shape (n, d)."""
        rows = [self.table.rows[i.id] for i in items]
        found: NDArray[np.float32] = self.table.features[rows, :-EXTRA_FEATURES].numpy()
        return found


def train_bundle(
    recipe: TrainingRecipe,
    *,
    data: Path,
    out: Path,
    work: Path,
    on_progress: OnProgress | None = None,
    until: str = "ranker",
) -> dict[str, Any]:
    """Train a retriever and a ranker on ML-1M, ReDial and INSPIRED, and write a bundle.

    Every stage keeps a checkpoint in `work`; run again after an interrupt, and it goes on where it was.

    Args:
        data: folder with corpus/, mapping/, movielens/, redial/ and inspired/.
        out: folder of the bundle.
        work: folder of checkpoints and of the embedding cache.
        until: last stage to run: ``pretrain``, ``finetune`` or ``ranker``.
    Returns:
        figures of each stage on the validation conversations.
    Raises:
        InputError: a data file is missing or wrong, `until` is not a stage, or the recipe is for another embedder.
        BundleError: a checkpoint belongs to another recipe.
    """
    stages = ("pretrain", "finetune", "ranker")
    if until not in stages:
        raise InputError(f"no stage {until!r}; use one of {', '.join(stages)}")
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make the folder {str(work)!r}: {error.strerror}; choose another one") from error
    stage = _Stages(recipe, work, on_progress or (lambda *_: None))
    embedder = CachedEmbedder(MiniLMEmbedder(), work / "embeddings.sqlite", keep_queries=True)
    return _train(stage, data, out, embedder, until)


def _train(stage: _Stages, data: Path, out: Path, embedder: CachedEmbedder, until: str) -> dict[str, Any]:
    recipe = stage.recipe
    if recipe.retriever.text_dimension != embedder.dimension:
        raise InputError(
            f"the recipe has retriever.text_dimension = {recipe.retriever.text_dimension!r}, but the vectors of "
            f"{embedder.name!r} have {embedder.dimension} numbers; set that"
        )
    corpus = load_corpus(data, embedder, stage.tell)
    # Read before the long stage, so that a missing file is not found out after it.
    trainer = None if until == "pretrain" else _Finetuning(stage, data, corpus, embedder)
    model = Retriever(recipe.retriever, seed=recipe.seed)
    people = [_rows(p, corpus.table) for p in read_ml1m(data / "movielens" / "ml1m_ratings.parquet")]
    figures: dict[str, Any] = {}
    pretraining = NextItem(model, corpus.table, people, recipe.pretrain, seed=recipe.seed)
    stage.run("pretrain", model, pretraining, recipe.pretrain_loop)
    pretrained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if trainer is None:
        return figures
    figures |= trainer.finetune(model)
    training = {"recipe": recipe.model_dump(mode="json"), "figures": figures}
    save_retriever(out, model, embedder=embedder.name, training=training)
    if until == "ranker":
        ranker, ranker_figures = trainer.ranker(model, pretrained)
        figures |= ranker_figures
        config = RankerConfig(text_dimension=embedder.dimension)
        save_model(out, ranker, kind="ranker", config=config, embedder=embedder.name, training=ranker_figures)
    write_text(out / CARD, card(recipe, figures, embedder.name))
    return figures


def load_corpus(data: Path, embedder: CachedEmbedder, tell: OnProgress) -> Corpus:
    """The corpus items that have a text or occur in a data set, embedded."""
    catalogues = {name: data_set_catalogue(data, name) for name in DIALOGUE_SETS}
    wanted = {i for ids in catalogues.values() for i in ids}
    wanted |= {i for person in read_ml1m(data / "movielens" / "ml1m_ratings.parquet") for i in person.items}
    everything = list(corpus_items(data / "corpus" / "movies.parquet"))
    scale = PopularityScale([i.popularity for i in everything])
    items = [i for i in everything if i.text or i.id in wanted]
    seed_embeddings(embedder, data / "embeddings")
    layout = load_layout("film")
    texts = [layout.render(i) for i in items]
    vectors = embedder.embed(texts, progress=lambda done, total: tell("embed items", done, total, ""))
    table = ItemTable.of(items, vectors, scale=scale)
    rows = {name: np.array([table.rows[i] for i in ids], dtype=np.int64) for name, ids in catalogues.items()}
    return Corpus(items, table, rows)


def seed_embeddings(embedder: CachedEmbedder, folder: Path) -> None:
    """Take over ready vectors (texts.parquet, minilm_f16.npy) if the folder has them."""
    if not (folder / "texts.parquet").exists():
        return
    import pyarrow.parquet as parquet

    texts = parquet.read_table(folder / "texts.parquet", columns=["text"])["text"].to_pylist()
    try:
        vectors = np.load(folder / "minilm_f16.npy", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{str(folder)!r} has texts.parquet but no readable minilm_f16.npy: {error}; add it, or remove the folder"
        ) from error
    embedder.import_vectors(texts, vectors)


class _Finetuning:
    """Training on conversations, with one set of tokenised data for both models."""

    def __init__(self, stage: _Stages, data: Path, corpus: Corpus, embedder: Embedder) -> None:
        self._stage, self._recipe, self._tell = stage, stage.recipe, stage.tell
        self._corpus, self._embedder = corpus, embedder
        self._training = [
            (c, self._recipe.visits.get(name, 1))
            for name in DIALOGUE_SETS
            for c in read_split(data, name, "train")
            if not held_back(c.id, self._recipe.held_back)
        ]
        # Labels that were given after a dialogue are not there when serving, so no figure may see them.
        self._valid = {name: [as_served(c) for c in read_split(data, name, "valid")] for name in DIALOGUE_SETS}
        self._candidates = np.unique(np.concatenate(list(corpus.catalogues.values())))

    def finetune(self, model: Retriever) -> dict[str, Any]:
        valid = {name: self._tokenise(c, user_weight=0.0) for name, c in self._valid.items()}

        def score() -> float:
            return float(np.mean([ndcg_at_10(self._ranks(model, data, name)) for name, data in valid.items()]))

        task = self._task(model, self._training)
        self._stage.run("finetune", model, task, self._recipe.finetune_loop, score)
        figures: dict[str, Any] = {}
        for name, data in valid.items():
            ranks = self._ranks(model, data, name)
            asked = sum(len(targets) for _, targets in recommending_turns(self._valid[name]))
            figures |= {f"{name} valid retriever {k}": v for k, v in _figures(ranks, asked).items()}
        return figures

    def ranker(self, model: Retriever, pretrained: dict[str, torch.Tensor]) -> tuple[Ranker, dict[str, Any]]:
        learn: list[Example] = []
        dev: list[Example] = []
        folds = self._recipe.folds
        loop = self._recipe.finetune_loop.model_copy(update={"epochs": self._recipe.fold_epochs, "patience": None})
        for fold in range(folds):
            helper = Retriever(self._recipe.retriever, seed=self._recipe.seed)
            helper.load_state_dict(pretrained)
            rest = [c for i, c in enumerate(self._training) if i % folds != fold]
            self._stage.run(f"fold {fold + 1} of {folds}", helper, self._task(helper, rest), loop)
            held = [c for i, (c, _) in enumerate(self._training) if i % folds == fold]
            # A tenth of the conversations decides when to stop; the validation split stays untouched for the claim.
            name = f"candidates {fold + 1} of {folds}"
            hidden = self._recipe.finetune.hide_sentiment
            mixed = [as_served(c) if i % 10 < 10 * hidden else c for i, c in enumerate(held)]
            learn += self._examples(helper, [c for i, c in enumerate(mixed) if i // 10 % 10], name)
            dev += self._examples(helper, [as_served(c) for i, c in enumerate(held) if i // 10 % 10 == 0], name)
        ranker = Ranker(RankerConfig(text_dimension=self._embedder.dimension), seed=self._recipe.seed)

        def score() -> float:
            given = [e.given for e in dev]
            return _mean(gains_at_10(order_of(ranker, given), [e.targets for e in dev]))

        task = ChooseTarget(ranker, learn, self._recipe.ranker, seed=self._recipe.seed)
        self._stage.run("ranker", ranker, task, self._recipe.ranker_loop, score)
        figures: dict[str, Any] = {}
        for name, conversations in self._valid.items():
            held_out = self._examples(model, conversations, f"candidates of {name} valid", catalogue=name)
            figures |= {f"{name} valid {k}": v for k, v in _compare(ranker, held_out).items()}
        return ranker, figures

    def _tokenise(self, conversations: Sequence[Conversation], *, user_weight: float) -> ConversationData:
        return conversation_data(
            conversations,
            self._corpus.table,
            self._embedder,
            user_weight=user_weight,
            progress=lambda done, total: self._tell("embed messages", done, total, ""),
        )

    def _task(self, model: Retriever, conversations: Sequence[tuple[Conversation, int]]) -> Task:
        visited = [c for c, visits in conversations for _ in range(visits)]
        data = self._tokenise(visited, user_weight=self._recipe.user_weight)
        return NextMention(
            model, self._corpus.table, data, self._candidates, self._recipe.finetune, seed=self._recipe.seed
        )

    def _ranks(self, model: Retriever, data: ConversationData, name: str) -> NDArray[np.int64]:
        return validation_ranks(model, self._corpus.table, data, self._corpus.catalogues[name])

    def _examples(
        self, model: Retriever, conversations: Sequence[Conversation], stage: str, *, catalogue: str | None = None
    ) -> list[Example]:
        rows = self._candidates if catalogue is None else self._corpus.catalogues[catalogue]
        tasks = RankingTasks(
            model,
            [self._corpus.items[r] for r in rows],
            model.project(self._corpus.table.features[torch.from_numpy(rows)]).numpy(),
            self._embedder,
            self._corpus.embeddings,
            n=self._recipe.candidates,
        )
        return tasks.examples(conversations, progress=lambda done, total: self._tell(stage, done, total, ""))


class _Scored(Protocol):
    def __call__(self) -> float: ...


class _Stages:
    """Runs the training loops, each with a checkpoint in the work folder and the recipe that it is of."""

    def __init__(self, recipe: TrainingRecipe, work: Path, tell: OnProgress) -> None:
        self.recipe, self.tell, self._work = recipe, tell, work

    def run(
        self, stage: str, model: torch.nn.Module, task: Task, config: TrainerConfig, score: _Scored | None = None
    ) -> None:
        best = [0.0]

        def on_step(at: Progress) -> None:
            if at.score is not None:
                best[0] = max(best[0], at.score)
            valid = f", best valid NDCG@10 {best[0]:.4f}" if best[0] else ""
            done = at.epoch * at.steps + at.step + 1
            self.tell(stage, done, at.epochs * at.steps, f"epoch {at.epoch + 1}, loss {at.loss:.3f}{valid}")

        checkpoint = self._work / f"{stage.replace(' ', '-')}.safetensors"
        self._check_recipe(stage, checkpoint)
        train(model, task, config, checkpoint=checkpoint, validate=score, on_step=on_step)

    def _check_recipe(self, stage: str, checkpoint: Path) -> None:
        """The trainer knows its own settings only; a stage hangs on those of the stages before it too."""
        parts = self.recipe.model_dump(mode="json", include=_HANGS_ON[stage.split()[0]])
        wanted, kept = json.dumps(parts, sort_keys=True, indent=1), checkpoint.with_suffix(".recipe.json")
        if not (checkpoint.exists() and kept.exists()):
            write_text(kept, wanted)
        elif kept.read_text(encoding="utf-8") != wanted:
            raise BundleError(
                f"the checkpoint {str(checkpoint)!r} belongs to another recipe; choose another work folder, or delete "
                "it and those of later stages"
            )


def _rows(person: Person, table: ItemTable) -> Interactions:
    known = [(table.rows[i], s) for i, s in zip(person.items, person.sentiments, strict=True) if i in table.rows]
    return Interactions(
        np.array([row for row, _ in known], dtype=np.int64),
        np.array([SENTIMENT_CODE[s] for _, s in known], dtype=np.int64),
    )


def _figures(ranks: NDArray[np.int64], asked: int) -> dict[str, float]:
    """Averages over all targets; those outside the item table have no rank and are misses."""
    ranks = np.concatenate([ranks, np.full(asked - len(ranks), np.iinfo(np.int64).max // 2)])
    recall = {f"R@{k}": round(_mean([ranks <= k]), 4) for k in (1, 10, 50)}
    return recall | {"N@10": round(ndcg_at_10(ranks), 4), "n": asked}


def _compare(ranker: Ranker, examples: Sequence[Example]) -> dict[str, Any]:
    """NDCG@10 of the retriever's order and the ranker's on the same candidates, one value a (turn, target)."""
    targets = [e.targets for e in examples]
    plain = gains_at_10([np.arange(len(e.given.dense)) for e in examples], targets)
    ranked = gains_at_10(order_of(ranker, [e.given for e in examples]), targets)
    # A target that the retriever did not offer is a miss of both.
    lost = np.zeros(sum(e.missed for e in examples))
    before, after = np.concatenate([*plain, lost]), np.concatenate([*ranked, lost])
    dialogues = [e.dialogue for e in examples for _ in e.targets]
    dialogues += [e.dialogue for e in examples for _ in range(e.missed)]
    figures: dict[str, Any] = {
        "NDCG@10 retriever's order": round(_mean([before]), 4),
        "NDCG@10 ranker": round(_mean([after]), 4),
        "targets": len(dialogues),
    }
    if dialogues:
        low, high = paired_interval(after, before, dialogues, generator=np.random.default_rng(0))
        figures["NDCG@10 gain, 95 % paired interval by dialogue"] = f"[{low:.4f}, {high:.4f}]"
    return figures


def _mean(parts: Sequence[NDArray[Any]]) -> float:
    """The mean over several arrays; nothing gives 0."""
    count = sum(map(len, parts))
    return float(sum(float(p.sum()) for p in parts) / count) if count else 0.0


def card(recipe: TrainingRecipe, figures: dict[str, Any], embedder: str) -> str:
    """The text that goes with the weights: what they are, what they learned from, what they are not for."""
    lines = "\n".join(f"| {name} | {value} |" for name, value in figures.items())
    held = f", without the {recipe.held_back:.0%} of them that were held back for alignment" if recipe.held_back else ""
    return f"""# Model card

A retriever (LRURec over embedded item texts, width {recipe.retriever.width}, {recipe.retriever.blocks} blocks) and a
local ranker, for the embedder `{embedder}`.

- **Trained on**: MovieLens 1M (sequences of ratings; pretraining), the training conversations of ReDial (the public
  part described in the documentation; CC BY 4.0) and INSPIRED (fine-tuning, and the ranker){held}. Negatives come from
  a corpus of film descriptions. The weights contain no item ids, titles or dialogue text.
- **Chosen on**: the mean of NDCG@10 on the validation conversations of ReDial and INSPIRED.
- **For**: recommending films in English conversations; research and evaluation. MovieLens is licensed for research;
  train your own bundle for commercial use.
- **Not for**: other domains or languages without training; decisions about people.

| figure (new targets, catalogue of the data set, seen items excluded) | value |
| --- | --- |
{lines}
"""
