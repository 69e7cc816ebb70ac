"""Losses against closed forms, finite differences and each other; and what they refuse."""

import math
from itertools import permutations

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from rarec.align.inclusion import exact_log_inclusion, log_inclusion
from rarec.align.losses import (
    best_and_worst,
    centred_credits,
    credit_assigned_loss,
    dpo_loss,
    group_advantages,
    grpo_loss,
    k3_kl,
    leave_one_out_advantages,
    masked_mean,
    multinomial_dpo_loss,
    nll_loss,
    only_in,
    plackett_luce_policy_gradient,
    reward_weighted_nll,
    top1_loss,
)
from rarec.align.policy import multinomial_set_log_prob, ordered_log_prob, sample_sets
from rarec.align.unordered import set_log_prob
from rarec.errors import InputError
from rarec.retriever.losses import softmax_loss


def normal(*shape: int, seed: int = 0, sd: float = 1.0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * sd


def gradient(loss: Tensor, leaf: Tensor) -> Tensor:
    return torch.autograd.grad(loss.sum(), leaf, retain_graph=True)[0]


SETS = torch.tensor([[[0, 3], [4, 1], [2, 0]], [[1, 0], [3, 2], [4, 2]]])


# advantages ----------------------------------------------------------------------------------------------------------


def test_group_advantages_by_hand() -> None:
    found = group_advantages(torch.tensor([[0.0, 1.0, 0.0, 1.0]], dtype=torch.float64), eps=0.5)
    assert found.tolist() == [[-0.5, 0.5, -0.5, 0.5]]
    assert group_advantages(torch.tensor([[0.0, 3.0, 3.0]]), scale=False).tolist() == [[-2.0, 1.0, 1.0]]


def test_leave_one_out_by_hand() -> None:
    assert leave_one_out_advantages(torch.tensor([[0.0, 1.0, 5.0]])).tolist() == [[-3.0, -1.5, 4.5]]
    assert leave_one_out_advantages(torch.tensor([[0.7]])).tolist() == [[pytest.approx(0.7)]]


@pytest.mark.parametrize("advantages", [group_advantages, leave_one_out_advantages])
def test_equal_rewards_give_no_gradient_at_all(advantages) -> None:
    rewards = torch.full((2, 7), 0.1)  # whose mean is not 0.1 in float32
    scores = normal(2, 5).requires_grad_()
    log_probs = ordered_log_prob(scores, SETS[:, [0, 1, 2, 0, 1, 2, 0]])
    assert not gradient(plackett_luce_policy_gradient(log_probs, advantages(rewards)), scores).any()
    assert not gradient(grpo_loss(log_probs, log_probs, log_probs, advantages(rewards), kl_weight=0.1), scores).any()


def test_one_group_has_no_standardised_advantage() -> None:
    assert group_advantages(torch.tensor([[0.3], [1.0]])).tolist() == [[0.0], [0.0]]


def test_masked_mean() -> None:
    losses = torch.tensor([1.0, 3.0, math.nan, math.inf], requires_grad=True)
    mask = torch.tensor([True, True, False, False])
    found = masked_mean(losses, mask)
    assert found == 2
    assert gradient(found, losses).tolist() == [0.5, 0.5, 0.0, 0.0]
    nothing = masked_mean(losses, mask & False)
    assert nothing == 0
    assert not gradient(nothing, losses).any()
    assert masked_mean(losses[:2]) == 2
    assert masked_mean(losses[:0]) == 0


# policy gradient and GRPO --------------------------------------------------------------------------------------------


def test_grpo_on_policy_is_the_policy_gradient_of_standardised_rewards() -> None:
    scores, rewards = normal(2, 5).requires_grad_(), normal(2, 3, seed=1)
    log_probs = ordered_log_prob(scores, SETS)
    advantages = group_advantages(rewards)
    one = gradient(grpo_loss(log_probs, log_probs, log_probs, advantages), scores)
    other = gradient(plackett_luce_policy_gradient(log_probs, advantages), scores)
    torch.testing.assert_close(one, other)
    assert one.abs().sum() > 0.1


@pytest.mark.parametrize(
    ("log_ratio", "advantage", "loss", "slope"),
    [
        (0.1, 2.0, -2 * math.exp(0.1), -2 * math.exp(0.1)),  # inside
        (0.5, 2.0, -2 * 1.2, 0.0),  # gained enough
        (-0.5, 2.0, -2 * math.exp(-0.5), -2 * math.exp(-0.5)),  # lost: full gradient back
        (-0.5, -2.0, 2 * 0.8, 0.0),  # fell enough
        (0.5, -2.0, 2 * math.exp(0.5), 2 * math.exp(0.5)),
    ],
)
def test_grpo_clips_only_what_went_far_enough(log_ratio: float, advantage: float, loss: float, slope: float) -> None:
    log_probs = torch.tensor([[log_ratio - 3.0]], dtype=torch.float64, requires_grad=True)
    found = grpo_loss(log_probs, torch.full_like(log_probs, -3.0), log_probs, torch.tensor([[advantage]]))
    assert float(found.detach()) == pytest.approx(loss)
    assert float(gradient(found, log_probs)) == pytest.approx(slope)


def test_grpo_gradients_and_kl() -> None:
    old, reference, advantages = normal(2, 3, seed=1, sd=0.05), normal(2, 3, seed=2), normal(2, 3, seed=3)
    log_probs = normal(2, 3, seed=4, sd=0.05).requires_grad_()
    assert gradcheck(lambda p: grpo_loss(p, old, reference, advantages, kl_weight=0.3), log_probs)
    assert gradcheck(lambda p: k3_kl(p, reference), log_probs)
    without = grpo_loss(log_probs, old, reference, advantages)
    torch.testing.assert_close(
        grpo_loss(log_probs, old, reference, advantages, kl_weight=0.3) - without, 0.3 * k3_kl(log_probs, reference)
    )
    assert not k3_kl(reference, reference).any()
    assert (k3_kl(log_probs, reference) > 0).all()


def test_k3_estimates_the_divergence_and_pulls_as_the_reverse_one() -> None:
    sets = torch.tensor([list(permutations(range(4), 2))])
    scores, reference = normal(1, 4).requires_grad_(), normal(1, 4, seed=1)
    log_p, log_r = ordered_log_prob(scores, sets), ordered_log_prob(reference, sets)
    p = log_p.exp().detach()
    torch.testing.assert_close((p * k3_kl(log_p, log_r)).sum(), (log_p.exp() * (log_p - log_r)).sum())
    reverse = (log_r.exp() * (log_r - log_p)).sum()
    torch.testing.assert_close(gradient((p * k3_kl(log_p, log_r)).sum(), scores), gradient(reverse, scores))


# credit --------------------------------------------------------------------------------------------------------------


def test_credit_assigned_loss_by_hand() -> None:
    log_marginals = torch.tensor([[-1.0, -2.0, -math.inf, -3.0]], requires_grad=True)
    sets = torch.tensor([[[0, 1], [3, 2]]])
    credits = torch.tensor([[[0.5, 2.0], [1.0, 0.0]]])
    found = credit_assigned_loss(log_marginals, sets, credits)
    assert found.tolist() == [[4.5, 3.0]]
    assert gradient(found, log_marginals).tolist() == [[-0.5, -2.0, 0.0, -1.0]]


def test_rewards_and_references_are_constants() -> None:
    """A reward model or a reference that carries a graph must not be trained by these losses."""
    scores, graph = normal(2, 5).requires_grad_(), normal(2, 5, seed=1).requires_grad_()
    log_probs, other = ordered_log_prob(scores, SETS), ordered_log_prob(graph, SETS)
    positive, negative = one_of(5, 0).expand(2, -1), one_of(5, 1).expand(2, -1)
    for loss in (
        plackett_luce_policy_gradient(log_probs, other),
        grpo_loss(log_probs, other, other, group_advantages(other), kl_weight=0.5),
        credit_assigned_loss(scores, SETS, graph[:, :3, None].expand(-1, -1, 2)),
        credit_assigned_loss(scores, SETS, centred_credits(graph[:, :3, None].expand(-1, -1, 2))),
        dpo_loss(log_probs[:, 0], other[:, 0], beta=0.1),
        multinomial_dpo_loss(scores, graph, positive=positive, negative=negative, beta=0.1),
        reward_weighted_nll(nll_loss(scores, positive), other.exp()),
    ):
        assert torch.autograd.grad(loss.sum(), graph, allow_unused=True, retain_graph=True)[0] is None


def test_gradients_of_credit_losses() -> None:
    credits = normal(2, 3, 2, seed=1)
    scores = normal(2, 5).requires_grad_()
    assert gradcheck(lambda s: credit_assigned_loss(exact_log_inclusion(s, 2), SETS, credits), scores)
    assert gradcheck(lambda s: top1_loss(s, SETS, credits, temperature=0.5), scores)


def test_gradients_of_weighted_log_probabilities() -> None:
    scores, weights = normal(2, 5).requires_grad_(), normal(2, 3, seed=1)
    assert gradcheck(lambda s: plackett_luce_policy_gradient(ordered_log_prob(s, SETS), weights), scores)
    truth = one_of(5, 1, 3).expand(2, -1)
    assert gradcheck(lambda s: reward_weighted_nll(nll_loss(s, truth), weights.abs()), scores)


def test_for_sets_of_one_all_policy_gradients_agree() -> None:
    scores, rewards = normal(2, 5).requires_grad_(), normal(2, 3, seed=1)
    single = SETS[..., :1]
    expected = gradient(plackett_luce_policy_gradient(ordered_log_prob(scores, single), rewards), scores)
    for found in (
        top1_loss(scores, single, rewards[..., None]),
        credit_assigned_loss(log_inclusion(scores, 1), single, rewards[..., None]),
    ):
        torch.testing.assert_close(gradient(found, scores), expected)


def test_credits_are_centred_by_the_other_sets() -> None:
    credits = torch.tensor([[[0.0, 1.0], [2.0, 2.0], [0.0, 0.0]]])
    assert centred_credits(credits).tolist() == [[[-1.0, 0.0], [1.75, 1.75], [-1.25, -1.25]]]
    assert not centred_credits(torch.full((1, 7, 3), 0.1)).any()
    assert centred_credits(credits[:, :1]).tolist() == [[[0.0, 1.0]]]


# preference ----------------------------------------------------------------------------------------------------------


def test_best_and_worst_drop_ties() -> None:
    found = best_and_worst(torch.tensor([[0.2, 0.9, 0.1], [0.5, 0.5, 0.5], [1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]))
    assert found.best.tolist() == [1, 0, 0, 2]
    assert found.worst.tolist() == [2, 0, 1, 0]
    assert found.mask.tolist() == [True, False, True, True]
    assert found.margins(torch.tensor([[1.0, 2.0, 4.0]] * 4)).tolist() == [-2.0, 0.0, -1.0, 3.0]
    assert best_and_worst(torch.tensor([[0.3]])).mask.tolist() == [False]


def test_dpo_closed_forms() -> None:
    zero = torch.zeros(1, dtype=torch.float64)
    assert float(dpo_loss(zero, zero, beta=0.1)) == pytest.approx(math.log(2))
    assert float(dpo_loss(zero + 3, zero + 1, beta=0.5)) == pytest.approx(math.log1p(math.exp(-1)))
    assert float(dpo_loss(zero - 4000, zero, beta=1.0)) == pytest.approx(4000)
    assert gradcheck(lambda m: dpo_loss(m, normal(4, seed=1), beta=0.7), normal(4).requires_grad_())


def test_dpo_with_a_vanishing_beta_follows_the_margin() -> None:
    scores, reference = normal(2, 5).requires_grad_(), normal(2, 5, seed=1)
    pair = best_and_worst(normal(2, 3, seed=2))
    margin = pair.margins(ordered_log_prob(scores, SETS))
    loss = dpo_loss(margin, pair.margins(ordered_log_prob(reference, SETS)), beta=1e-7)
    torch.testing.assert_close(gradient(loss, scores) / 1e-7, -0.5 * gradient(margin, scores), rtol=1e-5, atol=1e-8)


def test_the_multinomial_margin_is_the_difference_of_the_sums_of_scores() -> None:
    scores = normal(2, 5)
    log_probs = multinomial_set_log_prob(scores, SETS, temperature=0.5)
    sums = (scores / 0.5).gather(1, SETS.flatten(1)).view(SETS.shape).sum(-1)
    torch.testing.assert_close(log_probs[:, 0] - log_probs[:, 2], sums[:, 0] - sums[:, 2])


def one_of(m: int, *items: int) -> Tensor:
    return torch.zeros(1, m, dtype=torch.bool).index_fill(1, torch.tensor(items, dtype=torch.int64), True)


def test_multinomial_dpo_of_one_item_against_one_is_dpo_on_items() -> None:
    scores, reference = normal(1, 5).requires_grad_(), normal(1, 5, seed=1)
    found = multinomial_dpo_loss(scores, reference, positive=one_of(5, 3), negative=one_of(5, 1), beta=0.4)
    log_p, log_r = scores.log_softmax(-1), reference.log_softmax(-1)
    expected = dpo_loss(log_p[:, 3] - log_p[:, 1], log_r[:, 3] - log_r[:, 1], beta=0.4)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient(found, scores), gradient(expected, scores))


@pytest.mark.parametrize(("positive", "negative"), [((0,), (1, 2, 3)), ((0, 1), (4,)), ((0, 1, 2), (3, 4))])
def test_multinomial_dpo_bounds_plackett_luce_from_above(positive: tuple[int, ...], negative: tuple[int, ...]) -> None:
    scores, reference, beta = normal(1, 5, sd=2.0), normal(1, 5, seed=1), 0.8
    z = (beta * (scores - reference)).masked_fill(~one_of(5, *positive, *negative), -math.inf)
    exact = -set_log_prob(z, torch.tensor([[positive]]))[0]
    found = multinomial_dpo_loss(
        scores, reference, positive=one_of(5, *positive), negative=one_of(5, *negative), beta=beta
    )
    weight = z.exp()[0]
    slack = (len(positive) - 1) * torch.log1p(weight[list(positive)].sum() / weight[list(negative)].sum())
    assert float(exact) <= float(found) + 1e-9
    assert float(found) <= float(exact + slack) + 1e-9
    if len(positive) == 1:
        assert float(found) == pytest.approx(float(exact))


def test_gradients_and_empty_sides_of_multinomial_dpo() -> None:
    scores, reference = normal(3, 5).requires_grad_(), normal(3, 5, seed=1)
    positive = torch.tensor([[1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 0, 0, 0]]).bool()
    negative = torch.tensor([[0, 0, 1, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]).bool()

    def loss(s: Tensor) -> Tensor:
        return multinomial_dpo_loss(s, reference, positive=positive, negative=negative, beta=0.5)

    assert gradcheck(loss, scores)
    assert loss(scores)[1:].tolist() == [0.0, 0.0]
    assert not gradient(loss(scores), scores)[1:].any()
    masked = scores.masked_fill(torch.tensor([False, False, False, False, True]), -math.inf)
    torch.testing.assert_close(loss(masked), loss(scores))
    assert gradient(loss(masked), scores).isfinite().all()


def test_only_what_two_sets_do_not_share_tells_them_apart() -> None:
    first, second = only_in(torch.tensor([[0, 3]]), torch.tensor([[3, 4]]), items=5)
    assert first.tolist() == [[True, False, False, False, False]]
    assert second.tolist() == [[False, False, False, False, True]]


# likelihood ----------------------------------------------------------------------------------------------------------


def test_nll_is_the_softmax_loss_of_supervised_training_averaged_over_the_targets() -> None:
    scores = normal(1, 6)
    truth = one_of(6, 1, 4)
    each = [softmax_loss(scores, torch.tensor([t]), truth) for t in (1, 4)]
    torch.testing.assert_close(nll_loss(scores, truth), (each[0] + each[1]) / 2)
    torch.testing.assert_close(nll_loss(scores, one_of(6, 2)), softmax_loss(scores, torch.tensor([2]), one_of(6)))


def test_nll_without_a_reachable_truth_and_with_nothing_else() -> None:
    scores = torch.tensor(
        [[1.0, 2.0, -math.inf], [1.0, 2.0, -math.inf], [0.5, -math.inf, -math.inf]], requires_grad=True
    )
    truth = torch.tensor([[False, False, True], [True, False, True], [True, False, False]])
    found = nll_loss(scores, truth)
    assert found.tolist() == [0.0, pytest.approx(math.log1p(math.e)), 0.0]
    assert gradient(found, scores).tolist()[0] == [0.0] * 3
    assert gradient(found, scores).isfinite().all()
    assert gradcheck(lambda s: nll_loss(s, truth[:2, :2], temperature=0.5), normal(2, 2).requires_grad_())


def test_reward_weights_are_relative_to_the_batch() -> None:
    losses = torch.tensor([1.0, 1.0, 2.0], requires_grad=True)
    found = reward_weighted_nll(losses, torch.tensor([[0.0, 0.0], [0.5, 0.5], [1.0, 0.0]]))
    assert found.tolist() == [0.0, 1.5, 3.0]
    assert not reward_weighted_nll(losses, torch.zeros(3, 2)).any()
    torch.testing.assert_close(reward_weighted_nll(losses, torch.full((3, 2), 0.3)), losses)


# nothing, and what is refused ----------------------------------------------------------------------------------------


def test_an_empty_batch_gives_empty_losses() -> None:
    scores, rewards = torch.zeros(0, 5, requires_grad=True), torch.zeros(0, 3)
    sets, mask = torch.zeros(0, 3, 2, dtype=torch.int64), torch.zeros(0, 5, dtype=torch.bool)
    log_probs = ordered_log_prob(scores, sets)
    pair = best_and_worst(rewards)
    losses = [
        plackett_luce_policy_gradient(log_probs, leave_one_out_advantages(rewards)),
        grpo_loss(log_probs, log_probs, log_probs, group_advantages(rewards), kl_weight=0.1),
        credit_assigned_loss(log_inclusion(scores, 2), sets, centred_credits(torch.zeros(0, 3, 2))),
        top1_loss(scores, sets, torch.zeros(0, 3, 2)),
        dpo_loss(pair.margins(log_probs), pair.margins(log_probs), beta=0.1),
        multinomial_dpo_loss(scores, scores, positive=mask, negative=mask, beta=0.1),
        nll_loss(scores, mask),
        reward_weighted_nll(nll_loss(scores, mask), rewards),
    ]
    for loss in losses:
        assert loss.numel() == 0
        assert masked_mean(loss) == 0


def test_masked_scores_are_safe_in_every_loss() -> None:
    scores = normal(2, 6)
    scores[:, 5] = -math.inf
    leaf = scores.requires_grad_()
    sets = sample_sets(leaf, 2, groups=3, generator=torch.Generator().manual_seed(0))
    log_probs, credits = ordered_log_prob(leaf, sets), normal(2, 3, 2)
    truth = torch.zeros(2, 6, dtype=torch.bool)
    truth[0, 0] = truth[1, 5] = True
    for loss in (
        grpo_loss(log_probs, log_probs, log_probs, group_advantages(normal(2, 3)), kl_weight=0.1),
        credit_assigned_loss(log_inclusion(leaf, 2), sets, credits),
        top1_loss(leaf, sets, credits),
        nll_loss(leaf, truth),
    ):
        assert loss.isfinite().all()
        assert gradient(loss, leaf).isfinite().all()


P = torch.zeros(2, 3)
NAN = torch.tensor([[0.0, 0.0, 0.0], [0.0, math.nan, 0.0]])
CREDITS = torch.zeros(2, 3, 2)
BOTH = torch.ones(1, 3, dtype=torch.bool)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: group_advantages(NAN), "rewards of row 1 has nan"),
        (lambda: leave_one_out_advantages(NAN), "rewards of row 1 has nan"),
        (lambda: best_and_worst(NAN), "rewards of row 1 has nan"),
        (lambda: group_advantages(P, eps=0.0), "eps must be > 0, got 0.0"),
        (lambda: group_advantages(P[:, :0]), "a group or more"),
        (lambda: masked_mean(P, P[0] > 0), "shapes differ"),
        (lambda: plackett_luce_policy_gradient(P, P[:1]), "shapes differ"),
        (lambda: plackett_luce_policy_gradient(P - math.inf, P), "of row 0 has -inf"),
        (lambda: grpo_loss(P, P, P, P, clip=0.0), "clip must be > 0"),
        (lambda: grpo_loss(P, P, P, P, kl_weight=-1.0), "kl_weight must be a number from 0"),
        (lambda: grpo_loss(P, NAN, P, P), "row 1 has nan"),
        (lambda: credit_assigned_loss(torch.zeros(2, 5), SETS, CREDITS[..., :1]), "shapes differ"),
        (lambda: credit_assigned_loss(torch.zeros(2, 5), SETS, CREDITS * math.nan), "credits of row 0 has nan"),
        (lambda: credit_assigned_loss(torch.zeros(2, 5) - math.inf, SETS, CREDITS + 1), "log_marginals of row 0"),
        (lambda: credit_assigned_loss(torch.zeros(5), SETS, CREDITS), "log_marginals must have the shape"),
        (lambda: dpo_loss(P[0], P[0], beta=0.0), "beta must be > 0, got 0.0"),
        (lambda: dpo_loss(P[0], P[0, :1], beta=1.0), "shapes differ"),
        (lambda: dpo_loss(NAN[1], P[0], beta=1.0), "a margin of row 1 has nan"),
        (lambda: multinomial_dpo_loss(P[:1], P[:1], positive=BOTH, negative=BOTH, beta=1.0), "item 0 of row 0 is both"),
        (
            lambda: multinomial_dpo_loss(P[:1] - math.inf, P[:1], positive=BOTH, negative=~BOTH, beta=1.0),
            "finite scores",
        ),
        (lambda: nll_loss(P, P[:1] > 0), "shapes differ"),
        (lambda: reward_weighted_nll(P[0], P), "shapes differ"),
        (lambda: reward_weighted_nll(P[:2, 0], P - 1), "row 0 has a negative reward"),
    ],
)
def test_wrong_arguments_are_named(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
