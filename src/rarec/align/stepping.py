"""One iteration: propose, draw, ask, learn."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from rarec.align.batches import Rolled, best_first, proposed, rollout_tasks
from rarec.align.checkpoint import RunState
from rarec.align.journal import Facts
from rarec.align.learners import JudgedBatch, LearnerLoss
from rarec.align.ledger import Ledger
from rarec.align.losses import masked_mean, nll_loss
from rarec.align.policy import first_draw_kl
from rarec.align.position import position_bias, truth_entered
from rarec.align.rollout import Rollout, RolloutProgress
from rarec.align.rollouts import collect
from rarec.align.scorer import Scored, Scorer, seen_mask, truth_mask
from rarec.align.sized import loss_by_size
from rarec.align.turns import TokenisedTurn
from rarec.errors import InputError
from rarec.llm.budget import Spend
from rarec.llm.metered import Metered
from rarec.retriever.tasks import epoch_order

if TYPE_CHECKING:
    from rarec.align.loop import Lesson


@dataclass(slots=True)
class Watch:
    """Looks on during an iteration: passes progress on, and measures what takes how long."""

    tell: Callable[[RolloutProgress], None]
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    last: RolloutProgress | None = None
    _since: float = field(default_factory=time.perf_counter)

    def took(self, what: str) -> None:
        """Book the time since the last call on a part."""
        now = time.perf_counter()
        self.seconds[what] = self.seconds.get(what, 0.0) + now - self._since
        self._since = now

    def on_rollouts(self, progress: RolloutProgress) -> None:
        """Pass progress on."""
        self.last = progress
        self.tell(progress)


@dataclass(frozen=True, slots=True, eq=False)
class _Round:
    """One batch of turns with what is proposed for them.

    Attributes:
        rows: of the proposals, best first, shape (B, M).
        scored: of the weights that draw, of the proposals at least; with gradient if the first step learns from them.
        reference: scores of the proposals by the frozen reference, shape (B, M).
        others: rows beside the catalogue that are negatives of the NLL.
        bonuses: what is associated to the turns, see `Scorer.bonuses`.
        facts: what the log says of it so far.
    """

    turns: tuple[TokenisedTurn, ...]
    rows: Tensor
    scored: Scored
    reference: Tensor
    others: Tensor
    bonuses: Tensor | None
    facts: dict[str, float]


class Stepper:
    """Takes the steps of a run; it keeps nothing between them but weights that the checkpoint has."""

    def __init__(
        self, scorer: Scorer, reference: Scorer, optimiser: torch.optim.Optimizer, lesson: Lesson, ledger: Ledger
    ) -> None:
        self._scorer, self._reference, self._optimiser = scorer, reference, optimiser
        self._lesson, self._ledger = lesson, ledger
        self._source = lesson.source if lesson.learner.asks else None
        self._reference_vectors = reference.project()
        self._hides = lesson.loop.dropout or lesson.learner.as_finetuning
        self._asks = lesson.learner.asks or bool(getattr(lesson.learner, "watch", False))

    def step(self, state: RunState, llm: Metered | None, watch: Watch) -> Facts:
        """One iteration; the facts for the log. What the state spent goes on. Raises as `AlignmentLoop.run`."""
        at = state.done
        this = self._round(state)
        watch.took("encode")
        rolled, rollouts = self._rolled(this, at, llm, watch)
        watch.took("rollouts")
        state.spent += sum((rollout.spend for rollout in rollouts), Spend())
        learned = self._learn(this, rolled, at)
        watch.took("step")
        facts: dict[str, float | int | str | None] = {
            "iteration": at,
            "learner": str(getattr(self._lesson.learner, "name", "")),
            "policy": self._lesson.loop.policy if self._source is None else self._source.policy,
            **this.facts,
            **(_of_rollouts(rollouts, rolled) if self._source is None else self._source.facts(rolled)),
            **learned,
            **{f"seconds {name}": round(value, 4) for name, value in watch.seconds.items()},
            **_spent(state.spent, watch.last),
        }
        return facts

    def _round(self, state: RunState) -> _Round:
        settings, rollouts = self._lesson.loop, self._lesson.rollouts
        turns = batch_of(self._lesson.learn, state.done, settings.batch, settings.seed)
        queries, bonuses = self._scorer.queries(turns), self._scorer.bonuses(turns)
        facts = self._refresh(state, queries, turns, bonuses)
        assert state.vectors is not None
        scores = self._scorer.scores(turns, state.vectors, queries=queries, bonuses=bonuses)
        found = proposed(
            scores,
            turns,
            m=settings.proposal,
            n=rollouts.n,
            temperature=rollouts.temperature,
            wanted=None if self._source is None else self._source.wanted(turns, len(self._lesson.stock)),
        )
        if settings.refresh_every == 1:
            state.vectors = None  # the next iteration makes its own
        others = self._others(state.done)
        if self._hides and settings.refresh_every == 1:  # the step makes scores of its own, and these are not stale
            scored = Scored(scores, torch.arange(scores.shape[1]))
        else:
            with torch.set_grad_enabled(not self._hides):
                in_play = found.rows if self._hides else self._in_play(found.rows, others)
                scored = self._scorer.forward(turns, in_play, bonuses=bonuses)
        rows = best_first(found.rows, scored.of(found.rows))
        with torch.no_grad():
            whole = self._reference.scores(turns, self._reference_vectors, bonuses=bonuses)
            reference = whole.gather(1, rows).double()
            kl = first_draw_kl(scored.of(rows).double(), reference, temperature=rollouts.temperature)
        inside = (truth_mask(turns, len(self._lesson.stock)).gather(1, rows)).any(-1)
        facts |= {"kl": float(kl.mean()), "proposal": float(rows.shape[1]), "proposal mass": float(found.mass.mean())}
        facts["truth in proposal"] = float(inside.double().mean())
        return _Round(turns, rows, scored, reference, others, bonuses, facts)

    def _refresh(
        self, state: RunState, queries: Tensor, turns: Sequence[TokenisedTurn], bonuses: Tensor | None
    ) -> dict[str, float]:
        """New item vectors where it is time, and how far the old ones were off on this batch."""
        if state.vectors is not None and state.done % self._lesson.loop.refresh_every:
            return {}
        fresh, stale = self._scorer.project(), state.vectors
        state.vectors = fresh
        if stale is None:
            return {}
        mask = seen_mask(turns, len(fresh))
        scores = (self._scorer.scores(turns, v, queries=queries, bonuses=bonuses) for v in (stale, fresh))
        old, new = (own.masked_fill(mask, -torch.inf) for own in scores)
        m = min(self._lesson.loop.proposal, len(fresh))
        had = torch.zeros_like(mask).scatter(1, old.topk(m, dim=-1).indices, True)
        missing = 1.0 - had.gather(1, new.topk(m, dim=-1).indices).double().mean()
        drift = torch.where(mask, 0.0, new - old).abs().max()
        return {"stale missing": float(missing), "stale drift": float(drift)}

    def _others(self, at: int) -> Tensor:
        settings, items, rows = self._lesson.loop, len(self._lesson.stock), len(self._lesson.stock.table)
        if not settings.negatives or rows == items or not self._lesson.learner.needs_nll():
            return torch.empty(0, dtype=torch.long)
        drawn = torch.randint(items, rows, (settings.negatives,), generator=_generator(settings.seed, at, 0))
        others: Tensor = torch.unique(drawn)
        return others

    def _in_play(self, proposals: Tensor, others: Tensor) -> Tensor:
        if not self._lesson.learner.needs_nll():
            return proposals
        return torch.cat([torch.arange(len(self._lesson.stock)), others])

    def _rolled(self, this: _Round, at: int, llm: Metered | None, watch: Watch) -> tuple[Rolled, Sequence[Rollout]]:
        if not self._asks:
            return Rolled.none(len(this.turns)), ()
        if self._source is not None:
            return self._source.rolled(this.turns, this.rows, this.scored.of(this.rows).detach()), ()
        tasks = rollout_tasks(this.turns, this.rows, this.scored.of(this.rows), stock=self._lesson.stock)
        rollouts = collect(
            tasks,
            llm,
            iteration=at,
            reward=self._lesson.reward,
            settings=self._lesson.rollouts,
            ledger=self._ledger,
            progress=watch.on_rollouts,
        )
        return Rolled.of(rollouts, tasks, self._lesson.reward.total), rollouts

    def _learn(self, this: _Round, rolled: Rolled, at: int) -> dict[str, float]:
        settings, learner = self._lesson.loop, self._lesson.learner
        scored, old, facts = this.scored, None, dict[str, float]()
        for inner in range(settings.inner_steps):
            if inner or self._hides:
                # A ratio to the first step's log-probabilities is of the weights only if the same parts are hidden.
                drawn = 1 + (inner if old is None else 0)
                hiding = _generator(settings.seed, at, drawn) if self._hides else None
                in_play = self._in_play(this.rows, this.others)
                scored = self._scorer.forward(this.turns, in_play, hiding=hiding, bonuses=this.bonuses)
            nll = self._nll(this, scored) if learner.needs_nll() else None
            judged = JudgedBatch(
                scored.of(this.rows).double(),
                this.reference,
                rolled.sets,
                rolled.rewards,
                rolled.valid,
                rolled.credits,
                self._lesson.rollouts.temperature,
                nll,
                old,
            )
            learned = loss_by_size(learner, judged, rolled.sizes)
            old = learned.log_probs if old is None else old
            facts = self._descend(learned, nll, at * settings.inner_steps + inner)
        return facts

    def _nll(self, this: _Round, scored: Scored) -> Tensor:
        """Of the truth over the catalogue and the other negatives, mentioned items excluded, shape (B,).

        By the vectors alone, as in fine-tuning.
        """
        items, extra = len(self._lesson.stock), len(this.others)
        rows = torch.cat([torch.arange(items), this.others])
        scores = scored.all(rows).double()
        if this.bonuses is not None:
            scores = scores - this.bonuses.index_select(1, rows)
        seen, truth = (nn.functional.pad(of(this.turns, items), (0, extra)) for of in (seen_mask, truth_mask))
        return nll_loss(scores.masked_fill(seen, -torch.inf), truth)

    def _descend(self, learned: LearnerLoss, nll: Tensor | None, step: int) -> dict[str, float]:
        settings, weight = self._lesson.loop, self._lesson.learner.nll_weight()
        total = learned.value + weight * nll.mean() if weight and nll is not None else learned.value
        if not math.isfinite(float(total.detach())):
            raise InputError(f"the loss is {float(total.detach())!r} at step {step}; try a lower learning_rate")
        for group in self._optimiser.param_groups:
            group["lr"] = settings.learning_rate * min(1.0, (step + 1) / max(1, settings.warmup))
        self._optimiser.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        norm = float(nn.utils.clip_grad_norm_(self._scorer.model.parameters(), settings.clip))
        if not math.isfinite(norm):
            raise InputError(f"the gradient's norm is {norm!r} at step {step}; try a lower learning_rate")
        self._optimiser.step()
        facts = {"loss": float(total.detach()), "loss rl": float(learned.value.detach()), "grad norm": norm}
        if nll is not None:
            facts["nll"] = float(nll.detach().mean())
        return facts | {"told": float(learned.told.double().mean())}


def batch_of(turns: Sequence[TokenisedTurn], at: int, batch: int, seed: int) -> tuple[TokenisedTurn, ...]:
    """The turns of iteration `at`: epochs in seeded orders, one batch after the other; a last short one is a batch."""
    epoch, place = divmod(at, epoch_steps(len(turns), batch))
    order = epoch_order(len(turns), seed, epoch)[place * batch : (place + 1) * batch]
    return tuple(turns[at] for at in order)


def epoch_steps(turns: int, batch: int) -> int:
    """Iterations of an epoch."""
    return math.ceil(turns / batch)


def _generator(seed: int, at: int, what: int) -> torch.Generator:
    return torch.Generator().manual_seed(((seed * 1_000_003 + at) * 1_009 + what) % 2**62)


def _of_rollouts(rollouts: Sequence[Rollout], rolled: Rolled) -> dict[str, float | None]:
    if not rollouts:
        return {}
    valid, rewards = rolled.valid, rolled.rewards
    low = torch.where(valid, rewards, torch.inf).amin(-1)
    high = torch.where(valid, rewards, -torch.inf).amax(-1)
    bias = position_bias(rollouts)
    return {
        "reward": float(masked_mean(rewards, valid)),
        "reward best of group": float(torch.where(valid.any(-1), high, 0.0).mean()),
        "no signal": float((high <= low).double().mean()),
        "truth in set": truth_entered(rollouts),
        "degraded": float((~valid).double().mean()),
        "position slope": None if bias is None else bias.slope,
    }


def _spent(spent: Spend, last: RolloutProgress | None) -> dict[str, float]:
    found = {"calls": spent.calls, "tokens": spent.tokens, "usd": spent.usd}
    return found if last is None else {**found, "cached": last.cached, "from ledger": last.found}
