"""What a layer costs as sequences grow: the linear recurrent unit against causal self-attention of the same width.

    python benchmarks/sequence_length.py [--lengths 10 100 1000 10000] [--json FILE] [--plot FILE.svg]

Each layer maps (time, batch, width) to the same shape with its input and output maps; training is a forward and a
backward pass over about `--tokens` tokens, a step of serving is one more token after `time` others: from the carried
state, or by attention over the keys and values of all tokens before. Attention is torch's fused one, which never holds
the matrix of scores. The two take turns, so that a busy machine slows both; the ratios of the medians are what to read.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rarec.files import write_text
from rarec.retriever.lru import LRU

HEADS = 2


class Attention(nn.Module):
    """Causal self-attention, (time, batch, width) -> the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (self._heads(part.contiguous()) for part in self.into(x).chunk(3, dim=-1))
        return self._read(F.scaled_dot_product_attention(q, k, v, is_causal=True))

    def step(self, x: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """One input (1, batch, width) after keys and values of shape (batch, heads, time, width / heads)."""
        q, k, v = (self._heads(part.contiguous()) for part in self.into(x).chunk(3, dim=-1))
        found = F.scaled_dot_product_attention(q, torch.cat([keys, k], dim=2), torch.cat([values, v], dim=2))
        return self._read(found)

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], HEADS, -1).permute(1, 2, 0, 3)

    def _read(self, x: Tensor) -> Tensor:
        result: Tensor = self.out(x.permute(2, 0, 1, 3).flatten(-2))
        return result


def milliseconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - start)


def measured(steps: int, tokens: int, width: int, repeats: int) -> dict[str, float]:
    """Medians: training a step of about `tokens` tokens, and serving one more token of one sequence."""
    batch = max(1, tokens // steps)
    generator = torch.Generator().manual_seed(0)
    lru = LRU(width, width, r_min=0.8, r_max=0.99, generator=generator)
    attention = Attention(width)
    x, one = (torch.randn(*shape, width, generator=generator) for shape in ((steps, batch), (1, 1)))
    keys = torch.randn(1, HEADS, steps, width // HEADS, generator=generator)
    state = torch.zeros(1, width, dtype=torch.complex64)

    def trained(layer: nn.Module) -> Callable[[], object]:
        return lambda: layer(x).square().sum().backward()

    @torch.inference_mode()
    def served_lru() -> object:
        return lru.step(one[0], state)

    @torch.inference_mode()
    def served_attention() -> object:
        return attention.step(one, keys, keys)

    runs = {
        "train lru": trained(lru), "train attention": trained(attention),
        "serve lru": served_lru, "serve attention": served_attention,
    }  # fmt: skip
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(repeats + 1):
        for name, run in runs.items():
            took = milliseconds(run)
            if turn:  # the first warms up
                times[name].append(took)
    medians = {name: statistics.median(own) for name, own in times.items()}
    return {
        "length": steps, "batch": batch, **{f"{name} ms": round(value, 4) for name, value in medians.items()},
        "train ratio": round(medians["train attention"] / medians["train lru"], 2),
        "serve ratio": round(medians["serve attention"] / medians["serve lru"], 2),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[10, 30, 100, 300, 1000, 3000, 10000])
    parser.add_argument("--tokens", type=int, default=10_000, help="of a training step, whatever the length")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--plot", type=Path, help="where to draw them (SVG)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    for steps in options.lengths:
        rows.append(row := measured(steps, options.tokens, options.width, options.repeats))
        print(
            f"{steps:>6} tokens: attention takes {row['train ratio']:>6.2f} times the unit's time to train, "
            f"{row['serve ratio']:>6.2f} times for one more token",
            flush=True,
        )
    if options.json:
        settings = {"tokens": options.tokens, "width": options.width, "heads": HEADS, "threads": options.threads}
        about = {"date": time.strftime("%Y-%m-%d"), "torch": torch.__version__, "settings": settings}
        write_text(options.json, json.dumps({**about, "rows": rows}, indent=1) + "\n")
    if options.plot:
        plot(rows, options.plot)


def plot(rows: list[dict[str, float]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.4), constrained_layout=True)
    lengths = [row["length"] for row in rows]
    for axis, what, title in (
        (axes[0], "train", "training, microseconds a token"), (axes[1], "serve", "one more token, milliseconds"),
    ):  # fmt: skip
        for name, label in (("lru", "linear recurrent unit"), ("attention", "causal attention")):
            scale = [1000 / (row["length"] * row["batch"]) if what == "train" else 1.0 for row in rows]
            axis.plot(
                lengths, [row[f"{what} {name} ms"] * s for row, s in zip(rows, scale, strict=True)], "o-", label=label
            )
        axis.set(xscale="log", yscale="log", xlabel="tokens of a sequence", title=title)
        axis.grid(visible=True, alpha=0.3)
    axes[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
