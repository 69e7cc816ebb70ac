"""The set policy against enumeration of all draws on tiny catalogues."""

import math
from itertools import combinations, permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rarec.align.inclusion import exact_log_inclusion, log_inclusion, replacement_log_inclusion
from rarec.align.policy import first_draw_kl, multinomial_set_log_prob, ordered_log_prob, sample_sets, step_log_probs
from rarec.align.unordered import set_log_prob

SCORES = st.lists(st.floats(-6, 6), min_size=1, max_size=6)
QUICK = settings(deadline=None, max_examples=40)  # tensors of a shared machine know no deadline
WIDE = st.lists(st.floats(-80, 80), min_size=1, max_size=6)


def row(scores: list[float]) -> Tensor:
    return torch.tensor([scores], dtype=torch.float64)


def orders(m: int, n: int) -> list[tuple[int, ...]]:
    return list(permutations(range(m), n))


def as_sets(sets: list[tuple[int, ...]]) -> Tensor:
    return torch.tensor([sets])


def by_hand(scores: list[float], order: tuple[int, ...]) -> float:
    """log p of an order by Python floats, the largest score taken off first."""
    top = max(scores)
    left = set(range(len(scores)))
    total = 0.0
    for item in order:
        total += scores[item] - top - math.log(math.fsum(math.exp(scores[j] - top) for j in left))
        left.remove(item)
    return total


@QUICK
@given(SCORES, st.data())
def test_the_probabilities_of_all_orders_add_up_to_one(scores: list[float], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(scores)))
    log_p = ordered_log_prob(row(scores), as_sets(orders(len(scores), n)))
    assert float(log_p.exp().sum()) == pytest.approx(1.0, abs=1e-12)


@QUICK
@given(SCORES, st.floats(0.2, 5), st.data())
def test_an_order_has_the_product_of_its_draws(scores: list[float], temperature: float, data: st.DataObject) -> None:
    order = tuple(data.draw(st.permutations(range(len(scores)))))[: data.draw(st.integers(1, len(scores)))]
    found = ordered_log_prob(row(scores), as_sets([order]), temperature=temperature)
    assert float(found) == pytest.approx(by_hand([s / temperature for s in scores], order), abs=1e-10)


@QUICK
@given(WIDE, st.data())
def test_extreme_scores_stay_finite_forward_and_backward(scores: list[float], data: st.DataObject) -> None:
    order = tuple(data.draw(st.permutations(range(len(scores)))))[: data.draw(st.integers(1, len(scores)))]
    leaf = row(scores).requires_grad_()
    for log_prob in (ordered_log_prob, set_log_prob, multinomial_set_log_prob):
        found = log_prob(leaf, as_sets([order]))
        (gradient,) = torch.autograd.grad(found.sum(), leaf)
        assert bool(found.isfinite()), log_prob.__name__
        assert bool(gradient.isfinite().all()), log_prob.__name__
        assert float(gradient.sum()) == pytest.approx(0, abs=1e-9), "a shift of all scores changes nothing"


@QUICK
@given(SCORES, st.data())
def test_a_set_has_the_sum_of_its_orders(scores: list[float], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(scores)))
    sets = list(combinations(range(len(scores)), n))
    found = set_log_prob(row(scores), as_sets(sets))[0].exp()
    for value, items in zip(found.tolist(), sets, strict=True):
        expected = math.fsum(math.exp(by_hand(scores, order)) for order in permutations(items))
        assert value == pytest.approx(expected, rel=1e-10)
    assert float(found.sum()) == pytest.approx(1.0, abs=1e-10)


@QUICK
@given(SCORES, st.data())
def test_a_set_is_at_least_as_probable_as_its_multinomial_bound(scores: list[float], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(scores)))
    sets = as_sets(list(combinations(range(len(scores)), n)))
    bound = multinomial_set_log_prob(row(scores), sets) + math.lgamma(n + 1)
    assert bool((bound <= set_log_prob(row(scores), sets) + 1e-9).all())


@QUICK
@given(SCORES, st.data())
def test_an_item_is_in_a_set_as_often_as_its_sets_come_up(scores: list[float], data: st.DataObject) -> None:
    m = len(scores)
    n = data.draw(st.integers(1, m))
    expected = torch.zeros(m, dtype=torch.float64)
    for order in orders(m, n):
        expected[list(order)] += math.exp(by_hand(scores, order))
    torch.testing.assert_close(exact_log_inclusion(row(scores), n)[0].exp(), expected, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(log_inclusion(row(scores), n)[0].exp(), expected, atol=0.06, rtol=0)


@QUICK
@given(SCORES, st.data())
def test_inclusion_with_replacement_is_that_of_n_independent_draws(scores: list[float], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 50))
    short = row(scores).repeat(1, 50)  # enough items for n
    p = short.softmax(-1)
    torch.testing.assert_close(replacement_log_inclusion(short, n).exp(), 1 - (1 - p) ** n)


@QUICK
@given(st.integers(0, 10_000), st.integers(2, 6), st.data())
def test_relabelling_the_items_relabels_everything(seed: int, m: int, data: st.DataObject) -> None:
    scores = torch.randn(1, m, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    n = data.draw(st.integers(1, m))
    moved = torch.tensor(data.draw(st.permutations(range(m))))  # column i of the new scores is moved[i] of the old
    sets = as_sets(orders(m, n))
    for log_prob in (ordered_log_prob, set_log_prob, multinomial_set_log_prob):
        torch.testing.assert_close(log_prob(scores[:, moved], sets), log_prob(scores, moved[sets]))
    for marginal in (exact_log_inclusion, log_inclusion, replacement_log_inclusion):
        torch.testing.assert_close(marginal(scores[:, moved], n), marginal(scores, n)[:, moved])


@QUICK
@given(SCORES, st.data())
def test_a_masked_item_is_as_if_it_were_not_there(scores: list[float], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(scores)))
    wider = row([*scores, -math.inf]).requires_grad_()
    sets = as_sets(orders(len(scores), n))
    for log_prob in (ordered_log_prob, set_log_prob, multinomial_set_log_prob):
        found = log_prob(wider, sets)
        torch.testing.assert_close(found, log_prob(row(scores), sets))
        (gradient,) = torch.autograd.grad(found.sum(), wider)
        assert bool(gradient.isfinite().all())
        assert float(gradient[0, -1]) == 0.0
    for marginal in (exact_log_inclusion, log_inclusion, replacement_log_inclusion):
        found = marginal(wider, n)
        torch.testing.assert_close(found[:, :-1], marginal(row(scores), n))
        assert float(found[0, -1].detach()) == -math.inf
        (gradient,) = torch.autograd.grad(found[:, :-1].sum(), wider)
        assert bool(gradient.isfinite().all())


@QUICK
@given(st.integers(0, 10_000))
def test_a_padded_batch_equals_single_rows(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(3, 8, dtype=torch.float64, generator=generator)
    scores[1, 6:] = -math.inf
    sets = sample_sets(scores, 4, groups=2, generator=generator)
    for log_prob in (ordered_log_prob, set_log_prob, multinomial_set_log_prob):
        alone = torch.cat([log_prob(scores[b : b + 1], sets[b : b + 1]) for b in range(3)])
        torch.testing.assert_close(log_prob(scores, sets), alone)
    torch.testing.assert_close(log_inclusion(scores, 4), torch.cat([log_inclusion(s[None], 4) for s in scores]))


@QUICK
@given(SCORES, st.data())
def test_steps_add_up_to_the_order(scores: list[float], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(scores)))
    sets = as_sets(orders(len(scores), n))
    steps = step_log_probs(row(scores), sets)
    assert bool((steps <= 0).all())
    torch.testing.assert_close(steps.sum(-1), ordered_log_prob(row(scores), sets))


@QUICK
@given(SCORES, st.data())
def test_the_first_draw_diverges_by_the_sum_over_items(scores: list[float], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.floats(-6, 6), min_size=len(scores), max_size=len(scores)))
    found = float(first_draw_kl(row(scores), row(other)))
    p, q = row(scores)[0].softmax(0), row(other)[0].softmax(0)
    assert found == pytest.approx(float((p * (p / q).log()).sum()), abs=1e-9)
    assert found >= 0
    assert float(first_draw_kl(row(scores), row(scores))) == pytest.approx(0, abs=1e-12)
