"""Learners: what each makes of a batch, and what none may make of equal rewards or missing answers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from rarec.align.learners import (
    DPO,
    GRPO,
    LEARNERS,
    BaseLearner,
    CreditAssigned,
    JudgedBatch,
    Learner,
    MultDPO,
    NLLOnly,
    PolicyGradient,
    RewardWeightedNLL,
    SFTLonger,
    Top1,
)
from rarec.align.policy import ordered_log_prob, sample_sets

ROWS, ITEMS, GROUPS, N = 3, 12, 4, 3
REWARDED = [DPO(), GRPO(), PolicyGradient(), CreditAssigned(), Top1(), MultDPO(), MultDPO(pairs="credits")]


def batch(scores: Tensor, *, rewards: Tensor | None = None) -> JudgedBatch:
    generator = torch.Generator().manual_seed(1)
    sets = sample_sets(scores.detach(), N, groups=GROUPS, generator=generator)
    if rewards is None:
        rewards = torch.rand(ROWS, GROUPS, generator=generator, dtype=torch.float64)
    credits = rewards[..., None] * torch.tensor([1.0, 0.0, -0.5], dtype=torch.float64)
    return JudgedBatch(
        scores=scores,
        reference=torch.linspace(-1, 1, ROWS * ITEMS, dtype=torch.float64).view(ROWS, ITEMS),
        sets=sets,
        rewards=rewards,
        valid=torch.ones(ROWS, GROUPS, dtype=torch.bool),
        credits=credits,
        temperature=1.0,
        nll=(scores.logsumexp(-1) - scores[:, 0]),
    )


def scores() -> Tensor:
    values = torch.randn(ROWS, ITEMS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return values.requires_grad_()


def gradient(learner: BaseLearner, given: JudgedBatch) -> Tensor:
    (found,) = torch.autograd.grad(learner.loss(given).value, given.scores, allow_unused=True)
    return torch.zeros_like(given.scores) if found is None else found


def test_every_learner_has_its_name_in_a_recipe() -> None:
    adapter = TypeAdapter[BaseLearner](Learner)
    for name, kind in LEARNERS.items():
        assert type(adapter.validate_python({"name": name})) is kind
    with pytest.raises(ValidationError, match="beta"):
        adapter.validate_python({"name": "grpo", "beta": 0.1})
    with pytest.raises(ValidationError, match="lambda_nll"):
        adapter.validate_python({"name": "sft-longer", "lambda_nll": 0.3})


@pytest.mark.parametrize("learner", REWARDED, ids=lambda learner: type(learner).__name__)
def test_equal_rewards_say_nothing(learner: BaseLearner) -> None:
    given = batch(scores(), rewards=torch.full((ROWS, GROUPS), 0.3, dtype=torch.float64))
    if isinstance(learner, (CreditAssigned, Top1)):
        given = replace(given, credits=torch.full_like(given.credits, 0.1))
    if isinstance(learner, MultDPO):
        given = replace(given, credits=torch.zeros_like(given.credits))
    if isinstance(learner, GRPO):
        learner = GRPO(kl_weight=0.0)
    assert not learner.loss(given).told.any()
    assert torch.equal(gradient(learner, given), torch.zeros(ROWS, ITEMS, dtype=torch.float64))


@pytest.mark.parametrize("learner", [DPO(), GRPO(kl_weight=0.0), PolicyGradient()], ids=lambda one: type(one).__name__)
def test_a_small_step_makes_the_best_set_likelier_than_the_worst(learner: BaseLearner) -> None:
    given = batch(scores())
    best, worst = given.rewards.argmax(-1), given.rewards.argmin(-1)

    def margin(values: Tensor) -> Tensor:
        found = ordered_log_prob(values, given.sets)
        return (found.gather(1, best[:, None]) - found.gather(1, worst[:, None]))[:, 0]

    after = given.scores.detach() - 1e-3 * gradient(learner, given)
    assert (margin(after) > margin(given.scores.detach())).all()


@pytest.mark.parametrize("learner", [CreditAssigned(centre=False), Top1(centre=False)], ids=["ca-pg", "top1-pg"])
def test_an_item_with_credit_goes_up(learner: BaseLearner) -> None:
    given = batch(scores())
    item = given.sets[0, 0, 0]
    credits = torch.zeros_like(given.credits)
    credits[0, 0, 0] = 1.0
    down = gradient(learner, replace(given, credits=credits))
    assert down[0, item] < 0
    assert (down[1:] == 0).all()


def test_an_item_that_made_no_difference_is_neither_good_nor_bad() -> None:
    given = batch(scores())
    found = gradient(MultDPO(pairs="credits"), given)
    for row in range(ROWS):
        middle = set(given.sets[row, :, 1].tolist())
        credited = set(given.sets[row, :, [0, 2]].flatten().tolist())
        assert all(found[row, item] == 0 for item in middle - credited)
        assert any(found[row, item] != 0 for item in credited)


@pytest.mark.parametrize("learner", REWARDED, ids=lambda learner: type(learner).__name__)
def test_sets_without_an_answer_play_no_part(learner: BaseLearner) -> None:
    """Which items such a set holds, and what number stands in its place, changes nothing."""
    values = scores()
    given = batch(values)
    valid = given.valid.clone()
    valid[0, 1] = valid[1, 0] = valid[2] = False
    credits = given.credits * valid[..., None]
    one = replace(given, valid=valid, rewards=given.rewards * valid, credits=credits)
    sets = given.sets.clone()
    sets[0, 1], sets[1, 0] = torch.tensor([9, 10, 11]), torch.tensor([0, 5, 7])
    other = replace(one, sets=sets, rewards=torch.where(valid, given.rewards, 0.9))
    found = gradient(learner, one)
    assert torch.equal(found, gradient(learner, other))
    assert found.isfinite().all()
    assert not learner.loss(one).told[2]
    if not isinstance(learner, GRPO):  # whose pull to the reference needs the scores alone
        assert (found[2] == 0).all()


def test_on_policy_the_ratio_is_one_and_later_it_is_that_of_the_first_step() -> None:
    values = scores()
    given = batch(values)
    learner = GRPO(kl_weight=0.0)
    first = learner.loss(given)
    assert float(first.value.detach()) == pytest.approx(0.0, abs=1e-12)  # advantages add up to 0
    assert first.log_probs is not None
    assert torch.equal(first.log_probs, ordered_log_prob(values, given.sets).detach())
    moved = (values.detach() + 0.05 * torch.arange(ITEMS)).requires_grad_()
    later = learner.loss(replace(given, scores=moved, old=first.log_probs))
    assert float(later.value.detach()) != pytest.approx(0.0, abs=1e-6)


def test_scaled_credits_mean_the_same_at_any_reward() -> None:
    given = batch(scores())
    small = replace(given, rewards=given.rewards / 50, credits=given.credits / 50)
    for learner in (CreditAssigned(), Top1(), PolicyGradient()):
        assert torch.allclose(gradient(learner, given), gradient(learner, small))
    assert not torch.allclose(
        gradient(CreditAssigned(scale=False), given), gradient(CreditAssigned(scale=False), small)
    )


def test_controls_do_not_look_at_rewards() -> None:
    def flipped(given: JudgedBatch) -> JudgedBatch:
        return replace(given, rewards=given.rewards.flip(-1), credits=given.credits.flip(1))

    for learner in (SFTLonger(), NLLOnly()):
        assert not learner.asks
        assert torch.equal(gradient(learner, batch(scores())), gradient(learner, flipped(batch(scores()))))
        assert learner.needs_nll()
        assert learner.nll_weight() == 0  # its own loss is the NLL


def test_reward_weighted_nll_learns_from_the_turns_that_earned_something() -> None:
    rewards = torch.tensor([[1.0], [0.0], [0.0]], dtype=torch.float64).expand(ROWS, GROUPS)
    found = gradient(RewardWeightedNLL(), batch(scores(), rewards=rewards))
    assert (found[0] != 0).any()
    assert (found[1:] == 0).all()


def test_failed_rollouts_do_not_change_what_the_others_weigh_in_reward_weighted_nll() -> None:
    """A turn without an answer is no turn with a reward of 0: the loss is that of the answered turns alone."""
    given = batch(scores(), rewards=torch.full((ROWS, GROUPS), 0.4, dtype=torch.float64))
    valid = given.valid.clone()
    valid[0] = False
    valid[1, 0] = False
    part = replace(given, valid=valid, rewards=torch.where(valid, given.rewards, 0.0))
    assert given.nll is not None
    found = RewardWeightedNLL().loss(part)
    torch.testing.assert_close(found.value, given.nll[1:].mean())  # equal rewards weigh 1 each
    none = RewardWeightedNLL().loss(
        replace(part, valid=torch.zeros_like(valid), rewards=torch.zeros_like(part.rewards))
    )
    assert none.value == 0
    assert not none.told.any()
