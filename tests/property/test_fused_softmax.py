"""The fused sampled softmax equals the plain one, value and gradients, whatever the shapes."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rarec.retriever import fused
from rarec.retriever.losses import sampled_softmax_loss
from rarec.retriever.trainer import Precision, products_in


def problem(rows: int, samples: int, width: int, size: float, seed: int) -> dict[str, Tensor]:
    """Items 0 .. 2 * samples; the sample has repetitions, and some true items are in it."""
    generator = torch.Generator().manual_seed(seed)
    items = torch.randn(2 * samples, width, generator=generator, dtype=torch.float64)
    return {
        "items": items,
        "query": torch.randn(rows, width, generator=generator, dtype=torch.float64) * size,
        "true": torch.randint(len(items), (rows,), generator=generator),
        "drawn": torch.randint(len(items), (samples,), generator=generator),
        "log_q": torch.randn(len(items), generator=generator, dtype=torch.float64),
    }


def plain(given: dict[str, Tensor], query: Tensor, items: Tensor) -> Tensor:
    true, drawn = given["true"], given["drawn"]
    return sampled_softmax_loss(
        (query * items[true]).sum(-1),
        query @ items[drawn].T,
        positive_log_q=given["log_q"][true],
        negative_log_q=given["log_q"][drawn],
        collision=true[:, None] == drawn,
    ).mean()


def in_one_pass(given: dict[str, Tensor], query: Tensor, items: Tensor) -> Tensor:
    true = given["true"]
    once, counts = torch.unique(given["drawn"], return_counts=True)
    place = torch.full((len(items),), -1)
    place[once] = torch.arange(len(once))
    return fused.mean_sampled_softmax_loss(
        query,
        items[true],
        items[once],
        positive_log_q=given["log_q"][true],
        negative_log_q=given["log_q"][once] - counts.log(),
        hit=place[true],
    )


@settings(deadline=None)
@given(
    rows=st.integers(1, 3 * fused.ROWS // 2),
    samples=st.integers(1, 40),
    width=st.integers(1, 9),
    size=st.sampled_from([0.0, 1.0, 300.0]),
    seed=st.integers(0, 2**31),
)
def test_value_and_gradients_are_those_of_the_plain_loss(
    rows: int, samples: int, width: int, size: float, seed: int
) -> None:
    given = problem(rows, samples, width, size, seed)
    results = []
    for loss in (plain, in_one_pass):
        query, items = given["query"].clone().requires_grad_(), given["items"].clone().requires_grad_()
        value = loss(given, query, items)
        results.append((value.detach(), *torch.autograd.grad(3 * value, (query, items))))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


def test_gradients_against_finite_differences() -> None:
    given = problem(5, 6, 3, 1.0, 1)
    query, items = given["query"].requires_grad_(), given["items"].requires_grad_()
    assert torch.autograd.gradcheck(lambda q, i: in_one_pass(given, q, i), (query, items))


def test_where_all_of_the_sample_is_struck_out_the_loss_is_zero() -> None:
    items = torch.eye(2)
    loss = fused.mean_sampled_softmax_loss(
        items[:1],
        items[1:],
        items[1:],
        positive_log_q=torch.zeros(1),
        negative_log_q=torch.zeros(1),
        hit=torch.zeros(1, dtype=torch.long),
    )
    assert float(loss) == 0


def test_in_bfloat16_the_loss_stays_and_gradients_are_near() -> None:
    given = problem(fused.ROWS + 300, 900, 16, 1.0, 2)
    given = {name: value.float() if value.is_floating_point() else value for name, value in given.items()}
    results = []
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    for precision in precisions:
        query, items = given["query"].clone().requires_grad_(), given["items"].clone().requires_grad_()
        with products_in(precision):
            value = in_one_pass(given, query, items)
        results.append((value.detach(), *torch.autograd.grad(value, (query, items))))
    (loss, *exact), (rounded_loss, *rounded) = results
    assert torch.equal(loss, rounded_loss)
    for one, other in zip(exact, rounded, strict=True):
        assert other.dtype == torch.float32
        assert 0 < float((one - other).norm() / one.norm()) < 0.01


def test_rows_behind_the_last_whole_block_are_as_exact_as_without_autocast() -> None:
    given = problem(50, 90, 16, 1.0, 3)
    given = {name: value.float() if value.is_floating_point() else value for name, value in given.items()}
    query, items = given["query"].requires_grad_(), given["items"].requires_grad_()
    (exact,) = torch.autograd.grad(in_one_pass(given, query, items), query)
    with products_in("bfloat16"):
        (found,) = torch.autograd.grad(in_one_pass(given, query, items), query)
    assert torch.equal(exact, found)
