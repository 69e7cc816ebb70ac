"""The linear recurrent unit: h_t = a * h_{t-1} + x_t with a complex diagonal `a` inside the unit circle.

Source: Orvieto et al. 2023, "Resurrecting Recurrent Neural Networks for Long Sequences", sections 3.2-3.4 (ring
initialisation, exponential parametrisation, normalisation); Yue et al. 2024, "Linear Recurrent Units for
Sequential Recommendation" (LRURec), section 3. Differs from LRURec in that input and output maps are real
matrices on (real, imaginary) pairs, and in that the scan works in blocks instead of recursive doubling.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F


def scan_loop(a: Tensor, x: Tensor) -> Tensor:
    """The recurrence as a plain loop over time: what `scan` must equal. Shapes as in `scan`."""
    state = torch.zeros_like(x[0]) if len(x) else x
    states = []
    for step in x:
        state = a * state + step
        states.append(state)
    return torch.stack(states) if states else x


def scan(a: Tensor, x: Tensor, initial: Tensor | None = None) -> Tensor:
    """All states of h_t = a * h_{t-1} + x_t, in work linear in time and depth of its square root.

    Padding belongs at the end: the recurrence is causal, so what follows a position never reaches it.

    Args:
        a: complex, shape (width,), |a| < 1.
        x: complex, shape (time, batch, width); time may be 0.
        initial: the state before the first input, shape (batch, width); zero if None.
    Returns:
        complex, shape (time, batch, width).
    """
    if initial is not None and len(x):
        x = torch.cat([x[:1] + a * initial, x[1:]])
    return _Scan.apply(a, x)  # type: ignore[no-any-return,no-untyped-call]


def _blocked(a: Tensor, x: Tensor, *, backwards: bool = False) -> Tensor:
    """`scan` without gradient: all blocks at once from a zero state, then each block's carry into the next.

    With `backwards`, h_t = a * h_{t+1} + x_t from the last input to the first.
    """
    time, batch, width = x.shape
    length = max(1, math.isqrt(time))
    count = -(-time // length)
    h = x.new_empty(count * length, batch, width)
    h[:time], h[time:] = x, 0
    blocks = h.view(count, length, batch, width)
    powers = torch.cumprod(a.expand(length, width), dim=0)[:, None, :]
    if backwards:
        for k in range(length - 2, -1, -1):
            blocks[:, k].addcmul_(a, blocks[:, k + 1])
        powers = powers.flip(0)
        for block in range(count - 2, -1, -1):
            blocks[block].addcmul_(powers, blocks[block + 1, 0])
    else:
        for k in range(1, length):
            blocks[:, k].addcmul_(a, blocks[:, k - 1])
        for block in range(1, count):
            blocks[block].addcmul_(powers, blocks[block - 1, -1])
    return h[:time]


class _Scan(torch.autograd.Function):
    """The gradient of a scan is a scan backwards in time with the conjugate of `a`."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, x: Tensor) -> Tensor:
        h = _blocked(a, x)
        ctx.save_for_backward(a, h)
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        a, h = ctx.saved_tensors
        grad_x = _blocked(a.conj(), grads[0], backwards=True)
        grad_a = (grad_x[1:] * h[:-1].conj()).sum(dim=(0, 1))
        return grad_a, grad_x


class LRU(nn.Module):
    """One linear recurrent layer, real in and real out.

    Args:
        width: features of input and output.
        state: complex state size.
        r_min, r_max: |a| is drawn from this ring, uniform in area, 0 <= r_min < r_max < 1.
        generator: source of the initial values.
    """

    def __init__(self, width: int, state: int, *, r_min: float, r_max: float, generator: torch.Generator) -> None:
        super().__init__()
        if not 0 <= r_min < r_max < 1:
            raise ValueError(f"the ring needs 0 <= r_min < r_max < 1, got {r_min!r} and {r_max!r}")
        u = torch.rand(state, generator=generator)
        radius = torch.sqrt(u * (r_max**2 - r_min**2) + r_min**2)
        angle = torch.rand(state, generator=generator) * 2 * math.pi
        # exp(-exp(.)) keeps |a| below one whatever the optimiser does.
        self.log_decay = nn.Parameter(torch.log(-torch.log(radius)))
        self.log_angle = nn.Parameter(torch.log(angle))
        # Keeps the variance of the state at one for white input: gamma = sqrt(1 - |a|^2).
        self.log_gamma = nn.Parameter(torch.log(torch.sqrt(1 - radius**2)))
        self.into = nn.Linear(width, 2 * state)
        self.out = nn.Linear(2 * state, width)
        for layer, fan_in in ((self.into, width), (self.out, 2 * state)):
            nn.init.normal_(layer.weight, std=fan_in**-0.5, generator=generator)
            nn.init.zeros_(layer.bias)

    def transition(self) -> Tensor:
        """The complex diagonal `a`, shape (state,), |a| < 1."""
        # The bounds are far outside what training reaches: below the lower one float32 rounds |a| to 1, above
        # the upper one its gradient overflows to NaN.
        radius = torch.exp(-torch.exp(self.log_decay.clamp(-14.0, 4.0)))
        return torch.polar(radius, torch.exp(self.log_angle))

    def drive(self, x: Tensor) -> Tensor:
        """Input to the recurrence: (..., width) real -> (..., state) complex."""
        # Into the weights, of which there are fewer than inputs.
        gamma = torch.exp(self.log_gamma).repeat_interleave(2)
        pairs = F.linear(x, self.into.weight * gamma[:, None], self.into.bias * gamma)
        return torch.view_as_complex(torch.unflatten(pairs.to(x.dtype), -1, (-1, 2)))

    def read(self, h: Tensor) -> Tensor:
        """Output of the recurrence: (..., state) complex -> (..., width) real."""
        result: Tensor = self.out(torch.view_as_real(h).flatten(-2))
        return result

    def forward(self, x: Tensor) -> Tensor:
        """(time, batch, width) -> the same shape."""
        return self.read(scan(self.transition(), self.drive(x)))

    def advance(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs (time, batch, width), time >= 1, after state (batch, state) -> outputs and the last state."""
        states = scan(self.transition(), self.drive(x), h)
        return self.read(states), states[-1]

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """One input (batch, width) and state (batch, state) -> output and next state, in O(1)."""
        h = self.transition() * h + self.drive(x)
        return self.read(h), h
