"""The loop of alignment: draw sets by the policy as it is, have them judged, take a step, and again.

Every random draw of iteration i comes from (seed, i) and never from what ran before, and what the judge said is in the
ledger. So a run that was killed goes on from its checkpoint without asking again, and ends with the same weights bit
for bit on a CPU, as does a replay from the ledger without a judge.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from rarec.align.checkpoint import Checkpoint, RunState
from rarec.align.journal import Facts, Journal
from rarec.align.learners import BaseLearner
from rarec.align.ledger import Ledger
from rarec.align.measuring import Examiner, Measured, measure_alone
from rarec.align.parts import Parts
from rarec.align.rollout import RolloutProgress, RolloutReward, RolloutSettings
from rarec.align.scorer import Scorer, reproducible
from rarec.align.settings import LoopSettings
from rarec.align.source import RolloutSource
from rarec.align.stepping import Stepper, Watch
from rarec.align.turns import Stock, TokenisedTurn, TurnData
from rarec.errors import InputError
from rarec.llm.metered import Metered
from rarec.retriever.averaging import WeightAverage
from rarec.retriever.model import Retriever

CHECKPOINT = "state.safetensors"


@dataclass(frozen=True, slots=True)
class LoopProgress:
    """How far a run is.

    Attributes:
        done, iterations: of the run.
        stage: what is being asked, ``rollouts`` or ``validation``; empty between iterations.
        rollouts: of this stage.
        reward: mean of the last finished iteration; None before it.
        score: of the last validation.
    """

    done: int
    iterations: int
    stage: str = ""
    rollouts: RolloutProgress | None = None
    reward: float | None = None
    score: float | None = None


OnLoop = Callable[[LoopProgress], None]


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What is learned, and by which rules.

    Attributes:
        data: all turns, with their messages.
        learn, tune: those that are learned from, and those on which the best weights are chosen.
        identity: a hash of everything that decides the weights, but the number of iterations.
        parts: the same to read.
        source: gives rewarded sets and figures; None asks a judge about sets that the policy draws.
    """

    stock: Stock
    data: TurnData
    learn: tuple[TokenisedTurn, ...]
    tune: tuple[TokenisedTurn, ...]
    learner: BaseLearner
    reward: RolloutReward
    rollouts: RolloutSettings
    loop: LoopSettings
    identity: str
    source: RolloutSource | None = None
    parts: Parts = field(default_factory=dict[str, object])

    def __post_init__(self) -> None:
        if not self.learn:
            raise InputError("there are no turns to learn from; check the split, and that mentions are linked")
        if not self.tune:
            raise InputError("there are no tuning turns, by which the best weights are chosen; check that split")
        if self.rollouts.n > len(self.stock):
            raise InputError(f"a set has n = {self.rollouts.n} items, but the catalogue has {len(self.stock)}; lower n")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        iterations: that were done.
        best: how many were done before the best weights, which the model has now.
        validated: NDCG@10 after the judge, or the score of the lesson's source, by the number of iterations before.
        stopped: why.
    """

    iterations: int
    best: int
    validated: tuple[tuple[int, float], ...]
    stopped: str


@dataclass(frozen=True, slots=True)
class Course:
    """What a run did, for a replay to do the same. Settings do not tell: they may have been others at another time.

    Attributes:
        iterations: that were done.
        validated: iterations before each validation.
        stopped: why it ended.
    """

    iterations: int
    validated: frozenset[int]
    stopped: str


class AlignmentLoop:
    """Trains a retriever in place.

    Args:
        llm: the judge; None replays the ledger.
        folder: for checkpoint and log; must exist.
        course: of the run that is replayed; None goes by the settings.
    """

    def __init__(
        self,
        model: Retriever,
        lesson: Lesson,
        llm: Metered | None,
        *,
        ledger: Ledger,
        folder: Path,
        course: Course | None = None,
    ) -> None:
        self.model, self.lesson, self._llm, self._folder = model.eval(), lesson, llm, folder
        self.ledger, self._course = ledger, course
        settings = lesson.loop
        self.scorer = Scorer(model, lesson.stock, lesson.data.messages, learn_items=settings.learn_items)
        self.reference = self._scorer_of(copy.deepcopy(model).eval())
        self._optimiser = torch.optim.AdamW(
            model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self._average = WeightAverage(model, settings.average) if settings.average else None
        self._served = self.scorer if self._average is None else self._scorer_of(self._average.model)
        self._stepper = Stepper(self.scorer, self.reference, self._optimiser, lesson, ledger)
        self._keeper = Checkpoint(
            folder / CHECKPOINT, model, self._optimiser, settings=lesson.identity, parts=lesson.parts
        )
        self.examiner = Examiner(lesson.rollouts, ledger)
        self.best = 0
        """Iterations before the weights that the model has after a run."""

    def _scorer_of(self, model: Retriever) -> Scorer:
        return Scorer(model, self.lesson.stock, self.lesson.data.messages, bonuses=self.scorer.bonuses)

    def run(self, on_progress: OnLoop | None = None) -> Outcome:
        """Go on until the end; the model then has its best validated weights.

        Raises:
            BudgetExceeded, LLMUnavailable, LLMTimeout, StoreError: see `rollouts.collect`; the same call goes on.
            BundleError: the checkpoint is damaged or of another run.
            InputError: the loss is not finite.
        """
        with reproducible():
            return self._run(on_progress or (lambda _: None))

    def _run(self, tell: OnLoop) -> Outcome:
        state = self._keeper.read() or RunState()
        if self._average is not None and state.average:
            self._average.load(state.average)
        journal = Journal(self._folder, done=state.done)
        if not state.validated:
            self._validate(state, journal, tell)
        while self._goes_on(state):
            at = state.done
            watch = Watch(partial(self._tell_rollouts, tell, at, "rollouts"))
            facts = self._stepper.step(state, self._llm, watch)
            journal.write(facts)
            if self._average is not None:
                self._average.update(at)
                state.average = self._average.weights()
            state.done += 1
            if self._is_validated(state.done):
                self._validate(state, journal, tell)
            self._keeper.write(state)
            reward = facts.get("reward")
            tell(
                LoopProgress(
                    state.done,
                    self._iterations,
                    reward=reward if isinstance(reward, float) else None,
                    score=state.validated[-1][1],
                )
            )
        self.model.load_state_dict(state.best_weights)
        self.model.eval()
        self.best = state.best
        return Outcome(state.done, state.best, tuple(state.validated), self._stopped(state))

    @property
    def _iterations(self) -> int:
        return self.lesson.loop.iterations if self._course is None else self._course.iterations

    def _goes_on(self, state: RunState) -> bool:
        patience = self.lesson.loop.patience if self._course is None else None
        return state.done < self._iterations and (patience is None or state.since_best() < patience)

    def _is_validated(self, done: int) -> bool:
        """The end is validated as well; a run that goes on beyond what was its end once has a validation there."""
        if self._course is not None:
            return done in self._course.validated
        return done % self.lesson.loop.validate_every == 0 or done == self._iterations

    def _stopped(self, state: RunState) -> str:
        if self._course is not None:
            return self._course.stopped
        return "all iterations are done" if state.done >= self._iterations else "no longer better on tuning turns"

    def _validate(self, state: RunState, journal: Journal, tell: OnLoop) -> None:
        if self.lesson.source is None:
            self._ask(state, journal, tell)
        else:
            found = self.lesson.source.examine(self._served, self.lesson.tune)
            state.judge(found.score, self._served.model)
            journal.write({"kind": "validation", "iteration": state.done, **found.facts, "calls": 0, "usd": 0.0})
        if state.done == 0:
            self._keeper.write(state)

    def _ask(self, state: RunState, journal: Journal, tell: OnLoop) -> None:
        found = self.examiner.measure(
            self._served,
            self.judged_turns(),
            self._llm,
            at=state.done,
            name="valid",
            progress=partial(self._tell_rollouts, tell, state.done, "validation"),
        )
        alone = measure_alone(self._served, self.lesson.tune)
        state.judge(mean(found.judged), self._served.model)
        state.spent += found.spend
        journal.write(_validation(state, alone, found))

    def _tell_rollouts(self, tell: OnLoop, done: int, stage: str, rollouts: RolloutProgress) -> None:
        tell(LoopProgress(done, self._iterations, stage, rollouts))

    def judged_turns(self) -> tuple[TokenisedTurn, ...]:
        """The tuning turns that the judge is asked about; always the same."""
        return self.lesson.tune[: self.lesson.loop.judged_turns]


def _validation(state: RunState, alone: Sequence[float], found: Measured) -> Facts:
    return {
        "kind": "validation",
        "iteration": state.done,
        "ndcg@10 alone": mean(alone),
        "turns alone": len(alone),
        "ndcg@10 judged": mean(found.judged),
        "truth in candidates": mean(found.held),
        "turns judged": len(found.judged),
        "degraded": found.degraded,
        "calls": state.spent.calls,
        "usd": state.spent.usd,
    }


def mean(values: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0


__all__ = ["AlignmentLoop", "Course", "Lesson", "LoopProgress", "OnLoop", "Outcome", "mean"]
