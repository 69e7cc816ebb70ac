"""Runs a recipe of alignment: from a bundle to an aligned one, with its figures."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rarec.align.checkpoint import digest
from rarec.align.ledger import Ledger
from rarec.align.logged import FIRST
from rarec.align.loop import AlignmentLoop, Course, Lesson, LoopProgress, Outcome
from rarec.align.measuring import MEASURE, Measured, measure_alone
from rarec.align.parts import Parts, flat
from rarec.align.rollout import RolloutProgress, RolloutReward
from rarec.align.scorer import Scorer, reproducible
from rarec.align.turns import TokenisedTurn
from rarec.alignment.answered import LEDGER, Answered, answered
from rarec.alignment.cards import card
from rarec.alignment.comparing import compared, deviation
from rarec.alignment.material import Material, gather, judge_content, judge_of
from rarec.alignment.people import People, gather_people, learner_for_people
from rarec.alignment.plan import AlignPlan, counts_tokens, plan_of, prices_of
from rarec.alignment.reading import FIGURES, seed_folder
from rarec.alignment.recipe import AlignRecipe, EndpointJudge, PeopleJudge, identity
from rarec.alignment.replaying import MADE_WITH, Finished, finished_run, made_with
from rarec.alignment.report_turns import report_turns, write_report_turns
from rarec.alignment.turn_results import (
    TurnResult,
    figures_of,
    served_by_judge,
    served_to_people,
    turn_results,
    write_turn_results,
)
from rarec.embed.factory import embedder_from
from rarec.embed.protocol import Embedder
from rarec.errors import InputError, ReplayDiffers, StoreError
from rarec.feedback import FeedbackEvent
from rarec.files import held_alone, make_folder, not_left_empty, write_text
from rarec.llm.cached import AnswerFile
from rarec.llm.metered import Metered
from rarec.llm.protocol import LLM
from rarec.progress import OnProgress, stage
from rarec.retriever.bundle import CARD, read_manifest, save_retriever
from rarec.reward import ndcg

BUNDLE = "bundle"
LOCK = ".lock"
REPLAY = "replay"
PEOPLE = "people"
"""What stands for the judge's name where none is asked."""


@dataclass(frozen=True, slots=True, eq=False)
class Resources:
    """What a run may use beside its recipe.

    Attributes:
        bundle: that is started from, where the recipe names none.
        cache: file of embeddings; None keeps them in the run's folder.
        embedder, judge: instead of those that the recipe names; give one judge to all calls for a folder.
        events: instead of those of a recipe that learns from people, e.g. rows of a database; the same ones to all
            calls for a folder.
        material: gathered before, so that many runs on the same data and bundle read them once; it has its own cache.
            Recipes that learn from people take none.
        progress: see `OnProgress`.
    """

    bundle: Path
    cache: Path | None = None
    embedder: Embedder | None = None
    judge: LLM | None = None
    events: Sequence[FeedbackEvent] | None = None
    material: Material | None = None
    progress: OnProgress | None = None


@dataclass(frozen=True, slots=True)
class AlignResult:
    """What came of a run.

    Attributes:
        figures: as in figures.json.
        bundles: the aligned bundle of each seed.
        equal: whether a replay ended with the weights of the run that it replays, bit for bit; None if it is no replay.
        difference: where a replay that is not equal departs, and what may be the cause.
    """

    figures: Mapping[str, Any]
    bundles: tuple[Path, ...]
    equal: bool | None = None
    difference: str = ""


def plan(recipe: AlignRecipe, *, out: Path, resources: Resources) -> AlignPlan:
    """What `align` would still ask; what an earlier call for the folder asked is in its ledgers.

    Only embeddings are made and kept, in a folder that is made for them alone. Raises as `align` does, but for a ledger
    of another run, which is a remark of the plan.
    """
    with not_left_empty(out):
        material, people = _gathered(recipe, out, resources)
    known = Answered()
    if people is None:
        with stage(resources.progress or (lambda *_: None), "read the ledgers"):
            known = answered(recipe, material, out, {seed: _named(recipe, material, seed) for seed in recipe.seeds})
    return plan_of(recipe, material, judge=resources.judge, known=known)


def align(recipe: AlignRecipe, *, out: Path, resources: Resources, replay: bool = False) -> AlignResult:
    """Align the bundle once for each seed; called again, it goes on where it was.

    Args:
        out: folder of the run, made if needed: a folder for each seed with ledger, log, checkpoint, bundle and the
            results of the report turns; see `reading.read_run`.
        replay: train anew from the ledgers, without the judge, into a folder ``replay`` of each seed.
    Raises:
        StoreError: another process is at work in the folder, or there is no finished run to replay.
        ReplayDiffers: a replay draws other sets than the ledger has.
        RarecError: see `AlignmentLoop.run`, `gather`, `judge_of`, `Material.check_fits` and `check_size`.
    """
    if replay and not out.is_dir():
        raise StoreError(f"there is no folder {str(out)!r}; run the recipe first, or name its folder with --out")
    taken = (
        f"another rarec align is at work in {str(out)!r}; wait until it has ended, or choose another folder with --out"
    )
    with held_alone(out / LOCK, taken=taken):
        return _aligned(recipe, out, resources, finished_run(recipe, out) if replay else None)


def _aligned(recipe: AlignRecipe, out: Path, resources: Resources, finished: Finished | None) -> AlignResult:
    """`finished`: the run that is replayed."""
    material, people = _gathered(recipe, out, resources)
    llm = None if finished is not None or people is not None else _metered(recipe, material, out, resources)
    asked = PEOPLE if people is not None else str(finished.figures.get("judge", "")) if finished is not None else ""
    figures: dict[str, Any] = {
        "recipe": recipe.model_dump(mode="json"),
        "measure": MEASURE,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "judge": asked if llm is None else llm.name,
        MADE_WITH: made_with(),
        "learned from": _learned_from(recipe, material, people),
        "seeds": {},
    }
    bundles: list[Path] = []
    results: list[tuple[TurnResult, ...]] = []
    departures: list[str] = []
    for seed in recipe.seeds:
        run = _Seed(recipe, material, seed_folder(out, seed), seed, resources, people)
        own = run.run(llm) if finished is None else _replayed(run, seed, finished)
        if finished is not None and not finished.has_weights(seed, own["weights"]):
            departures.append(finished.departure(seed, run.folder))
        figures["seeds"][str(seed)] = own
        results.append(run.results)
        bundles.append(run.folder / BUNDLE)
    figures["mean of seeds"] = _mean_of(results)
    if finished is not None:
        return AlignResult(figures, tuple(bundles), not departures, "; ".join(departures))
    write_report_turns(out, report_turns(material, _reported(recipe, material), results))
    write_text(out / FIGURES, json.dumps(figures, indent=2) + "\n")
    return AlignResult(figures, tuple(bundles))


def _replayed(run: _Seed, seed: int, finished: Finished) -> dict[str, Any]:
    try:
        return run.run(None, finished.courses[seed])
    except ReplayDiffers as error:
        raise ReplayDiffers(f"{error}: {finished.departure(seed, run.folder)}") from error


def _gathered(recipe: AlignRecipe, out: Path, resources: Resources) -> tuple[Material, People | None]:
    if resources.cache is None and resources.material is None:
        make_folder(out)
    bundle, cache = recipe.bundle or resources.bundle, resources.cache or out / "embeddings.sqlite"
    embedder, tell = resources.embedder, resources.progress or (lambda *_: None)
    if isinstance(recipe.judge, PeopleJudge):
        if resources.material is not None:
            raise InputError("a run that learns from people reads its events itself; leave resources.material out")
        return gather_people(
            recipe, recipe.judge, bundle=bundle, cache=cache, embedder=embedder, events=resources.events, tell=tell
        )
    if resources.material is not None:
        wanted = embedder or embedder_from(recipe.embedder)
        resources.material.check_fits(recipe, bundle=bundle, embedder=wanted.name)
    material = resources.material or gather(recipe, bundle=bundle, cache=cache, embedder=embedder, tell=tell)
    material.check_size(recipe)
    return material, None


def _metered(recipe: AlignRecipe, material: Material, out: Path, resources: Resources) -> Metered:
    llm = resources.judge or judge_of(recipe, material)
    # The ledger keeps every answer; a file beside it serves other seeds, and costs more time than a local judge.
    answers = AnswerFile(out / "answers.jsonl") if isinstance(recipe.judge, EndpointJudge) else None
    budget, prices = recipe.budget.of("the run"), prices_of(recipe)
    in_tokens = resources.judge is not None or counts_tokens(recipe)
    return Metered(llm, answers=answers, budgets=[budget], prices=prices, in_tokens=in_tokens)


class _Seed:
    """One seed of a run."""

    def __init__(
        self,
        recipe: AlignRecipe,
        material: Material,
        folder: Path,
        seed: int,
        resources: Resources,
        people: People | None = None,
    ) -> None:
        self._recipe, self._material, self._seed, self._people = recipe, material, seed, people
        self._tell = resources.progress or (lambda *_: None)
        self.folder = folder
        self.results: tuple[TurnResult, ...] = ()
        """Of the report turns, after a run."""
        self._identity, self._parts = _named(recipe, material, seed)

    def run(self, llm: Metered | None, course: Course | None = None) -> dict[str, Any]:
        """Train, measure, and write the turns' results and the bundle; the figures.

        Args:
            course: replay it, into a folder of its own.
        """
        with stage(self._tell, f"seed {self._seed}: read the ledger"):
            ledger = Ledger(self.folder / LEDGER, recipe=self._identity, parts=self._parts)
        if course is not None:
            self.folder = self.folder / REPLAY
            shutil.rmtree(self.folder, ignore_errors=True)
        make_folder(self.folder)
        model = self._material.retriever()
        loop = AlignmentLoop(model, self._lesson(), llm, ledger=ledger, folder=self.folder, course=course)
        outcome = loop.run(self._told)
        figures = self._figures(loop, outcome, llm)
        self._write_bundle(loop, figures)
        return figures

    def _lesson(self) -> Lesson:
        recipe, material = self._recipe, self._material
        return Lesson(
            stock=material.stock,
            data=material.data,
            learn=material.learn,
            tune=material.tune,
            learner=recipe.learner if self._people is None else learner_for_people(recipe.learner),
            reward=RolloutReward.of(recipe.reward),
            rollouts=recipe.rollouts(self._seed),
            loop=recipe.loop.model_copy(update={"seed": self._seed}),
            identity=self._identity,
            parts=self._parts,
            source=None if self._people is None else self._people.sets,
        )

    def _told(self, at: LoopProgress) -> None:
        if at.rollouts is not None:
            self._told_of_rollouts(at.stage, at.rollouts)
            return
        parts = [] if at.reward is None else [f"reward {at.reward:.4f}"]
        scored = "N@10 after the judge" if self._people is None else "N@10 and agreement, mean"
        parts += [] if at.score is None else [f"{scored} {at.score:.4f}"]
        self._tell(f"seed {self._seed}", at.done, at.iterations, ", ".join(parts))

    def _told_of_rollouts(self, asked: str, at: RolloutProgress) -> None:
        money = [] if prices_of(self._recipe) is None else [f"{at.spend.usd:.4f} USD"]
        parts = [f"{at.calls:,} calls", *money, f"{at.cached + at.found:,} from disk"]
        if at.mean_reward is not None:
            parts.append(f"reward {at.mean_reward:.4f}")
        self._tell(f"seed {self._seed}: {asked}", at.done, at.total, ", ".join(parts))

    def _figures(self, loop: AlignmentLoop, outcome: Outcome, llm: Metered | None) -> dict[str, Any]:
        turns = _reported(self._recipe, self._material)
        # First: measuring asks, and what is asked counts among the calls.
        with reproducible():
            self.results = (
                self._of_judge(loop, turns, llm) if self._people is None else _of_people(self._people, loop, turns)
            )
        write_turn_results(self.folder, self.results)
        data, held_out = self._recipe.data, self._material.report != self._material.tune
        split = repr(data.report or data.tuning) if self._people is None else "held-out conversations"
        return {
            "iterations": outcome.iterations,
            "best": outcome.best,
            "stopped": outcome.stopped,
            "weights": digest(loop.model.state_dict()),
            "validated": [list(pair) for pair in outcome.validated],
            "calls": loop.ledger.spent.calls,
            "tokens": loop.ledger.spent.tokens,
            "tokens at most": loop.ledger.bounded_tokens > 0,
            "usd": loop.ledger.spent.usd,
            "held out": held_out,
            "on": f"{len(turns)} turns of {split} "
            + ("whose dialogues chose no weights" if held_out else "that chose the weights too"),
            **{figure.name: asdict(compared([self.results], figure.name)) for figure in figures_of(self.results)},
        }

    def _of_judge(
        self, loop: AlignmentLoop, turns: Sequence[TokenisedTurn], llm: Metered | None
    ) -> tuple[TurnResult, ...]:
        before = self._measured(loop, loop.reference, turns, llm, "before")
        after = self._measured(loop, loop.scorer, turns, llm, "after")
        return turn_results(turns, served_by_judge(before), served_by_judge(after))

    def _measured(
        self, loop: AlignmentLoop, scorer: Scorer, turns: Sequence[TokenisedTurn], llm: Metered | None, name: str
    ) -> Measured:
        best = 0 if name == "before" else loop.best
        told = partial(self._told_of_rollouts, f"figures {name}")
        found = loop.examiner.measure(scorer, turns, llm, at=best, name=name, progress=told)
        if self._recipe.sets.n < FIRST:
            return replace(found, alone=measure_alone(scorer, turns))
        # Of the same list: items of equal score may come in another order in a shorter one.
        alone = tuple(ndcg(own, turn.turn.truth) for own, turn in zip(found.offered, turns, strict=True))
        return replace(found, alone=alone)

    def _write_bundle(self, loop: AlignmentLoop, figures: dict[str, Any]) -> None:
        folder = self.folder / BUNDLE
        training = {"aligned": self._recipe.model_dump(mode="json"), "seed": self._seed, "figures": figures}
        # For the promotion gate, which counts no turn that any of these weights were fitted to or chosen on.
        training["chosen_on"] = _dialogues(self._material.tune)
        if self._people is not None:  # no split says which these are
            training["learned_from"] = _dialogues(self._material.learn)
        training["started_from"] = read_manifest(self._material.bundle, "retriever").training
        save_retriever(folder, loop.model, embedder=self._material.embedder.name, training=training)
        for path in sorted(self._material.bundle.glob("ranker.*")):
            shutil.copyfile(path, folder / path.name)  # it reads texts, not the retriever's vectors
        write_text(folder / CARD, card(self._recipe, figures, self._material, self._people))


def _of_people(people: People, loop: AlignmentLoop, turns: Sequence[TokenisedTurn]) -> tuple[TurnResult, ...]:
    before, after = (served_to_people(people.sets.measure(scorer, turns)) for scorer in (loop.reference, loop.scorer))
    return turn_results(turns, before, after, [tuple(one.feedback for one in people.sets.of(turn)) for turn in turns])


def _named(recipe: AlignRecipe, material: Material, seed: int) -> tuple[str, Parts]:
    """What names the run of a seed, as a hash and to read; what the files of the data hold is in the hash alone."""
    ranker = judge_content(recipe, material.bundle)
    return identity(recipe.deciding(), material.content, seed, *ranker), {
        **flat(recipe.deciding()),
        "the seed": seed,
        "the embedder": material.origin["the embedder"],
        "the sha256 of the bundle's retriever": material.origin["the sha256 of its weights"],
        "the sha256 of the retriever's config": material.origin["the sha256 of its config"],
        "the layout": material.origin["the layout"],
        "the sha256 of the bundle's ranker": ranker[0] if ranker else None,
        "the sha256 of judge.lists": material.origin["the sha256 of judge.lists"],
    }


def _learned_from(recipe: AlignRecipe, material: Material, people: People | None) -> str:
    if people is not None:
        return f"{people.shown:,} shown sets of {len(material.learn):,} turns"
    return f"{len(material.learn):,} turns of {recipe.data.training!r}"


def _reported(recipe: AlignRecipe, material: Material) -> tuple[TokenisedTurn, ...]:
    return material.report[: recipe.data.report_turns]


def _dialogues(turns: Sequence[TokenisedTurn]) -> list[str]:
    return sorted({turn.turn.dialogue for turn in turns})


def _mean_of(seeds: Sequence[Sequence[TurnResult]]) -> dict[str, dict[str, Any]]:
    """Turn by turn; ``between seeds`` is the standard deviation of their gains."""
    return {
        name: {
            **asdict(compared(seeds, name)),
            "seeds": len(seeds),
            "between seeds": deviation([compared([results], name).gain for results in seeds]),
        }
        for name in (figure.name for figure in figures_of(seeds[0]))
    }
