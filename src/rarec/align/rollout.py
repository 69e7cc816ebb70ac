"""The nouns of rollouts: what is asked, with which settings, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite, isnan
from pathlib import Path

from rarec.errors import InputError
from rarec.llm.budget import Spend
from rarec.prompt import PromptTemplate
from rarec.reward import Reward, reward_named, weighted_sum
from rarec.types import Conversation, Item, ItemId, ParseReport, Usage

Key = tuple[int, str, int]
"""iteration, turn, group: names a rollout within a run."""


@dataclass(frozen=True, slots=True)
class RolloutTask:
    """One turn to learn from.

    Attributes:
        turn: its id, unique among the tasks of an iteration.
        conversation: what was said before, mentions linked.
        mentioned: the catalogue items that the conversation mentions, by id.
        truth: what the turn recommended; not empty. It need not be in the proposal.
        proposal: the policy's best M items, best first, each once.
        scores: theirs, falling; -inf for an item that cannot be drawn.
    Raises:
        InputError: no truth, an item twice, or scores that do not fit.
    """

    turn: str
    conversation: Conversation
    mentioned: Mapping[ItemId, Item]
    truth: tuple[ItemId, ...]
    proposal: tuple[Item, ...]
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.truth:
            raise InputError(f"turn {self.turn!r} has no truth, so no ranking has a reward; leave such turns out")
        if len(self.proposal) != len(self.scores):
            raise InputError(
                f"turn {self.turn!r} has {len(self.proposal)} items in its proposal but {len(self.scores)} scores"
            )
        if len({item.id for item in self.proposal}) != len(self.proposal):
            raise InputError(f"the proposal of turn {self.turn!r} has an item twice; propose every item once")
        before = inf
        for place, score in enumerate(self.scores):
            if isnan(score) or score == inf or score > before:
                raise InputError(
                    f"the proposal of turn {self.turn!r} has the score {score!r} at place {place}, after {before!r}; "
                    "scores are finite or -inf, best first"
                )
            before = score


@dataclass(frozen=True, slots=True)
class RolloutSettings:
    """How sets are drawn and how the model is asked.

    Attributes:
        n: items of a candidate set.
        groups: sets a turn.
        ranked: how many of its candidates the model is asked to rank, all of a smaller set; the rest follows in the
            policy's order.
        temperature: of the policy, see `policy.sample_sets`.
        seed: with the iteration, the turn and the group it decides which sets are drawn and how they are shown.
        concurrency: calls in flight.
        deadline_s: of each call.
        run_deadline_s: of one `collect`.
        max_tokens, llm_temperature, template: see `rarec.prompt.ranking_request`.
        max_degraded: share of rollouts without a usable answer, from 0 to 1, above which the run stops.
    Raises:
        InputError: values out of range, all in one message.
    """

    n: int = 20
    groups: int = 4
    ranked: int = 10
    temperature: float = 1.0
    seed: int = 0
    concurrency: int = 64
    deadline_s: float = 60.0
    run_deadline_s: float = inf
    max_tokens: int = 800
    llm_temperature: float = 0.0
    max_degraded: float = 0.1
    template: str | Path | PromptTemplate = "default"

    def __post_init__(self) -> None:
        faults = [
            f"{name} must be at least 1, got {value!r}"
            for name in ("n", "groups", "ranked", "concurrency", "max_tokens")
            if (value := getattr(self, name)) < 1
        ]
        faults += [
            f"{name} must be more than 0, got {value!r}"
            for name in ("temperature", "deadline_s", "run_deadline_s")
            if not (value := getattr(self, name)) > 0
        ]
        if not (isfinite(self.temperature) and isfinite(self.deadline_s)):
            faults.append("temperature and deadline_s must be finite")
        if not 0 <= self.max_degraded <= 1:
            faults.append(f"max_degraded must be a share from 0 to 1, got {self.max_degraded!r}")
        if faults:
            raise InputError("; ".join(faults))


@dataclass(frozen=True, slots=True)
class RolloutReward:
    """What a ranking is worth, and parts of it to look at.

    Attributes:
        total: the reward that is learned from; it must give finite numbers.
        parts: by name; only written down.
    """

    total: Reward
    parts: Mapping[str, Reward] = field(default_factory=dict[str, Reward])

    @staticmethod
    def of(weights: Mapping[str, float]) -> RolloutReward:
        """A weighted sum of named rewards, each also a part; raises as `rarec.reward.weighted_sum`."""
        return RolloutReward(weighted_sum(weights), {name: reward_named(name) for name in weights})

    def __call__(self, ranking: Sequence[ItemId], truth: Collection[ItemId]) -> tuple[float, dict[str, float]]:
        """The reward and its parts. Raises InputError if one is not finite."""
        found = {name: float(part(ranking, truth)) for name, part in self.parts.items()}
        total = float(self.total(ranking, truth))
        for name, value in {**found, "the reward": total}.items():
            if not isfinite(value):
                raise InputError(f"{name} of a ranking is {value!r}; rewards are finite numbers")
        return total, found


@dataclass(frozen=True, slots=True)
class Rollout:
    """One candidate set, shown to a model once, and what came of it.

    Attributes:
        iteration, turn, group: its name in the run, see `key`.
        truth: of the turn.
        items: the set in the order in which it was drawn.
        shown: the same items in the order in which the model saw them.
        log_prob: of drawing `items` in this order under the policy that drew them, in nats (float64).
        temperature: of that policy.
        proposal: M, the items among which they were drawn.
        prompt: sha256 of the messages; the ledger has them.
        model: that answered, as it calls itself.
        answer: its text; empty without an answer.
        named: how many items the answer itself ranks; they come first in `ranking`.
        report: what was repaired in the answer; None without an answer.
        ranking: all items of the set, best first: those that the answer ranks, then the others in the policy's order.
            Empty if degraded.
        reward: of the ranking; None if degraded, so that a failure never passes for a bad ranking.
        parts: of the reward, by name.
        usage: tokens of the call that was made for the answer, now or earlier.
        latency_ms: of that call; None if not measured.
        spend: what this rollout took from the budget.
        cached: the answer was on disk.
        degraded: there is no usable answer; `reason` says why.
    """

    iteration: int
    turn: str
    group: int
    truth: tuple[ItemId, ...]
    items: tuple[ItemId, ...]
    shown: tuple[ItemId, ...]
    log_prob: float
    temperature: float
    proposal: int
    prompt: str
    model: str = ""
    answer: str = ""
    named: int = 0
    report: ParseReport | None = None
    ranking: tuple[ItemId, ...] = ()
    reward: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict[str, float])
    usage: Usage = field(default_factory=Usage)
    latency_ms: float | None = field(default=None, compare=False)
    spend: Spend = field(default_factory=Spend, compare=False)
    cached: bool = field(default=False, compare=False)
    degraded: bool = False
    reason: str = ""

    @property
    def key(self) -> Key:
        """iteration, turn, group."""
        return self.iteration, self.turn, self.group


@dataclass(frozen=True, slots=True)
class RolloutProgress:
    """How far a collection is.

    Attributes:
        done, total: rollouts.
        found: of those done, how many the ledger had.
        calls: that went to the model, failed ones included.
        cached: answers that were on disk.
        spend: of this collection so far.
        degraded: of those done.
        mean_reward: of those done that have one; None if there are none.
    """

    done: int
    total: int
    found: int
    calls: int
    cached: int
    spend: Spend
    degraded: int
    mean_reward: float | None


OnProgress = Callable[[RolloutProgress], None]
