"""Sampling of sets against exact probabilities, limits, gradients and errors."""

import math
from collections import Counter
from itertools import combinations, permutations

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from rarec.align.inclusion import exact_log_inclusion, log_inclusion, replacement_log_inclusion
from rarec.align.logits import log_rung
from rarec.align.policy import (
    first_draw_kl,
    multinomial_set_log_prob,
    ordered_log_prob,
    propose,
    sample_sets,
    step_log_probs,
)
from rarec.align.unordered import set_log_prob
from rarec.errors import InputError

LOG_PROBS = (ordered_log_prob, set_log_prob, multinomial_set_log_prob)
MARGINALS = (log_inclusion, exact_log_inclusion, replacement_log_inclusion)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0, sd: float = 1.0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed)) * sd


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_orders_come_up_as_often_as_they_should(dtype: torch.dtype) -> None:
    scores = torch.tensor([[0.3, -1.0, 1.2, 0.0, -0.4]], dtype=dtype)
    orders = list(permutations(range(5), 3))
    draws = 60_000
    drawn = sample_sets(scores, 3, groups=draws, temperature=0.8, generator=generator(1))
    seen = Counter(tuple(one) for one in drawn[0].tolist())
    expected = ordered_log_prob(scores.double(), torch.tensor([orders]), temperature=0.8).exp()[0] * draws
    assert float(expected.min()) > 5
    assert chisquare([seen[order] for order in orders], (expected * (draws / expected.sum())).numpy()).pvalue > 0.001


def test_groups_and_rows_are_drawn_independently_and_repeat_with_the_seed() -> None:
    scores = torch.zeros(2, 40)
    one = sample_sets(scores, 5, groups=3, generator=generator(3))
    assert one.shape == (2, 3, 5)
    assert one.dtype == torch.int64
    assert len({tuple(s) for row in one.tolist() for s in row}) == 6
    assert torch.equal(one, sample_sets(scores, 5, groups=3, generator=generator(3)))


def test_a_cold_policy_takes_the_best_in_order_and_a_hot_one_takes_all_alike() -> None:
    scores = torch.tensor([[1.0, 3.0, 2.0, 0.0]], dtype=torch.float64)
    cold = sample_sets(scores, 3, groups=50, temperature=1e-3, generator=generator())
    assert {tuple(s) for s in cold[0].tolist()} == {(1, 2, 0)}
    best = torch.tensor([[[1, 2, 0]]])
    assert float(ordered_log_prob(scores, best, temperature=1e-3)) == pytest.approx(0, abs=1e-9)
    assert float(ordered_log_prob(scores, best, temperature=1e9)) == pytest.approx(-math.log(24), abs=1e-6)


def test_masked_items_are_never_drawn() -> None:
    mask = torch.zeros(2, 6, dtype=torch.bool)
    mask[0, :3] = True
    scores = torch.tensor([[9.0, 9, 9, 0, 0, 0], [0, 0, 0, 0, 0, -math.inf]])
    drawn = sample_sets(scores, 3, groups=200, generator=generator(), mask=mask)
    assert set(drawn[0].flatten().tolist()) == {3, 4, 5}
    assert 5 not in drawn[1].flatten().tolist()


@pytest.mark.parametrize("log_prob", LOG_PROBS)
def test_gradients_of_set_log_probs(log_prob) -> None:
    sets = torch.stack([torch.tensor([[0, 3, 2], [4, 1, 0]]), torch.tensor([[1, 0, 2], [3, 2, 1]])])
    scores = normal(2, 5, sd=2.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: log_prob(s, sets, temperature=0.7), scores)


@pytest.mark.parametrize("n", [1, 2, 4, 6])
@pytest.mark.parametrize("marginal", [exact_log_inclusion, replacement_log_inclusion])
def test_gradients_of_marginals(marginal, n: int) -> None:
    assert torch.autograd.gradcheck(lambda s: marginal(s, n, temperature=0.7), normal(2, 6).requires_grad_())


@pytest.mark.parametrize(("m", "n", "sd"), [(40, 8, 1.0), (100, 2, 1.0), (100, 10, 2.0), (100, 50, 2.0)])
def test_gradients_of_the_approximate_marginals_are_those_of_the_exact_ones(m: int, n: int, sd: float) -> None:
    scores = normal(1, m, seed=n, sd=sd).requires_grad_()
    for item in (0, int(scores.argsort()[0, -n])):  # any item, and one at the edge of the set
        exact, found = (
            torch.autograd.grad(marginal(scores, n)[0, item], scores)[0]
            for marginal in (exact_log_inclusion, log_inclusion)
        )
        assert float((found - exact).norm()) < 0.01 * float(exact.norm())
        assert float(found.sum()) == pytest.approx(0, abs=0.005)


def test_gradient_of_the_divergence() -> None:
    assert torch.autograd.gradcheck(first_draw_kl, (normal(2, 5).requires_grad_(), normal(2, 5, seed=1)))


def subsets_by_programme(scores: Tensor, items: list[int]) -> float:
    """p of a set by summing over the order in which its subsets fill up: 2^n states."""
    weight = scores.exp()
    filled = {frozenset[int](): 1.0}
    for size in range(1, len(items) + 1):
        filled = {
            frozenset(part): sum(
                filled[frozenset(part) - {last}]
                * float(weight[last] / (weight.sum() - weight[list(frozenset(part) - {last})].sum()))
                for last in part
            )
            for part in combinations(items, size)
        }
    return filled[frozenset(items)]


def test_larger_sets_agree_with_the_subset_programme() -> None:
    scores = normal(1, 30, seed=5, sd=2.0)
    sets = sample_sets(scores, 10, groups=3, generator=generator())
    expected = [math.log(subsets_by_programme(scores[0], items)) for items in sets[0].tolist()]
    assert set_log_prob(scores, sets)[0].tolist() == pytest.approx(expected, abs=1e-10)
    single = set_log_prob(scores.float(), sets)
    assert single.dtype == torch.float32
    assert single[0].tolist() == pytest.approx(expected, abs=1e-4)


def test_few_items_that_hold_all_the_mass() -> None:
    scores = torch.tensor([[80.0, 79.0, -80.0, -80.0, -80.0]], dtype=torch.float32)
    found = ordered_log_prob(scores, torch.tensor([[[0, 1, 2], [2, 3, 4]]]))[0]
    first = -math.log1p(math.exp(-1))
    assert float(found[0]) == pytest.approx(first - math.log(3), rel=1e-6)
    assert float(found[1]) == pytest.approx(-3 * 160 + 3 * first, rel=1e-6)


def test_all_items_and_one_item() -> None:
    scores = normal(1, 4)
    whole = torch.tensor([list(permutations(range(4)))])
    assert float(ordered_log_prob(scores, whole).exp().sum()) == pytest.approx(1)
    assert set_log_prob(scores, whole[:, :1]).tolist() == [[0.0]]
    for marginal in (log_inclusion, exact_log_inclusion):
        assert marginal(scores, 4).tolist() == [[0.0] * 4]
    one = torch.arange(4)[None, :, None]
    for log_prob in LOG_PROBS:
        torch.testing.assert_close(log_prob(scores, one), scores.log_softmax(-1))
    for marginal in MARGINALS:
        torch.testing.assert_close(marginal(scores, 1), scores.log_softmax(-1))


@pytest.mark.parametrize(
    ("n", "sd", "within"),
    [(2, 1.0, 0.006), (5, 2.0, 0.005), (5, 4.0, 0.03), (10, 2.0, 0.003), (10, 4.0, 0.01), (50, 4.0, 0.003)],
)
def test_error_of_the_approximate_marginals(n: int, sd: float, within: float) -> None:
    scores = normal(4, 128, seed=n, sd=sd)
    exact = exact_log_inclusion(scores, n)
    assert float(exact.exp().sum(-1).sub(n).abs().max()) < 1e-8
    assert float((log_inclusion(scores, n) - exact).expm1().abs().max()) < within


def test_marginals_of_a_large_proposal_against_draws() -> None:
    scores = normal(1, 500, seed=2, sd=2.0).float()
    draws = 20_000
    drawn = sample_sets(scores, 20, groups=draws, generator=generator(4))
    seen = torch.bincount(drawn.flatten(), minlength=500) / draws
    expected = log_inclusion(scores, 20)[0].exp()
    errors = (seen - expected) / (expected * (1 - expected) / draws).sqrt().clamp(min=1e-6)
    assert float(errors.square().mean()) == pytest.approx(1.0, abs=0.25)  # as scattered as chance makes them
    assert float(expected.sum()) == pytest.approx(20, abs=0.01)


def test_marginals_at_extreme_scores() -> None:
    for scores in ([80.0, -80, 0, 1, 2, -3], [80.0, 80, 80, -80, -80, -80]):
        for dtype in (torch.float32, torch.float64):
            leaf = torch.tensor([scores], dtype=dtype, requires_grad=True)
            for marginal in MARGINALS:
                found = marginal(leaf, 3)
                (gradient,) = torch.autograd.grad(found.sum(), leaf)
                assert bool(found.isfinite().all() and gradient.isfinite().all())
            assert (log_inclusion(leaf, 3).exp() - exact_log_inclusion(leaf, 3).exp()).abs().max() < 0.02


def test_very_unlikely_items_have_their_expected_count_as_marginal() -> None:
    scores = torch.tensor([[0.0, 0.0, 0.0, -40.0, -16.0]], dtype=torch.float64)
    count = math.log(5) - math.log(3 + math.exp(-16))
    assert replacement_log_inclusion(scores, 5)[0, 3].item() == pytest.approx(count - 40, abs=1e-9)
    assert replacement_log_inclusion(scores, 5)[0, 4].item() == pytest.approx(count - 16, abs=1e-6)


def test_the_log_chance_of_a_clock_joins_up_where_its_formula_changes() -> None:
    v = torch.tensor([-15.0 - 1e-9, -15.0 + 1e-9, 15.0 - 1e-9, 15.0 + 1e-9, -200.0, 200.0], dtype=torch.float64)
    found = log_rung(v)
    assert float(found[1] - found[0]) == pytest.approx(2e-9, abs=1e-9)
    assert found[2:].tolist() == [0.0, 0.0, -200.0, 0.0]


def test_impossible_draws_have_log_probability_minus_infinity_and_no_gradient() -> None:
    scores = torch.tensor([[1.0, -math.inf, 0.5]], requires_grad=True)
    for log_prob in LOG_PROBS:
        found = log_prob(scores, torch.tensor([[[0, 1], [0, 2]]]))
        assert found[0, 0] == -math.inf
        (gradient,) = torch.autograd.grad(found[0, 1], scores)
        assert bool(gradient.isfinite().all())
    assert step_log_probs(scores, torch.tensor([[[0, 1]]]))[0, 0].tolist() == [
        pytest.approx(-0.4741, abs=1e-4),
        -math.inf,
    ]


def test_divergence_where_one_of_the_two_has_a_masked_item() -> None:
    policy = torch.tensor([[0.0, 0.0, -math.inf], [0.0, 0.0, 0.0]])
    reference = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, -math.inf]])
    assert first_draw_kl(policy, reference).tolist() == [pytest.approx(math.log(1.5)), math.inf]


def test_a_proposal_states_what_it_cuts_off() -> None:
    scores = torch.tensor([[0.0, 2.0, 1.0, 5.0]], dtype=torch.float64)
    mask = torch.tensor([[False, False, False, True]])
    found = propose(scores, 2, mask=mask)
    assert found.items.tolist() == [[1, 2]]
    assert found.scores.tolist() == [[2.0, 1.0]]
    weight = scores[0, :3].exp()
    assert float(found.mass) == pytest.approx(float(weight[1:].sum() / weight.sum()))
    hot = (scores[0, :3] / 5).exp()
    assert float(propose(scores, 2, temperature=5.0, mask=mask).mass) == pytest.approx(float(hot[1:].sum() / hot.sum()))
    assert float(propose(scores, 4).mass) == pytest.approx(1.0)


def test_no_rows_give_empty_results() -> None:
    nothing, no_sets = torch.zeros(0, 5), torch.zeros(0, 2, 3, dtype=torch.int64)
    assert sample_sets(nothing, 3, groups=2).shape == (0, 2, 3)
    for log_prob in LOG_PROBS:
        assert log_prob(nothing, no_sets).shape == (0, 2)
    for marginal in MARGINALS:
        assert marginal(nothing, 3).shape == (0, 5)
    assert first_draw_kl(nothing, nothing).shape == (0,)
    assert propose(nothing, 2).items.shape == (0, 2)


NAN = torch.tensor([[0.0, 1.0, 2.0], [0.0, math.nan, 2.0]])
THREE = torch.zeros(2, 3)
ROW_1 = torch.tensor([[False, False, False], [True, True, False]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sample_sets(THREE, 4, groups=1), "n = 4 items are wanted, but there are only 3"),
        (lambda: sample_sets(THREE, 2, groups=1, mask=ROW_1), "row 1 has only 1 of 3"),
        (lambda: sample_sets(THREE, 0, groups=1), "n must be at least 1, got 0"),
        (lambda: sample_sets(THREE, 1, groups=0), "groups must be at least 1, got 0"),
        (lambda: sample_sets(THREE, 1, groups=1, mask=ROW_1.int()), "mask must be bool"),
        (lambda: sample_sets(THREE, 1, groups=1, temperature=0.0), "temperature must be a number above 0, got 0.0"),
        (lambda: sample_sets(NAN, 1, groups=1), "row 1 has the score nan at item 1"),
        (lambda: sample_sets(THREE[0], 1, groups=1), r"shape \(rows, items\), got \(3,\)"),
        (lambda: ordered_log_prob(NAN, torch.zeros(2, 1, 1, dtype=torch.int64)), "row 1 has the score nan"),
        (lambda: ordered_log_prob(THREE, torch.tensor([[[0]], [[3]]])), "row 1, set 0 holds item 3"),
        (lambda: ordered_log_prob(THREE, torch.tensor([[[0, 1]], [[2, 2]]])), "row 1, set 0 holds an item twice"),
        (lambda: set_log_prob(THREE, torch.tensor([[0, 1]])), r"shape \(rows, groups, n\)"),
        (lambda: log_inclusion(THREE, 4), "n = 4 items are wanted, but there are only 3"),
        (lambda: exact_log_inclusion(torch.zeros(1, 129), 4), "at most 128 items, got 129"),
        (lambda: first_draw_kl(THREE, torch.zeros(2, 4)), "shapes differ"),
        (lambda: first_draw_kl(THREE[:, :0], THREE[:, :0]), "at least one item"),
        (lambda: propose(THREE, 4), "m = 4 items are wanted, but there are only 3"),
    ],
)
def test_wrong_arguments_are_named(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
