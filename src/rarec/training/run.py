"""From data to a bundle: pretrain, fine-tune, and train the local ranker. The wiring, and nothing else."""

from __future__ import annotations

from pathlib import Path

from rarec.embed.cache import CachedEmbedder
from rarec.embed.minilm import MiniLMEmbedder
from rarec.errors import InputError
from rarec.files import make_folder, not_left_empty, write_text
from rarec.progress import OnProgress
from rarec.ranker.model import RankerConfig
from rarec.retriever.bundle import CARD, save_model, save_retriever
from rarec.retriever.model import Retriever
from rarec.retriever.tasks import NextItem
from rarec.training.card import card
from rarec.training.figures import Figures
from rarec.training.films import film_material
from rarec.training.finetuning import Finetuning
from rarec.training.material import Material
from rarec.training.own import own_material
from rarec.training.ranking import Ranking
from rarec.training.recipe import TrainingRecipe
from rarec.training.stages import Stages

UNTIL = ("pretrain", "finetune", "ranker")


def train_bundle(
    recipe: TrainingRecipe,
    *,
    out: Path,
    work: Path,
    data: Path | None = None,
    on_progress: OnProgress | None = None,
    until: str = "ranker",
) -> Figures:
    """Train a retriever and a ranker on the data of the recipe, and write a bundle.

    Every stage keeps a checkpoint in `work`; run again after an interrupt, and it goes on where it was.

    Args:
        out: folder of the bundle.
        work: folder of checkpoints and of the embedding cache.
        data: folder of the film data sets, with corpus/, mapping/, movielens/, redial/ and inspired/; a recipe with
            data of its own needs none.
        until: last stage to run: ``pretrain``, ``finetune`` or ``ranker``.
    Returns:
        figures of each stage on the validation conversations.
    Raises:
        InputError: a data file is missing or wrong or has too little in it, `until` is not a stage, or the recipe is
            for another embedder.
        BundleError: a checkpoint belongs to another recipe or other data.
        StoreError: `out` or `work` cannot be made.
    """
    if until not in UNTIL:
        raise InputError(f"no stage {until!r}; use one of {', '.join(UNTIL)}")
    with not_left_empty(out):
        make_folder(out)  # a bundle that cannot be written is told before the work
        make_folder(work)
        embedder = CachedEmbedder(MiniLMEmbedder(), work / "embeddings.sqlite", keep_queries=True)
        if recipe.retriever.text_dimension != embedder.dimension:
            raise InputError(
                f"the recipe has retriever.text_dimension = {recipe.retriever.text_dimension!r}, but the vectors of "
                f"{embedder.name!r} have {embedder.dimension} numbers; set that"
            )
        tell = on_progress or (lambda *_: None)
        material = _gather(recipe, data, embedder, tell, until)
        return _train(recipe, material, Stages(recipe, work, material.content, tell), out, embedder, tell, until)


def _gather(
    recipe: TrainingRecipe, data: Path | None, embedder: CachedEmbedder, tell: OnProgress, until: str
) -> Material:
    if recipe.data is not None:
        if until == "pretrain" and recipe.data.interactions is None:
            raise InputError("the recipe names no interactions to pretrain on; add data.interactions, or go further")
        material = own_material(recipe.data, embedder, tell, hold_back=recipe.held_back)
    elif data is None:
        raise InputError("the recipe is for the film data sets; give their folder, or data of your own in [data]")
    else:
        material = film_material(
            data, embedder, tell, visits=recipe.visits, hold_back=recipe.held_back, talks=until != "pretrain"
        )
    if until == "ranker" and material.talks is not None:
        _check_enough(len(material.talks.training), recipe.folds)
    return material


def _check_enough(conversations: int, folds: int) -> None:
    """The first ten of each hundred in a fold decide when to stop; the ranker learns from the others."""
    if conversations < (least := 11 * folds):
        raise InputError(
            f"{conversations} training conversations are too few for the ranker, which needs {least} for its "
            f"{folds} folds; add some, or train the retriever alone (--stage finetune)"
        )


def _train(
    recipe: TrainingRecipe,
    material: Material,
    stages: Stages,
    out: Path,
    embedder: CachedEmbedder,
    tell: OnProgress,
    until: str,
) -> Figures:
    model = Retriever(recipe.retriever, seed=recipe.seed)
    if recipe.data is None or recipe.data.interactions is not None:
        few = min(recipe.pretrain.negatives, len(material.table))
        settings = recipe.pretrain.model_copy(update={"negatives": few})
        task = NextItem(model, material.table, material.people, settings, seed=recipe.seed)
        stages.run("pretrain", model, task, recipe.pretrain_loop)
    pretrained = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if until == "pretrain" or material.talks is None:
        return {}
    finetuning = Finetuning(recipe, material, material.talks, embedder, tell)
    figures = finetuning.run(model, stages)
    # Where the data lie is no business of whoever gets the bundle.
    nowhere = {"data"} if recipe.data is None else {"data", "visits"}
    training = {"recipe": recipe.model_dump(mode="json", exclude=nowhere), "figures": figures}
    if material.about:
        training["data"] = dict(material.about)
    save_retriever(out, model, embedder=embedder.name, training=training)
    if until == "ranker":
        ranking = Ranking(recipe, material, material.talks, embedder, tell)
        ranker, more = ranking.run(model, pretrained, finetuning, stages)
        figures = {name: {**own, **more[name]} for name, own in figures.items()}
        config = RankerConfig(text_dimension=embedder.dimension)
        save_model(out, ranker, kind="ranker", config=config, embedder=embedder.name, training=more)
    write_text(out / CARD, card(recipe, figures, embedder.name, material.story))
    return figures
