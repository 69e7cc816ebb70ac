"""Expectations of gradient estimators, by enumeration of all sets, against the gradient of the expected reward."""

from itertools import permutations, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rarec.align.inclusion import exact_log_inclusion
from rarec.align.losses import (
    centred_credits,
    credit_assigned_loss,
    group_advantages,
    leave_one_out_advantages,
    plackett_luce_policy_gradient,
    top1_loss,
)
from rarec.align.policy import ordered_log_prob
from rarec.align.unordered import set_log_prob

SEEDS = st.integers(0, 100_000)


class World:
    """All ordered sets of n of m items, their probabilities, and a reward that adds up over the items of a set."""

    def __init__(self, seed: int, m: int, n: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.n = n
        self.sets = torch.tensor([list(permutations(range(m), n))])
        self.scores = torch.randn(1, m, dtype=torch.float64, generator=generator).requires_grad_()
        self.values = torch.randn(m, dtype=torch.float64, generator=generator)
        self.log_p = ordered_log_prob(self.scores, self.sets)
        self.p = self.log_p.exp().detach()
        self.credits = self.values[self.sets]

    def gradient(self, objective: Tensor) -> Tensor:
        return torch.autograd.grad(objective.sum(), self.scores, retain_graph=True)[0][0]

    def true_gradient(self, rewards: Tensor) -> Tensor:
        """Of the expected reward, through the probabilities themselves."""
        return self.gradient(self.log_p.exp() * rewards)


WORLDS = st.builds(World, SEEDS, st.integers(3, 4), st.integers(1, 3))


@settings(deadline=None, max_examples=30)
@given(WORLDS, SEEDS)
def test_reinforce_is_unbiased_for_any_reward_of_a_set(world: World, seed: int) -> None:
    rewards = torch.randn(world.p.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    found = -world.gradient(world.p * plackett_luce_policy_gradient(world.log_p, rewards))
    torch.testing.assert_close(found, world.true_gradient(rewards))


@settings(deadline=None, max_examples=15)
@given(SEEDS)
def test_the_leave_one_out_baseline_adds_no_bias(seed: int) -> None:
    world = World(seed, 3, 2)
    rewards = world.credits.sum(-1)[0] ** 2  # not additive
    pairs = torch.tensor(list(product(range(world.sets.shape[1]), repeat=2)))  # both sets of a group
    chance = world.p[0][pairs].prod(-1, keepdim=True)
    losses = plackett_luce_policy_gradient(world.log_p[0][pairs], leave_one_out_advantages(rewards[pairs]))
    torch.testing.assert_close(-world.gradient(chance * losses) / 2, world.true_gradient(rewards[None]))


@settings(deadline=None, max_examples=30)
@given(WORLDS, SEEDS)
def test_the_unordered_probability_gives_the_same_mean(world: World, seed: int) -> None:
    of_set = torch.randn(8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    rewards = of_set[world.sets.amin(-1), world.sets.amax(-1)]  # any reward that the order does not touch
    log_set = set_log_prob(world.scores, world.sets)
    found = -world.gradient(world.p * plackett_luce_policy_gradient(log_set, rewards))
    torch.testing.assert_close(found, world.true_gradient(rewards), atol=1e-8, rtol=1e-6)


@settings(deadline=None, max_examples=30)
@given(WORLDS)
def test_credit_assignment_is_unbiased_for_additive_rewards(world: World) -> None:
    losses = credit_assigned_loss(exact_log_inclusion(world.scores, world.n), world.sets, world.credits)
    found = -world.gradient(world.p * losses)
    torch.testing.assert_close(found, world.true_gradient(world.credits.sum(-1)), atol=1e-8, rtol=1e-6)


@settings(deadline=None, max_examples=15)
@given(SEEDS)
def test_centring_the_credits_adds_no_bias(seed: int) -> None:
    world = World(seed, 3, 2)
    pairs = torch.tensor(list(product(range(world.sets.shape[1]), repeat=2)))
    chance = world.p[0][pairs].prod(-1, keepdim=True)
    log_marginals = exact_log_inclusion(world.scores, world.n).expand(len(pairs), -1)
    losses = credit_assigned_loss(log_marginals, world.sets[0][pairs], centred_credits(world.credits[0][pairs]))
    found = -world.gradient(chance * losses) / 2
    torch.testing.assert_close(found, world.true_gradient(world.credits.sum(-1)), atol=1e-8, rtol=1e-6)


def test_credit_assignment_is_biased_where_a_credit_depends_on_the_company() -> None:
    """The stated limit: item 0 earns only beside item 1, so what is dropped is the gain of offering item 1."""
    world = World(0, 4, 2)
    credits = ((world.sets == 0) & (world.sets == 1).any(-1, keepdim=True)).double()
    losses = credit_assigned_loss(exact_log_inclusion(world.scores, 2), world.sets, credits)
    found, true = -world.gradient(world.p * losses), world.true_gradient(credits.sum(-1))
    log_marginals = exact_log_inclusion(world.scores, 2)[0]
    kept = (world.p * credits.sum(-1)).sum() * world.gradient(log_marginals[0])
    torch.testing.assert_close(found, kept, atol=1e-8, rtol=1e-6)
    assert true[1] > 0 > found[1]


@settings(deadline=None, max_examples=30)
@given(WORLDS)
def test_top1_pushes_each_item_by_how_often_it_is_offered(world: World) -> None:
    found = -world.gradient(world.p * top1_loss(world.scores, world.sets, world.credits))
    inclusion = exact_log_inclusion(world.scores, world.n)[0].exp().detach()
    expected = world.gradient(inclusion * world.values * world.scores.log_softmax(-1)[0])
    torch.testing.assert_close(found, expected, atol=1e-8, rtol=1e-6)
    if world.n == 1:
        torch.testing.assert_close(found, world.true_gradient(world.credits.sum(-1)))


@settings(deadline=None, max_examples=30)
@given(SEEDS)
def test_top1_is_unbiased_for_draws_with_replacement(seed: int) -> None:
    world = World(seed, 4, 1)  # n independent draws are n sets of one
    value = (world.scores.softmax(-1)[0] * world.values).sum()
    found = -world.gradient(world.p * top1_loss(world.scores, world.sets, world.credits))
    torch.testing.assert_close(3 * found, world.gradient(3 * value))


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(-5, 5), min_size=3, max_size=3), min_size=1, max_size=4), st.floats(-3, 3))
def test_advantages_are_centred_and_unmoved_by_a_shift(rewards: list[list[float]], shift: float) -> None:
    given_rewards = torch.tensor(rewards, dtype=torch.float64)
    found = group_advantages(given_rewards)
    assert found.isfinite().all()
    assert found.sum(-1).abs().max() < 1e-8
    spread = given_rewards.amax(-1) - given_rewards.amin(-1) > 0.01
    assert found[spread].square().mean(-1).tolist() == pytest.approx([1.0] * int(spread.sum()), abs=0.06)
    plain, moved = (group_advantages(r, scale=False) for r in (given_rewards, given_rewards + shift))
    torch.testing.assert_close(plain, moved, atol=1e-9, rtol=1e-9)
    for values in (found, leave_one_out_advantages(given_rewards)):
        better = given_rewards[:, :, None] > given_rewards[:, None, :] + 1e-6
        assert (values[:, :, None] >= values[:, None, :])[better].all(), "a better reward never has less"
