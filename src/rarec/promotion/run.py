"""Decides on a new bundle of a store: measures it and the live one on the same held-out turns, and switches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rarec.align.turns import TokenisedTurn
from rarec.alignment.material import Material, gather
from rarec.alignment.recipe import AlignRecipe, EndpointJudge, PeopleJudge, identity, parse_align_recipe
from rarec.embed.factory import embedder_from
from rarec.embed.protocol import Embedder
from rarec.errors import InputError, StoreError
from rarec.live import read_live
from rarec.llm.protocol import LLM
from rarec.progress import OnProgress, stage
from rarec.promotion.decisions import Decisions
from rarec.promotion.examine import Examination, turns_digest
from rarec.promotion.gate import LEAST_DIALOGUES, LEVEL, Verdict, check_enough, check_rule, decide
from rarec.promotion.held_out import held_out
from rarec.promotion.models import RETRIEVER, Bundle, check_successor, read_bundle
from rarec.promotion.plan import PromotionPlan, plan_of
from rarec.promotion.switch import go_live, install, only_one
from rarec.settings import Settings, StorePaths, read_settings

_RANKED = 10


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be decided.

    Attributes:
        new: folder of the new bundle.
        recipe: of alignment: its data, judge, sets and budget count; nothing is learned. Turns are those of its tuning
            split. One that learns from people is refused: they cannot be asked about other turns.
        alone: ask no judge; the retriever's own order counts, as in a store whose ``llm.kind`` is ``none``.
        margin, level, least: see `rarec.promotion.gate.decide`.
        dry_run: decide and write the decision down, but switch nothing.
    Raises:
        InputError: margin or level out of range, or a recipe that learns from people.
    """

    new: Path
    recipe: AlignRecipe
    alone: bool = False
    margin: float = 0.0
    level: float = LEVEL
    least: int = LEAST_DIALOGUES
    dry_run: bool = False

    def __post_init__(self) -> None:
        check_rule(margin=self.margin, level=self.level)  # before anything is asked
        if isinstance(self.recipe.judge, PeopleJudge):
            raise InputError(
                "people cannot be asked about turns that they have not seen; give a recipe with another judge, or the "
                "name of a data set with conversations"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Resources:
    """What a decision may use beside its question.

    Attributes:
        cache: file of embeddings; None keeps them in the store.
        embedder, judge: instead of those that the store and the recipe name.
        progress: see `rarec.progress.OnProgress`.
        planned: told what an endpoint will be asked, before it is.
    """

    cache: Path | None = None
    embedder: Embedder | None = None
    judge: LLM | None = None
    progress: OnProgress | None = None
    planned: Callable[[PromotionPlan], None] | None = None

    def tell(self, name: str, done: int, total: int, text: str) -> None:
        """Report progress, where somebody wants it."""
        if self.progress is not None:
            self.progress(name, done, total, text)


@dataclass(frozen=True, slots=True)
class Promotion:
    """What came of a question.

    Attributes:
        switched: the new bundle is live; it is not if it was refused, or in a dry run.
        live: folder of the bundle that is live now.
        looks: new bundles that were decided on with exactly these turns so far, this one included.
        figures: file with the figures of each turn.
    """

    verdict: Verdict
    switched: bool
    live: Path
    looks: int
    figures: Path


def recipe_of_store(settings: Settings, *, name: str, folder: Path, split: str) -> tuple[AlignRecipe, bool]:
    """A recipe that asks what the store would ask, and whether it asks nobody.

    The judge is the store's model and the candidates are as many as it offers.

    Raises:
        SettingsError: the split is a test split, or the one that is learned from.
    """
    judge: dict[str, Any] = {"kind": "local"}
    if settings.llm.kind == "http":
        fields = ("model", "base_url", "api_key_env", "max_tokens", "temperature")
        judge = {"kind": "endpoint", **settings.llm.model_dump(include=set(fields))}
    values: dict[str, Any] = {
        "data": {"name": name, "folder": str(folder.resolve()), "tuning": split},
        "judge": judge,
        "sets": {
            "n": settings.recommend.candidates,
            "ranked": min(_RANKED, settings.recommend.candidates),
            "template": settings.llm.template,
        },
        "loop": {"proposal": max(200, settings.recommend.candidates)},
    }
    return parse_align_recipe(values, source="--data-set and the store's settings"), settings.llm.kind == "none"


def plan(store: Path, question: Question, resources: Resources) -> PromotionPlan:
    """What `promote` would ask. Only embeddings are made and kept. Raises as `promote` does before it asks."""
    with _prepared(store, question, resources) as (_, examination, live, new):
        return plan_of(examination, live, new)


def promote(store: Path, question: Question, resources: Resources) -> Promotion:
    """Decide, write it down, and switch if the verdict says so.

    A kill leaves what was live or the new bundle, never anything between; the same call goes on, and asks no judge
    twice. A recommender that is open goes on with the bundle that it was opened with.

    Raises:
        InputError: the new bundle has the live one's weights, learned from the turns, or there are too few dialogues.
        BundleError: a bundle is damaged, or of another embedder than the store's.
        StoreError: there is no store, it cannot be written, another promotion is running, or the live bundle was
            changed by hand meanwhile.
        RarecError: of the judge, see `rarec.alignment.material.judge_of` and `rarec.align.rollouts.collect`.
    """
    with _prepared(store, question, resources) as (paths, examination, live, new):
        material, turns = examination.material, examination.turns
        if resources.planned is not None and isinstance(question.recipe.judge, EndpointJudge) and not question.alone:
            resources.planned(plan_of(examination, live, new))
        old, own = examination.figures(live, "the live bundle"), examination.figures(new, "the new bundle")
        with stage(resources.tell, "compare"):
            verdict = decide(
                own, old, [turn.turn.dialogue for turn in turns],
                margin=question.margin, level=question.level, least=question.least,
            )  # fmt: skip
        decisions, digest = Decisions(paths.promotion), turns_digest(material, turns)
        about = {**_about(question, live, new), "turns digest": digest}
        # Of the figures as well: a ranker, a judge or its lists may be others for the same two retrievers and turns.
        kept = identity(about, old, own)[:12]
        name = f"{live.digests[RETRIEVER][:12]}-{new.digests[RETRIEVER][:12]}-{kept}"
        figures = decisions.figures(name, turns, old, own)
        decisions.decided(verdict, {**about, "figures": figures})
        switched = verdict.promoted and not question.dry_run
        if switched:
            _switch(paths, live, new, material.embedder.name, decisions)
        return Promotion(verdict, switched, paths.bundle, decisions.looks(digest), paths.promotion / figures)


@contextmanager
def _prepared(
    store: Path, question: Question, resources: Resources
) -> Iterator[tuple[StorePaths, Examination, Bundle, Bundle]]:
    """All that comes before the judge is asked; the store's promotions are held meanwhile. Raises as `promote`."""
    paths, settings = StorePaths(store), read_settings(store)
    embedder = embedder_from(settings.embedder) if resources.embedder is None else resources.embedder
    with only_one(paths):
        live = read_bundle(paths.bundle, embedder=embedder.name)
        new = read_bundle(question.new, embedder=embedder.name)
        check_successor(new, live)
        material = _gathered(question.recipe, live, paths, embedder, resources)
        turns = held_out(material, question.recipe.data, new)
        check_enough(len({turn.turn.dialogue for turn in turns}), least=question.least)
        yield paths, _examination(question, material, turns, paths, resources), live, new


def _gathered(
    recipe: AlignRecipe, live: Bundle, paths: StorePaths, embedder: Embedder, resources: Resources
) -> Material:
    """All turns of the tuning split; of those to learn from one, since their messages would be embedded for nothing."""
    data = recipe.data.model_copy(update={"training_turns": 1, "tuning_turns": None, "held_back": None})
    loop = recipe.loop.model_copy(update={"negatives": 0})
    return gather(
        recipe.model_copy(update={"data": data, "loop": loop}),
        bundle=live.folder,
        cache=resources.cache or paths.promotion / "embeddings.sqlite",
        embedder=embedder,
        tell=resources.tell,
    )


def _examination(
    question: Question, material: Material, turns: tuple[TokenisedTurn, ...], paths: StorePaths, resources: Resources
) -> Examination:
    """A catalogue that is small gives smaller sets."""
    recipe = question.recipe
    free = len(material.stock) - max(len(turn.seen_rows) for turn in turns)
    sets = recipe.sets.model_copy(update={"n": max(1, min(recipe.sets.n, free))})
    return Examination(
        recipe=recipe.model_copy(update={"sets": sets}),
        material=material,
        turns=turns,
        alone=question.alone,
        judge=resources.judge,
        folder=paths.promotion / "asked",
        budget=recipe.budget.of("the decision"),
        tell=resources.tell,
    )


def _switch(paths: StorePaths, live: Bundle, new: Bundle, embedder: str, decisions: Decisions) -> None:
    name = install(paths, new, embedder=embedder)
    if read_bundle(paths.bundle, embedder=embedder).digests != live.digests:
        raise StoreError(f"the live bundle {str(paths.bundle)!r} changed while it was measured; run the command again")
    decisions.switched("promotion", read_live(paths.root).live, name, new.digests)
    go_live(paths, name)


def _about(question: Question, live: Bundle, new: Bundle) -> dict[str, Any]:
    recipe = question.recipe
    return {
        "new bundle": dict(new.digests),
        "live bundle": dict(live.digests),
        "data": recipe.data.name,
        "split": recipe.data.tuning,
        "judge": "none" if question.alone else recipe.judge.model_dump(mode="json"),
        "candidates": recipe.sets.n,
        "dry run": question.dry_run,
    }
