"""A recipe of training: everything that decides a bundle, in one TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rarec.complaints import wrong_values
from rarec.conversations.movielens import DISLIKED_TO, LIKED_FROM
from rarec.files import read_recipe_toml
from rarec.ranker.train import RankerTrainingConfig
from rarec.retriever.associations import CountsConfig, WordsConfig
from rarec.retriever.kin import KinConfig
from rarec.retriever.model import RetrieverConfig
from rarec.retriever.postings import MOST_WEIGHT, ValuesConfig
from rarec.retriever.tasks import FinetuneConfig, PretrainConfig
from rarec.retriever.trainer import TrainerConfig

_LAYOUT_FILE = ".toml"
Weights = tuple[Annotated[float, Field(ge=0, le=MOST_WEIGHT)], ...]


class OwnData(BaseModel):
    """Data of any domain. Paths are relative to the recipe's folder.

    Attributes:
        catalogue: the items, a file as `rarec import` reads it or the folder of a store.
        conversations: folder with ``train.jsonl`` and ``valid.jsonl`` in our own format, see docs/data.md.
        interactions: what people used, see `rarec.conversations.read_interactions`, to pretrain on; None leaves
            pretraining out.
        layout: how items are written for the embedder: a packaged layout or the path of one that ends in ``.toml``.
            Empty takes that of the store, or ``generic`` for a file.
        liked_from, disliked_to: ratings of interactions from which on, and down to which, an item was liked, disliked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    catalogue: Path
    conversations: Path
    interactions: Path | None = None
    layout: str = ""
    liked_from: float = LIKED_FROM
    disliked_to: float = DISLIKED_TO

    @model_validator(mode="after")
    def _liked_is_more(self) -> OwnData:
        if self.disliked_to >= self.liked_from:
            raise ValueError("disliked_to must be less than liked_from, or one rating would be both")
        return self

    def placed(self, folder: Path) -> OwnData:
        """The same with absolute paths, those that are relative taken from a folder."""
        base = folder.resolve()
        paths = {
            name: None if (path := getattr(self, name)) is None else (base / path).resolve()
            for name in ("catalogue", "conversations", "interactions")
        }
        layout = str((base / self.layout).resolve()) if self.layout.endswith(_LAYOUT_FILE) else self.layout
        return self.model_copy(update={**paths, "layout": layout})


class TrainingRecipe(BaseModel):
    """Everything that decides a bundle, beside the data. See `recipes/film.toml` and `recipes/train_own.toml`.

    Attributes:
        seed: of the initial weights.
        data: what is learned from; None is the film data sets: MovieLens 1M, ReDial and INSPIRED in one folder.
        retriever: its shape.
        pretrain, finetune, ranker: settings of each stage and its training loop.
        finetune_average: decay of a moving average of the weights over the steps of fine-tuning, which then is what is
            validated and kept; 0 takes the weights as they are. See `rarec.retriever.averaging`.
        visits: film data set -> how often an epoch of fine-tuning visits each of its conversations; 1 if not named.
        user_weight: weight of what users mention first themselves, as further targets of fine-tuning.
        held_back: share of the training conversations that neither the retriever nor the ranker sees, so that
            alignment can learn from turns that they do not know by heart; see `rarec.conversations.held_back`.
        neighbours, words: how it is counted, in the training conversations, which items come up together and after
            which words they are recommended; see `rarec.retriever.associations`.
        shared, asked: what attributes add, see `rarec.retriever.attributes`.
        written: what words of titles and texts add, see `rarec.retriever.written`.
        kin: what items that arrive after training inherit, see `rarec.retriever.kin`. Under these six weights the best
            epoch of fine-tuning is chosen; 0 leaves a kind out.
        association_weights: what is tried then instead of each weight that is not 0, one kind after the other, twice;
            the best by NDCG@10 on the validation conversations are in the bundle. Data sets count by the square roots
            of their targets. Empty keeps the weights as they are. Those of `written` and `kin` are always kept: what
            they are for, items that nobody has talked about and catalogues of another kind, no validation
            conversation shows.
        folds: retrievers trained for the ranker's candidates, each on all conversations but its fold.
        fold_epochs: epochs of each of them.
        candidates: how many items the ranker learns to choose among.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seed: int = 0
    data: OwnData | None = None
    retriever: RetrieverConfig = RetrieverConfig(text_dimension=384)
    pretrain: PretrainConfig = PretrainConfig()
    pretrain_loop: TrainerConfig = TrainerConfig(epochs=12, learning_rate=2e-3, weight_decay=0.01)
    finetune: FinetuneConfig = FinetuneConfig()
    finetune_loop: TrainerConfig = TrainerConfig(epochs=10, learning_rate=1.5e-3, patience=3)
    finetune_average: float = Field(default=0.995, ge=0, lt=1)
    visits: dict[str, int] = Field(default_factory=lambda: {"inspired": 3})
    user_weight: float = Field(default=0.3, ge=0)
    held_back: float = Field(default=0.0, ge=0, lt=1)
    neighbours: CountsConfig = CountsConfig(weight=2.0)
    words: WordsConfig = WordsConfig()
    shared: ValuesConfig = ValuesConfig(weight=0.7)
    asked: ValuesConfig = ValuesConfig()
    written: ValuesConfig = ValuesConfig(weight=3.0, share=0.1, most=1000)
    kin: KinConfig = KinConfig()
    association_weights: Weights = (0, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8, 4)
    folds: int = Field(default=2, ge=2)
    fold_epochs: int = Field(default=6, gt=0)
    candidates: int = Field(default=50, gt=1)
    ranker: RankerTrainingConfig = RankerTrainingConfig()
    ranker_loop: TrainerConfig = TrainerConfig(epochs=20, learning_rate=1e-3, weight_decay=0.05, patience=4)

    @model_validator(mode="after")
    def _fits_the_data(self) -> TrainingRecipe:
        if self.data is not None and "visits" in self.model_fields_set:
            raise ValueError("visits weighs the film data sets and has no meaning with [data]; leave it out")
        return self


def load_recipe(path: Path | None, *, data: Path | None = None) -> TrainingRecipe:
    """Read a recipe; None gives the one of the shipped bundle.

    Args:
        data: folder that the paths of ``[data]`` are relative to; None takes the recipe's.
    Raises:
        SettingsError: the file is missing, not TOML, or has unknown or wrong values; all are listed.
    """
    if path is None:
        return TrainingRecipe()
    try:
        recipe = TrainingRecipe.model_validate(read_recipe_toml(path))
    except ValidationError as error:
        raise wrong_values(error, TrainingRecipe, source=str(path)) from error
    own = recipe.data
    return recipe if own is None else recipe.model_copy(update={"data": own.placed(data or path.parent)})
