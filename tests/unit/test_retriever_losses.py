"""Losses against closed forms, each other and statistics."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rarec.retriever.losses import sampled_softmax_loss, softmax_loss


def never(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=torch.bool)


def test_softmax_of_equal_scores_is_the_log_of_how_many_compete() -> None:
    excluded = never(3, 10)
    excluded[1, :4] = True
    excluded[2] = True
    found = softmax_loss(torch.full((3, 10), 2.5), torch.tensor([0, 7, 3]), excluded)
    torch.testing.assert_close(found, torch.tensor([math.log(10), math.log(6), 0.0]))


def test_softmax_by_hand() -> None:
    scores = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    excluded = torch.tensor([[False, False, False, True]])
    expected = math.log(math.exp(1) + math.exp(2) + math.exp(3)) - 2
    assert float(softmax_loss(scores, torch.tensor([1]), excluded)) == pytest.approx(expected, rel=1e-6)


def test_an_excluded_target_counts_all_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, target = torch.randn(5, 8, generator=generator), torch.tensor([0, 1, 2, 3, 7])
    excluded = torch.rand(5, 8, generator=generator) < 0.4
    marked, unmarked = excluded.clone(), excluded.clone()
    marked[torch.arange(5), target], unmarked[torch.arange(5), target] = True, False
    before = marked.clone()
    assert torch.equal(softmax_loss(scores, target, marked), softmax_loss(scores, target, unmarked))
    assert bool(softmax_loss(scores, target, marked).isfinite().all())
    assert torch.equal(marked, before), "the caller's mask is left alone"


def test_sampled_softmax_of_equal_scores() -> None:
    zeros, collision = torch.zeros(2), never(2, 9)
    collision[1] = True
    found = sampled_softmax_loss(
        zeros, torch.zeros(2, 9), positive_log_q=zeros, negative_log_q=torch.zeros(9), collision=collision
    )
    torch.testing.assert_close(found, torch.tensor([math.log(10), 0.0]))


def test_log_q_is_taken_off_each_score() -> None:
    positive, negative = torch.tensor([0.7]), torch.tensor([[0.1, -0.4]])
    found = sampled_softmax_loss(
        positive,
        negative,
        positive_log_q=torch.tensor([-1.0]),
        negative_log_q=torch.tensor([0.5, -2.0]),
        collision=never(1, 2),
    )
    expected = math.log(math.exp(1.7) + math.exp(-0.4) + math.exp(1.6)) - 1.7
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_a_sample_of_everything_is_the_full_softmax() -> None:
    generator = torch.Generator().manual_seed(1)
    scores, target = torch.randn(6, 30, generator=generator), torch.randint(30, (6,), generator=generator)
    collision = target[:, None] == torch.arange(30)
    found = sampled_softmax_loss(
        scores.gather(1, target[:, None])[:, 0],
        scores,
        positive_log_q=torch.zeros(6),
        negative_log_q=torch.zeros(30),
        collision=collision,
    )
    torch.testing.assert_close(found, softmax_loss(scores, target, never(6, 30)))
    shifted = sampled_softmax_loss(
        scores.gather(1, target[:, None])[:, 0],
        scores,
        positive_log_q=torch.full((6,), 3.0),
        negative_log_q=torch.full((30,), 3.0),
        collision=collision,
    )
    torch.testing.assert_close(shifted, found)


def sampled_mean(proposal: Tensor, *, samples: int, corrected: bool) -> tuple[float, float]:
    """Mean sampled loss over 400 draws from `proposal`, and the full softmax; the target is certain to be in."""
    generator = torch.Generator().manual_seed(2)
    items = len(proposal)
    scores, target = torch.randn(items, generator=generator), torch.randint(items, (400,), generator=generator)
    found = []
    for true in target:
        drawn = torch.multinomial(proposal, samples, replacement=True, generator=generator)
        log_q = torch.log(proposal[drawn] * samples) if corrected else torch.full((samples,), math.log(samples / items))
        found.append(
            sampled_softmax_loss(
                scores[true][None],
                scores[drawn][None],
                positive_log_q=torch.zeros(1),
                negative_log_q=log_q,
                collision=(drawn == true)[None],
            )
        )
    full = softmax_loss(scores.expand(400, -1), target, never(400, items))
    return float(torch.cat(found).mean()), float(full.mean())


def test_uniform_samples_estimate_the_full_softmax() -> None:
    sampled, full = sampled_mean(torch.full((200,), 1 / 200), samples=200, corrected=True)
    assert sampled == pytest.approx(full, abs=0.03)


def test_the_correction_undoes_a_skewed_proposal() -> None:
    skewed = torch.randn(200, generator=torch.Generator().manual_seed(2)).exp()  # likely where scores are high
    skewed /= skewed.sum()
    sampled, full = sampled_mean(skewed, samples=400, corrected=True)
    uncorrected, _ = sampled_mean(skewed, samples=400, corrected=False)
    assert sampled == pytest.approx(full, abs=0.03)
    assert abs(uncorrected - full) > 0.3


def test_collisions_do_not_reach_the_loss() -> None:
    generator = torch.Generator().manual_seed(3)
    negative, collision = torch.randn(4, 7, generator=generator), torch.rand(4, 7, generator=generator) < 0.5
    arguments = {
        "positive_log_q": torch.zeros(4),
        "negative_log_q": torch.randn(7, generator=generator),
        "collision": collision,
    }
    found = sampled_softmax_loss(torch.zeros(4), negative, **arguments)
    spoiled = sampled_softmax_loss(torch.zeros(4), negative.masked_fill(collision, 1e6), **arguments)
    assert torch.equal(found, spoiled)


@pytest.mark.parametrize("size", [1.0, 1e4])
def test_gradients_are_finite_and_stay_off_what_does_not_count(size: float) -> None:
    generator = torch.Generator().manual_seed(4)
    positive = (torch.randn(5, generator=generator) * size).requires_grad_()
    negative = (torch.randn(5, 6, generator=generator) * size).requires_grad_()
    collision = torch.rand(5, 6, generator=generator) < 0.3
    collision[0] = True
    loss = sampled_softmax_loss(
        positive, negative, positive_log_q=torch.zeros(5), negative_log_q=torch.full((6,), -9.0), collision=collision
    )
    loss.sum().backward()
    assert positive.grad is not None
    assert negative.grad is not None
    assert bool(loss.isfinite().all() & positive.grad.isfinite().all() & negative.grad.isfinite().all())
    assert float(negative.grad[collision].abs().max()) == 0
    assert float(loss.detach().min()) >= 0

    scores, excluded = negative.detach().clone().requires_grad_(), collision.clone()
    full = softmax_loss(scores, torch.zeros(5, dtype=torch.long), excluded)
    full.sum().backward()
    assert scores.grad is not None
    assert bool(full.isfinite().all() & scores.grad.isfinite().all())
    assert float(scores.grad[:, 1:][excluded[:, 1:]].abs().max()) == 0


def test_the_gradient_is_the_one_of_cross_entropy() -> None:
    scores = torch.randn(3, 5, generator=torch.Generator().manual_seed(5), requires_grad=True)
    target = torch.tensor([0, 4, 2])
    (found,) = torch.autograd.grad(softmax_loss(scores, target, never(3, 5)).sum(), scores)
    torch.testing.assert_close(found, scores.detach().softmax(1) - F.one_hot(target, 5))
