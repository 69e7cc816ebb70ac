"""One training step (forward and backward) of the blocked scan, against two other ways to compute the same.

    python benchmarks/scan.py [--times 50 200 1000] [--batch 64] [--width 128] [--threads 2] [--repeats 7] [--json]

*doubling* is the scan of LRURec in spirit: complex64, padded to a power of two, recursive doubling, gradients by
autograd. *loop* is the plain recurrence with autograd. The three take turns, so that a busy machine slows all of them;
the medians' ratios are what to read.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from rarec.retriever.lru import scan, scan_loop

Scan = Callable[[Tensor, Tensor], Tensor]


def doubling(a: Tensor, x: Tensor) -> Tensor:
    """Recursive doubling: halves of length 1, 2, 4 ... are joined by adding powers of `a` times the left half's end."""
    steps = x.shape[0]
    size = 1 << max(0, steps - 1).bit_length()
    h = torch.cat([x, x.new_zeros(size - steps, *x.shape[1:])])
    powers = a[None]  # a^1 ... a^half
    half = 1
    while half < size:
        pairs = h.view(size // (2 * half), 2, half, *x.shape[1:])
        left, right = pairs[:, 0], pairs[:, 1]
        right = right + powers[:, None] * left[:, -1:]
        h = torch.stack([left, right], dim=1).view(size, *x.shape[1:])
        powers = torch.cat([powers, powers * powers[-1]])
        half *= 2
    return h[:steps]


SCANS: dict[str, Scan] = {"blocked": scan, "doubling": doubling, "loop": scan_loop}


def problem(steps: int, batch: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Eigenvalues in LRURec's ring, white input and a direction for the gradient."""
    generator = torch.Generator().manual_seed(0)
    radius = 0.8 + 0.19 * torch.rand(width, generator=generator)
    a = torch.polar(radius, 6.283 * torch.rand(width, generator=generator))
    x = torch.randn(steps, batch, width, dtype=torch.complex64, generator=generator)
    return a.requires_grad_(), x.requires_grad_(), torch.randn(x.shape, dtype=torch.complex64, generator=generator)


def one_step(function: Scan, a: Tensor, x: Tensor, direction: Tensor) -> tuple[float, list[Tensor]]:
    """Seconds of forward and backward, and what they gave."""
    start = time.perf_counter()
    h = function(a, x)
    grads = torch.autograd.grad(h, (a, x), direction)
    return time.perf_counter() - start, [h.detach(), *grads]


def compare(steps: int, batch: int, width: int, repeats: int) -> dict[str, float]:
    """Median milliseconds of each scan; fails if they do not agree."""
    a, x, direction = problem(steps, batch, width)
    results = {name: one_step(function, a, x, direction)[1] for name, function in SCANS.items()}
    for name, result in results.items():
        for found, expected in zip(result, results["loop"], strict=True):
            error = float((found - expected).abs().max() / expected.abs().max())
            assert error < 1e-4, f"{name} is off by {error:.1e} at {steps} steps"
    seconds: dict[str, list[float]] = {name: [] for name in SCANS}
    for _ in range(repeats):
        for name, function in SCANS.items():
            seconds[name].append(one_step(function, a, x, direction)[0])
    return {name: 1000 * statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Training step of the blocked scan against others.")
    parser.add_argument("--times", type=int, nargs="+", default=[50, 200, 1000], help="sequence lengths")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--width", type=int, default=128, help="complex state size")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not options.json:
        print("  time   blocked ms  doubling ms   loop ms   doubling/blocked   loop/blocked")
    rows = []
    for steps in options.times:
        ms = compare(steps, options.batch, options.width, options.repeats)
        ratios = {name: ms[name] / ms["blocked"] for name in ("doubling", "loop")}
        rows.append(
            {"time": steps}
            | {f"{name}_ms": round(value, 2) for name, value in ms.items()}
            | {f"{name}_over_blocked": round(value, 2) for name, value in ratios.items()}
        )
        if not options.json:
            print(
                f"{steps:>6} {ms['blocked']:>12.1f} {ms['doubling']:>12.1f} {ms['loop']:>9.1f} "
                f"{ratios['doubling']:>17.1f}x {ratios['loop']:>13.1f}x",
                flush=True,
            )
    if options.json:
        print(json.dumps({"settings": vars(options), "torch": torch.__version__, "rows": rows}))


if __name__ == "__main__":
    main()
