"""The blocked scan against a plain loop: values, gradients, splits; and the bounds on its eigenvalues."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rarec.retriever.lru import LRU, scan, scan_loop

pytestmark = pytest.mark.usefixtures("one_thread")

RADII = st.sampled_from([0.0, 0.3, 0.9, 0.99, 0.9999])
SEEDS = st.integers(0, 2**31)
SIZES = {"batch": st.integers(1, 4), "width": st.integers(1, 5), "radius": RADII, "seed": SEEDS}
TIMES = st.one_of(st.integers(0, 130), st.sampled_from([0, 1, 2, 3, 4, 15, 16, 17, 120, 121, 122, 130]))


def problem(time: int, batch: int, width: int, radius: float, seed: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Eigenvalues of one radius, inputs, an initial state and weights for a scalar loss."""
    generator = torch.Generator().manual_seed(seed)
    angle = torch.rand(width, generator=generator, dtype=torch.float64) * 6.283
    x, initial, weight = (
        torch.randn(*shape, batch, width, generator=generator, dtype=torch.complex128)
        for shape in [(time,), (), (time,)]
    )
    return tuple(t.to(dtype) for t in (torch.polar(torch.full_like(angle, radius), angle), x, initial, weight))


def assert_near(found: Tensor, expected: Tensor) -> None:
    """Equal to rounding: errors grow with the size of what was added up."""
    step = 1e-5 if expected.dtype == torch.complex64 else 1e-12
    scale = float(expected.abs().max()) + 1 if expected.numel() else 1.0
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected, rtol=0, atol=step * scale)


def loop(a: Tensor, x: Tensor, initial: Tensor | None) -> Tensor:
    """`scan_loop` from an initial state."""
    return scan_loop(a, x) if initial is None or not len(x) else scan_loop(a, torch.cat([initial[None], x]))[1:]


@settings(deadline=None, max_examples=30)
@given(time=TIMES, dtype=st.sampled_from([torch.complex64, torch.complex128]), carried=st.booleans(), **SIZES)
def test_scan_and_its_gradients_equal_the_loop(
    time: int, batch: int, width: int, radius: float, seed: int, dtype: torch.dtype, carried: bool
) -> None:
    a, x, initial, weight = problem(time, batch, width, radius, seed, dtype)
    results = []
    for function in (scan, loop):
        leaves = [t.clone().requires_grad_() for t in (a, x, *([initial] if carried else []))]
        h = function(leaves[0], leaves[1], leaves[2] if carried else None)
        assert h.shape == (time, batch, width)
        if time:
            grads = torch.autograd.grad((h * weight).real.sum(), leaves)
            results.append([h.detach(), *grads])
        else:
            results.append([h.detach()])
    for found, expected in zip(*results, strict=True):
        assert_near(found, expected)


@settings(deadline=None, max_examples=8)
@given(time=st.integers(1, 6), carried=st.booleans(), seed=SEEDS)
def test_gradients_pass_a_numerical_check(time: int, carried: bool, seed: int) -> None:
    a, x, initial, _ = problem(time, 2, 2, 0.8, seed, torch.complex128)
    leaves = [t.requires_grad_() for t in (a, x, *([initial] if carried else []))]
    assert torch.autograd.gradcheck(scan, leaves)


def test_a_second_derivative_is_refused_and_not_wrong() -> None:
    a, x, _, _ = problem(4, 1, 2, 0.8, 0, torch.complex128)
    loss = scan(a.requires_grad_(), x).abs().square().sum()
    (grad,) = torch.autograd.grad(loss, a, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.real.sum().backward()


@settings(deadline=None, max_examples=30)
@given(data=st.data(), time=st.integers(0, 130), **SIZES)
def test_a_sequence_may_be_split_anywhere(
    data: st.DataObject, time: int, batch: int, width: int, radius: float, seed: int
) -> None:
    a, x, initial, _ = problem(time, batch, width, radius, seed, torch.complex128)
    cut = data.draw(st.integers(0, time))
    whole, first = scan(a, x, initial), scan(a, x[:cut], initial)
    rest = scan(a, x[cut:], first[-1] if cut else initial)
    assert_near(torch.cat([first, rest]), whole)


@settings(deadline=None, max_examples=30)
@given(time=st.integers(1, 80), padding=st.integers(0, 60), **SIZES)
def test_what_follows_never_reaches_back(
    time: int, padding: int, batch: int, width: int, radius: float, seed: int
) -> None:
    a, x, _, _ = problem(time, batch, width, radius, seed, torch.complex64)
    padded = torch.cat([x, torch.full((padding, batch, width), torch.nan, dtype=x.dtype)])
    assert_near(scan(a, padded)[:time], scan(a, x))


def test_the_input_is_left_alone() -> None:
    a, x, initial, _ = problem(50, 2, 3, 0.9, 0, torch.complex64)
    before = [t.clone() for t in (a, x, initial)]
    scan(a, x, initial)
    assert all(torch.equal(now, then) for now, then in zip((a, x, initial), before, strict=True))


@settings(deadline=None, max_examples=50)
@given(low=st.floats(0, 0.95), high=st.floats(0.01, 0.999), state=st.integers(1, 64), seed=SEEDS)
def test_the_ring_holds_at_the_start(low: float, high: float, state: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    if low >= high:
        with pytest.raises(ValueError, match="ring needs"):
            LRU(4, state, r_min=low, r_max=high, generator=generator)
        return
    radius = LRU(4, state, r_min=low, r_max=high, generator=generator).transition().detach().abs()
    assert float(radius.min()) >= low - 1e-6
    assert float(radius.max()) <= high + 1e-6


@settings(deadline=None, max_examples=30)
@given(
    rate=st.sampled_from([0.01, 0.3, 2.0]),
    decay=st.sampled_from([0.0, 0.1]),
    sign=st.sampled_from([-1, 0, 1]),
    seed=SEEDS,
)
def test_no_optimiser_step_leaves_the_unit_circle(rate: float, decay: float, sign: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    layer = LRU(3, 16, r_min=0.8, r_max=0.99, generator=generator)
    optimiser = torch.optim.AdamW(layer.parameters(), lr=rate, weight_decay=decay)
    for _ in range(25):
        for parameter in layer.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.grad = noise.abs() * sign if sign else noise
        optimiser.step()
        a = layer.transition()
        assert float(a.detach().abs().max()) < 1
        (grad,) = torch.autograd.grad(a.real.sum(), layer.log_decay)
        assert bool(grad.isfinite().all())
