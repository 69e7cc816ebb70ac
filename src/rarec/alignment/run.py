"""Runs a recipe of alignment: from a bundle to an aligned one, with its figures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rarec.align.checkpoint import digest
from rarec.align.ledger import Ledger
from rarec.align.loop import AlignmentLoop, Lesson, LoopProgress, Outcome
from rarec.align.measuring import MEASURE, Measured, measure_alone
from rarec.align.rollout import RolloutReward
from rarec.align.scorer import Scorer, reproducible
from rarec.align.turns import TokenisedTurn
from rarec.alignment.material import Material, OnProgress, gather, judge_of
from rarec.alignment.plan import AlignPlan, plan_of, prices_of
from rarec.alignment.recipe import AlignRecipe, EndpointJudge, identity
from rarec.embed.protocol import Embedder
from rarec.errors import StoreError
from rarec.evaluate.bootstrap import paired_interval
from rarec.files import write_text
from rarec.llm.budget import Budget
from rarec.llm.cached import AnswerFile
from rarec.llm.metered import Metered
from rarec.llm.protocol import LLM
from rarec.retriever.bundle import CARD, read_manifest, save_retriever

FIGURES = "figures.json"
LEDGER = "ledger.jsonl"
BUNDLE = "bundle"
REPLAY = "replay"


@dataclass(frozen=True, slots=True, eq=False)
class Resources:
    """What a run may use beside its recipe.

    Attributes:
        bundle: that is started from, where the recipe names none.
        cache: file of embeddings; None keeps them in the run's folder.
        embedder, judge: instead of those that the recipe names; give one judge to all calls for a folder.
        progress: see `OnProgress`.
    """

    bundle: Path
    cache: Path | None = None
    embedder: Embedder | None = None
    judge: LLM | None = None
    progress: OnProgress | None = None


@dataclass(frozen=True, slots=True)
class AlignResult:
    """What came of a run.

    Attributes:
        figures: as in figures.json.
        bundles: the aligned bundle of each seed.
        equal: whether a replay ended with the weights of the run that it replays, bit for bit; None if it is no replay.
    """

    figures: Mapping[str, Any]
    bundles: tuple[Path, ...]
    equal: bool | None = None


def plan(recipe: AlignRecipe, *, out: Path, resources: Resources) -> AlignPlan:
    """What `align` would ask. Only embeddings are made and kept. Raises as `align` does."""
    return plan_of(recipe, _gathered(recipe, out, resources))


def align(recipe: AlignRecipe, *, out: Path, resources: Resources, replay: bool = False) -> AlignResult:
    """Align the bundle once for each seed; called again, it goes on where it was.

    Args:
        out: folder of the run, made if needed: a folder for each seed with ledger, log, checkpoint and bundle.
        replay: train anew from the ledgers, without the judge, into a folder ``replay`` of each seed.
    Raises:
        RarecError: see `AlignmentLoop.run`, `gather` and `judge_of`.
    """
    material = _gathered(recipe, out, resources)
    llm = None if replay else _metered(recipe, material, out, resources)
    figures: dict[str, Any] = {"recipe": recipe.model_dump(mode="json"), "measure": MEASURE, "seeds": {}}
    before = _read_figures(out / FIGURES) if replay else {}
    bundles: list[Path] = []
    for seed in recipe.seeds:
        run = _Seed(recipe, material, out / f"seed-{seed}", seed, resources)
        figures["seeds"][str(seed)] = run.run(llm, replay=replay)
        bundles.append(run.folder / BUNDLE)
    figures["mean of seeds"] = _mean_of(figures["seeds"])
    if replay:
        return AlignResult(figures, tuple(bundles), _same(figures, before))
    write_text(out / FIGURES, json.dumps(figures, indent=2) + "\n")
    return AlignResult(figures, tuple(bundles))


def _gathered(recipe: AlignRecipe, out: Path, resources: Resources) -> Material:
    _make(out)
    return gather(
        recipe,
        bundle=recipe.bundle or resources.bundle,
        cache=resources.cache or out / "embeddings.sqlite",
        embedder=resources.embedder,
        tell=resources.progress or (lambda *_: None),
    )


def _metered(recipe: AlignRecipe, material: Material, out: Path, resources: Resources) -> Metered:
    llm = resources.judge or judge_of(recipe, material)
    limits = recipe.budget
    budget = Budget("the run", calls=limits.calls, tokens=limits.tokens, usd=limits.usd)
    # The ledger keeps every answer; a file beside it serves other seeds, and costs more time than a local judge.
    answers = AnswerFile(out / "answers.jsonl") if isinstance(recipe.judge, EndpointJudge) else None
    return Metered(llm, answers=answers, budgets=[budget], prices=prices_of(recipe))


class _Seed:
    """One seed of a run."""

    def __init__(self, recipe: AlignRecipe, material: Material, folder: Path, seed: int, resources: Resources) -> None:
        self._recipe, self._material, self._seed, self._resources = recipe, material, seed, resources
        self.folder = folder
        self._identity = identity(recipe.deciding(), material.content, seed)

    def run(self, llm: Metered | None, *, replay: bool) -> dict[str, Any]:
        """Train, measure and write the bundle; the figures."""
        ledger = Ledger(self.folder / LEDGER, recipe=self._identity)
        if replay:
            self.folder = self.folder / REPLAY
            shutil.rmtree(self.folder, ignore_errors=True)
        _make(self.folder)
        loop = AlignmentLoop(self._material.retriever(), self._lesson(), llm, ledger=ledger, folder=self.folder)
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
            learner=recipe.learner,
            reward=RolloutReward.of(recipe.reward),
            rollouts=recipe.rollouts(self._seed),
            loop=recipe.loop.model_copy(update={"seed": self._seed}),
            identity=self._identity,
        )

    def _told(self, at: LoopProgress) -> None:
        if self._resources.progress is None:
            return
        stage = f"seed {self._seed}"
        if at.rollouts is not None:
            done, asked = at.rollouts, at.stage
            parts = [f"{done.calls:,} calls", f"{done.spend.usd:.4f} USD", f"{done.cached + done.found:,} from disk"]
            if done.mean_reward is not None:
                parts.append(f"reward {done.mean_reward:.4f}")
            self._resources.progress(f"{stage}: {asked}", done.done, done.total, ", ".join(parts))
            return
        parts = [] if at.reward is None else [f"reward {at.reward:.4f}"]
        parts += [] if at.score is None else [f"N@10 after the judge {at.score:.4f}"]
        self._resources.progress(stage, at.done, at.iterations, ", ".join(parts))

    def _figures(self, loop: AlignmentLoop, outcome: Outcome, llm: Metered | None) -> dict[str, Any]:
        turns = self._material.report[: self._recipe.data.report_turns]
        with reproducible():
            before = self._measured(loop, loop.reference, turns, llm, "before")
            after = self._measured(loop, loop.scorer, turns, llm, "after")
        return {
            "iterations": outcome.iterations,
            "best": outcome.best,
            "stopped": outcome.stopped,
            "weights": digest(loop.model.state_dict()),
            "validated": [list(pair) for pair in outcome.validated],
            "calls": loop.ledger.spent.calls,
            "tokens": loop.ledger.spent.tokens,
            "usd": loop.ledger.spent.usd,
            "on": f"{len(turns)} turns of {self._recipe.data.tuning!r} whose dialogues chose no weights"
            if self._material.report != self._material.tune
            else f"{len(turns)} turns of {self._recipe.data.tuning!r} that chose the weights too",
            "after the judge": _compared(after.judged, before.judged, turns),
            "alone": _compared(after.alone, before.alone, turns),
            "truth in candidates": _compared(after.held, before.held, turns),
        }

    def _measured(
        self, loop: AlignmentLoop, scorer: Scorer, turns: Sequence[TokenisedTurn], llm: Metered | None, name: str
    ) -> Measured:
        best = 0 if name == "before" else loop.best
        found = loop.examiner.measure(scorer, turns, llm, at=best, name=name)
        return replace(found, alone=measure_alone(scorer, turns))

    def _write_bundle(self, loop: AlignmentLoop, figures: dict[str, Any]) -> None:
        folder = self.folder / BUNDLE
        training = {"aligned": self._recipe.model_dump(mode="json"), "seed": self._seed, "figures": figures}
        # For the promotion gate, which counts no turn that any of these weights were fitted to or chosen on.
        training["chosen_on"] = sorted({turn.turn.dialogue for turn in self._material.tune})
        training["started_from"] = read_manifest(self._material.bundle, "retriever").training
        save_retriever(folder, loop.model, embedder=self._material.embedder.name, training=training)
        for path in sorted(self._material.bundle.glob("ranker.*")):
            shutil.copyfile(path, folder / path.name)  # it reads texts, not the retriever's vectors
        write_text(folder / CARD, card(self._recipe, figures, self._material))


def card(recipe: AlignRecipe, figures: Mapping[str, Any], material: Material) -> str:
    """The text that goes with the weights."""
    learner = recipe.learner.name
    rows = "\n".join(
        f"| {name} | {part['before']:.4f} | {part['after']:.4f} | [{part['low']:+.4f}, {part['high']:+.4f}] |"
        for name in ("after the judge", "alone", "truth in candidates")
        for part in (figures[name],)
    )
    return f"""# Model card

A retriever for the embedder `{material.embedder.name}`, aligned with `{learner}` to the judge `{_judge_name(recipe)}`,
beside the unchanged ranker of the bundle that it was started from.

- **Started from**: the bundle in `{material.bundle.name}`; see its card for what that was trained on.
- **Learned from**: {len(material.learn)} turns of `{recipe.data.name}` {recipe.data.training}, {figures["best"]} of
  {figures["iterations"]} iterations, {figures["calls"]} calls of the judge.
- **Chosen on**: NDCG@10 after the judge on turns of {recipe.data.tuning}.
- **Not for**: other domains or languages without training; decisions about people.

On {figures["on"]} (NDCG@10 of each turn, new items, catalogue of the data set; the interval of the gain is a paired
bootstrap by dialogue at 95 %):

| figure | before | after | gain |
| --- | --- | --- | --- |
{rows}
"""


def _judge_name(recipe: AlignRecipe) -> str:
    judge = recipe.judge
    return str(getattr(judge, "preset", None) or getattr(judge, "model", None) or "local-ranker")


def _compared(after: Sequence[float], before: Sequence[float], turns: Sequence[TokenisedTurn]) -> dict[str, float]:
    a, b = np.asarray(after, np.float64), np.asarray(before, np.float64)
    dialogues = [turn.turn.dialogue for turn in turns]
    low, high = paired_interval(a, b, dialogues, generator=np.random.default_rng(0))
    first, last = float(b.mean()), float(a.mean())
    return {
        "before": first,
        "after": last,
        "gain": last - first,
        "relative": (last - first) / first if first else 0.0,
        "low": low,
        "high": high,
    }


def _mean_of(seeds: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    return {
        name: {
            key: float(np.mean([figures[name][key] for figures in seeds.values()]))
            for key in ("before", "after", "gain")
        }
        for name in ("after the judge", "alone", "truth in candidates")
    }


def _read_figures(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read {str(path)!r}: {error}; there must be a finished run to replay") from error
    return dict(found)


def _same(figures: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    own, theirs = figures["seeds"], before.get("seeds", {})
    return all(theirs.get(seed, {}).get("weights") == found["weights"] for seed, found in own.items())


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make the folder {str(folder)!r}: {error.strerror}; choose another one") from error
