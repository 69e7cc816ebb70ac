"""What is learned from judged sets, by name: each learner turns a batch into one loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from rarec.align import losses
from rarec.align.inclusion import log_inclusion
from rarec.align.policy import multinomial_set_log_prob, ordered_log_prob
from rarec.align.unordered import set_log_prob

_NO_CREDIT = 1e-9
"""Below this a sum of credits is a rounding error."""

SetLogProb = Literal["ordered", "unordered", "multinomial"]
"""Of the draws in their order; of the set in any order; of as many draws with replacement."""

_LOG_PROBS = {"ordered": ordered_log_prob, "unordered": set_log_prob, "multinomial": multinomial_set_log_prob}


@dataclass(frozen=True, slots=True, eq=False)
class JudgedBatch:
    """A batch of turns with what the judge made of their sets.

    Attributes:
        scores: of the policy over the proposal, float64, with gradient, shape (B, M); -inf cannot be drawn.
        reference: the same of the frozen reference.
        sets: columns of the proposal in the order of the draws, shape (B, G, n); G is 0 if nobody was asked.
        rewards: shape (B, G); 0 where not `valid`.
        valid: False where the judge gave no usable answer, shape (B, G).
        credits: of each item of a set, in its order, shape (B, G, n); 0 where not valid.
        temperature: of the policy.
        nll: of the truth over the catalogue by the vectors alone, with gradient, shape (B,); None if no loss needs it.
        old: what the learner gave as `log_probs` when the sets were drawn; None in the first step of a batch.
    """

    scores: Tensor
    reference: Tensor
    sets: Tensor
    rewards: Tensor
    valid: Tensor
    credits: Tensor
    temperature: float
    nll: Tensor | None = None
    old: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LearnerLoss:
    """What a learner makes of a batch.

    Attributes:
        value: to be made smaller, shape (), with gradient.
        told: turns that say anything about which sets are better, bool, shape (B,).
        log_probs: of the sets, detached, for later steps on the same batch; None if the learner needs none.
    """

    value: Tensor
    told: Tensor
    log_probs: Tensor | None = None


class BaseLearner(BaseModel):
    """What all learners have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    asks: ClassVar[bool] = True
    """Whether it learns from rollouts."""
    as_finetuning: ClassVar[bool] = False
    """Whether dropout and hidden tokens are on, as in fine-tuning."""
    supervised: ClassVar[bool] = False
    """Whether its own loss is made of the NLL of the truth."""

    def nll_weight(self) -> float:
        """Of the NLL beside the learner's own loss."""
        return 0.0

    def needs_nll(self) -> bool:
        """Whether the NLL has to be computed."""
        return self.supervised or self.nll_weight() > 0

    def loss(self, batch: JudgedBatch) -> LearnerLoss:
        """The learner's own loss, without the NLL beside it."""
        raise NotImplementedError


class _Rewarded(BaseLearner):
    """Learns from rewards.

    Attributes:
        lambda_nll: weight of the NLL beside the learner's own loss; 0 leaves it out.
    """

    lambda_nll: float = Field(default=0.3, ge=0, allow_inf_nan=False)

    def nll_weight(self) -> float:
        return self.lambda_nll


class DPO(_Rewarded):
    """The best set of a turn against the worst (`losses.dpo_loss`).

    Attributes:
        beta: how tightly it is held to the bundle that it starts from; more is tighter.
        log_prob: of a set: ``ordered`` of its draws in their order, ``unordered`` of the set in any order,
            ``multinomial`` of as many draws with replacement.
    """

    name: Literal["dpo"] = "dpo"
    beta: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    log_prob: SetLogProb = "ordered"

    def loss(self, batch: JudgedBatch) -> LearnerLoss:
        pairs = losses.best_and_worst(_filled(batch))
        of = _LOG_PROBS[self.log_prob]
        own = of(batch.scores, batch.sets, temperature=batch.temperature)
        reference = of(batch.reference, batch.sets, temperature=batch.temperature)
        each = losses.dpo_loss(pairs.margins(own), pairs.margins(reference), beta=self.beta)
        return LearnerLoss(losses.masked_mean(each, pairs.mask), pairs.mask)


class MultDPO(_Rewarded):
    """The items of the best set only against those of the worst only (`losses.multinomial_dpo_loss`).

    Attributes:
        beta: how tightly it is held to the bundle that it starts from; more is tighter.
        pairs: ``sets`` takes the items that only one of the best and the worst set has; ``credits`` those of all the
            turn's sets whose credits add up to more than 0 against those whose credits add up to less. Items that made
            no difference play no part: with them as negatives it learned the truth and nothing of the judge.
    """

    name: Literal["mult-dpo"] = "mult-dpo"
    beta: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    pairs: Literal["sets", "credits"] = "sets"

    def loss(self, batch: JudgedBatch) -> LearnerLoss:
        positive, negative = self._of_sets(batch) if self.pairs == "sets" else self._of_credits(batch)
        each = losses.multinomial_dpo_loss(
            batch.scores / batch.temperature,
            batch.reference / batch.temperature,
            positive=positive,
            negative=negative,
            beta=self.beta,
        )
        told = positive.any(-1) & negative.any(-1)
        return LearnerLoss(losses.masked_mean(each, told), told)

    def _of_sets(self, batch: JudgedBatch) -> tuple[Tensor, Tensor]:
        pairs = losses.best_and_worst(_filled(batch))
        best, worst = (_chosen(batch.sets, of) for of in (pairs.best, pairs.worst))
        positive, negative = losses.only_in(best, worst, items=batch.scores.shape[1])
        return positive & pairs.mask[:, None], negative & pairs.mask[:, None]

    def _of_credits(self, batch: JudgedBatch) -> tuple[Tensor, Tensor]:
        flat = batch.sets.flatten(1)
        total = torch.zeros_like(batch.reference).scatter_add(1, flat, batch.credits.flatten(1))
        return total > _NO_CREDIT, total < -_NO_CREDIT


class GRPO(_Rewarded):
    """Rewards against their group's mean, over its deviation, with a clipped ratio (`losses.grpo_loss`).

    Attributes:
        clip: how far the probability of a set may move, relative to that at its draw, before the set teaches no more;
            it plays a part with several steps on a batch only.
        scale: divide by the deviation of the group.
        kl_weight: of the pull towards the reference.
        log_prob: of a set: ``ordered`` of its draws in their order, ``unordered`` of the set in any order,
            ``multinomial`` of as many draws with replacement.
    """

    name: Literal["grpo"] = "grpo"
    clip: float = Field(default=0.2, gt=0)
    kl_weight: float = Field(default=0.01, ge=0, allow_inf_nan=False)
    scale: bool = True
    log_prob: SetLogProb = "ordered"

    def loss(self, batch: JudgedBatch) -> LearnerLoss:
        advantages = _by_row(batch, lambda rewards: losses.group_advantages(rewards, scale=self.scale))
        of = _LOG_PROBS[self.log_prob]
        own = of(batch.scores, batch.sets, temperature=batch.temperature)
        reference = of(batch.reference, batch.sets, temperature=batch.temperature)
        old = own.detach() if batch.old is None else batch.old
        each = losses.grpo_loss(own, old, reference, advantages, clip=self.clip, kl_weight=self.kl_weight)
        return LearnerLoss(losses.masked_mean(each, batch.valid), _told(advantages), own.detach())


class PolicyGradient(_Rewarded):
    """REINFORCE with the mean of the turn's other sets as baseline.

    Attributes:
        scale: divide advantages by their deviation in the batch, so that lambda_nll means the same at any reward.
        log_prob: of a set: ``ordered`` of its draws in their order, ``unordered`` of the set in any order,
            ``multinomial`` of as many draws with replacement.
    """

    name: Literal["pg"] = "pg"
    scale: bool = True
    log_prob: SetLogProb = "ordered"

    def loss(self, batch: JudgedBatch) -> LearnerLoss:
        advantages = _by_row(batch, losses.leave_one_out_advantages)
        own = _LOG_PROBS[self.log_prob](batch.scores, batch.sets, temperature=batch.temperature)
        each = losses.plackett_luce_policy_gradient(own, _scaled(advantages, batch.valid, self.scale))
        return LearnerLoss(losses.masked_mean(each, batch.valid), _told(advantages))


class _Credited(_Rewarded):
    """What learners by item have in common.

    Attributes:
        centre: subtract the mean credit of the turn's other sets.
        scale: divide credits by the deviation of the sets' rewards within turns, over the batch.
    """

    centre: bool = True
    scale: bool = True

    def credits(self, batch: JudgedBatch) -> Tensor:
        """As the loss takes them, shape (B, G, n)."""
        credits = batch.credits
        if self.centre:
            credits = _by_row(batch, lambda own: losses.centred_credits(own), batch.credits)
        if not self.scale:
            return credits
        rewards = _by_row(batch, lambda own: losses.group_advantages(own, scale=False))
        return credits / _deviation(rewards, batch.valid)


class CreditAssigned(_Credited):
    """CA-PG: credit moves the chance that an item is in a set at all (`losses.credit_assigned_loss`)."""

    name: Literal["ca-pg"] = "ca-pg"

    def loss(self, batch: JudgedBatch) -> LearnerLoss:
        credits = self.credits(batch)
        marginals = log_inclusion(batch.scores, batch.sets.shape[2], temperature=batch.temperature)
        each = losses.credit_assigned_loss(marginals, batch.sets, credits)
        return LearnerLoss(losses.masked_mean(each, batch.valid), (credits != 0).flatten(1).any(-1))


class Top1(_Credited):
    """TOP1-PG: credit moves the chance that an item is drawn first (`losses.top1_loss`)."""

    name: Literal["top1-pg"] = "top1-pg"

    def loss(self, batch: JudgedBatch) -> LearnerLoss:
        credits = self.credits(batch)
        each = losses.top1_loss(batch.scores, batch.sets, credits, temperature=batch.temperature)
        return LearnerLoss(losses.masked_mean(each, batch.valid), (credits != 0).flatten(1).any(-1))


class RewardWeightedNLL(_Rewarded):
    """The NLL of the truth, turns weighted by their mean reward: a control that knows no sets."""

    supervised: ClassVar[bool] = True
    name: Literal["reward-weighted-nll"] = "reward-weighted-nll"
    lambda_nll: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    def loss(self, batch: JudgedBatch) -> LearnerLoss:
        assert batch.nll is not None
        answered = batch.valid.any(-1)
        mean = (batch.rewards * batch.valid).sum(-1) / batch.valid.sum(-1).clamp(min=1)
        # Of the answered turns alone: weights are relative to their mean, and a failure is no reward of 0.
        each = losses.reward_weighted_nll(batch.nll[answered], mean[answered, None])
        return LearnerLoss(losses.masked_mean(each), mean > 0)


class _Supervised(BaseLearner):
    """Learns the truth alone.

    Attributes:
        watch: ask the judge all the same, to see how the reward goes; the answers are not learned from.
    """

    asks: ClassVar[bool] = False
    supervised: ClassVar[bool] = True
    watch: bool = False

    def loss(self, batch: JudgedBatch) -> LearnerLoss:
        assert batch.nll is not None
        return LearnerLoss(batch.nll.mean(), torch.zeros(len(batch.nll), dtype=torch.bool))


class SFTLonger(_Supervised):
    """The control: fine-tuning goes on, with its dropout, over the same turns for as many steps, without reward."""

    as_finetuning: ClassVar[bool] = True
    name: Literal["sft-longer"] = "sft-longer"


class NLLOnly(_Supervised):
    """The supervised part of the other learners alone: no reward, and dropout only if they have it (`loop.dropout`)."""

    name: Literal["nll-only"] = "nll-only"


Learner = Annotated[
    DPO
    | GRPO
    | PolicyGradient
    | CreditAssigned
    | Top1
    | MultDPO
    | RewardWeightedNLL
    | SFTLonger
    | NLLOnly,
    Field(discriminator="name"),
]  # fmt: skip
LEARNERS: dict[str, type[BaseLearner]] = {
    "dpo": DPO,
    "grpo": GRPO,
    "pg": PolicyGradient,
    "ca-pg": CreditAssigned,
    "top1-pg": Top1,
    "mult-dpo": MultDPO,
    "reward-weighted-nll": RewardWeightedNLL,
    "sft-longer": SFTLonger,
    "nll-only": NLLOnly,
}
"""By name."""


def _filled(batch: JudgedBatch) -> Tensor:
    """Rewards in which a set without an answer has the mean of the turn's others: neither the best nor the worst."""
    low = torch.where(batch.valid, batch.rewards, torch.inf).amin(-1, keepdim=True)
    high = torch.where(batch.valid, batch.rewards, -torch.inf).amax(-1, keepdim=True)
    total = torch.where(batch.valid, batch.rewards, 0.0).sum(-1, keepdim=True)
    mean = total / batch.valid.sum(-1, keepdim=True).clamp(min=1)
    none = ~batch.valid.any(-1, keepdim=True)
    middle = torch.where(none, 0.0, torch.minimum(torch.maximum(mean, low), high))
    return torch.where(batch.valid, batch.rewards, middle)


def _by_row(batch: JudgedBatch, function: Callable[[Tensor], Tensor], values: Tensor | None = None) -> Tensor:
    """A function of (B, G, ...) over the valid sets of each turn; 0 elsewhere, and where fewer than two are valid."""
    values = batch.rewards if values is None else values
    if bool(batch.valid.all()) and batch.valid.shape[1] > 1:
        return function(values)
    result = torch.zeros_like(values)
    for row, valid in enumerate(batch.valid):
        if int(valid.sum()) > 1:
            result[row, valid] = function(values[row, valid][None])[0]
    return result


def _told(advantages: Tensor) -> Tensor:
    return (advantages != 0).any(-1)


def _scaled(advantages: Tensor, valid: Tensor, scale: bool) -> Tensor:
    return advantages / _deviation(advantages, valid) if scale else advantages


def _deviation(advantages: Tensor, valid: Tensor) -> Tensor:
    """Root mean square over the valid sets, and at least a small number: a batch without signal stays without."""
    mean = losses.masked_mean(advantages.square(), valid)
    return mean.sqrt().clamp(min=1e-4)


def _chosen(sets: Tensor, group: Tensor) -> Tensor:
    return sets.gather(1, group[:, None, None].expand(-1, 1, sets.shape[2]))[:, 0]
