"""Steps of training on interaction sequences, ours against LRURec as its paper describes it.

    python benchmarks/training_throughput.py [--lengths 50 200] [--batch 128] [--items 3416] [--threads 2] [--json]
    python benchmarks/training_throughput.py --catalogues 10000 100000 1000000 --lengths 50

*reference* is hidden width 64, two blocks, complex64 maps that are fed real input, a scan by recursive doubling padded
to a power of two, a table of items by id with a bias for each, and the softmax over the whole catalogue at every
position. *ours by id* is the same width, blocks and table with the parts of rarec: maps of real numbers, the blocked
scan with its own gradient, the softmax in one pass, over the whole catalogue or, *sampled*, over a third of its items,
and its dropout. In each step the items are dealt out to three parts of the rows, so that all compete in a step of many
rows. *ours* is what `rarec train` does: items enter as text vectors through the tower, so that no parameter hangs on an
id. Rows in bfloat16 take products of matrices in it, as `precision` of a training loop asks for; the reference is in
float32. Sequences are random; the arithmetic is that of ML-1M's 3,416 items. The steps (forward, backward, AdamW) take
turns, so that a busy machine slows all of them; the medians' ratios are what to read. Each length has a process of its
own, as a training has: how long fresh memory takes depends on what was asked for before. With --catalogues the
reference is left out, and the size of the catalogue is what varies.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rarec.retriever.data import Interactions, ItemTable
from rarec.retriever.dropout import Dropout
from rarec.retriever.features import EXTRA_FEATURES
from rarec.retriever.fused import ROWS, mean_sampled_softmax_loss
from rarec.retriever.model import Block, Retriever, RetrieverConfig
from rarec.retriever.tasks import NextItem, PretrainConfig
from rarec.retriever.trainer import Precision, products_in
from rarec.types import ItemId

WIDTH, BLOCKS, DROPOUT, TEXT, NEGATIVES, HANDS = 64, 2, 0.2, 384, 1500, 3
RING = (0.8, 0.99)
Step = Callable[[], float]
"""Takes one step and gives the loss."""


class ComplexLRU(nn.Module):
    """Time in the second axis, as the paper's implementation has it."""

    def __init__(self) -> None:
        super().__init__()
        radius = RING[0] + (RING[1] - RING[0]) * torch.rand(WIDTH)
        self.log_decay = nn.Parameter(torch.log(-torch.log(radius)))
        self.log_angle = nn.Parameter(torch.log(6.28 * torch.rand(WIDTH)))
        self.into = nn.Linear(WIDTH, WIDTH, dtype=torch.complex64)
        self.out = nn.Linear(WIDTH, WIDTH, dtype=torch.complex64)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, width) -> the same shape; time is a power of two."""
        a = torch.polar(torch.exp(-torch.exp(self.log_decay)), torch.exp(self.log_angle))
        h = self.into(x.to(torch.complex64))
        powers, half = a[None], 1
        batch, time, width = h.shape
        while half < time:
            left, right = h.view(batch, time // (2 * half), 2, half, width).unbind(2)
            right = right + powers * left[:, :, -1:]
            h = torch.stack([left, right], dim=2).view(batch, time, width)
            powers = torch.cat([powers, powers * powers[-1]])
            half *= 2
        result: Tensor = self.out(h).real
        return result


class ReferenceBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lru = ComplexLRU()
        self.wide = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Dropout(DROPOUT), nn.Linear(4 * WIDTH, WIDTH)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norms[0](x + self.dropout(self.lru(x)))
        result: Tensor = self.norms[1](x + self.dropout(self.wide(x)))
        return result


class Reference(nn.Module):
    """LRURec over ids, the whole catalogue at every position."""

    def __init__(self, items: int) -> None:
        super().__init__()
        self.table = _table(items)
        self.bias = nn.Parameter(torch.zeros(items + 1))
        self.norm, self.dropout = nn.LayerNorm(WIDTH), nn.Dropout(DROPOUT)
        self.blocks = nn.ModuleList(ReferenceBlock() for _ in range(BLOCKS))

    def states(self, rows: Tensor) -> Tensor:
        """Rows (batch, time), from 1 on, 0 behind the last -> (batch, time, width)."""
        # Behind, where nothing that is real can see it.
        padding = (1 << (rows.shape[1] - 1).bit_length()) - rows.shape[1]
        h: Tensor = self.dropout(self.norm(self.table(F.pad(rows, (0, padding)))))
        for block in self.blocks:
            h = block(h)
        return h[:, : rows.shape[1]]

    def loss(self, rows: Tensor) -> Tensor:
        """Rows (batch, time + 1), from 1 on, 0 behind the last."""
        scores = self.states(rows[:, :-1]) @ self.table.weight.T + self.bias
        return F.cross_entropy(scores.flatten(0, 1), rows[:, 1:].flatten(), ignore_index=0)


def _table(items: int) -> nn.Embedding:
    table = nn.Embedding(items + 1, WIDTH, padding_idx=0)
    nn.init.trunc_normal_(table.weight, std=0.02, a=-0.04, b=0.04)
    with torch.no_grad():
        table.weight[0] = 0
    return table


class OursById(nn.Module):
    """The reference's table and width, with our blocks and our loss.

    Args:
        hands: items are dealt out anew in each step to so many parts of the rows, and compete there; with 1 all compete
            in all rows.
    """

    def __init__(self, items: int, hands: int = 1) -> None:
        super().__init__()
        self.hands = hands
        self.table = _table(items)
        self.bias = nn.Parameter(torch.zeros(items + 1))
        self.norm, self.dropout = nn.LayerNorm(WIDTH), Dropout(DROPOUT)
        config = RetrieverConfig(text_dimension=TEXT, width=WIDTH, blocks=BLOCKS, dropout=DROPOUT)
        generator = torch.Generator().manual_seed(0)
        self.blocks = nn.ModuleList(Block(config, generator) for _ in range(BLOCKS))

    def states(self, rows: Tensor) -> Tensor:
        """As of the reference."""
        h: Tensor = self.dropout(self.norm(self.table(rows.T)))
        for block in self.blocks:
            h = block(h)
        return h.transpose(0, 1)

    def loss(self, rows: Tensor) -> Tensor:
        """As of the reference, over the sample."""
        target = rows[:, 1:]
        real = target > 0
        states = self.states(rows[:, :-1]).flatten(0, 1)
        h, target = F.embedding(torch.nonzero(real.flatten())[:, 0], states), target[real]
        items = len(self.bias) - 1
        # The bias is one more number of an item, and a one of the query.
        table = torch.cat([self.table.weight, self.bias[:, None]], dim=1)
        queries = torch.cat([h, h.new_ones(len(h), 1)], dim=1)
        dealt = 1 + (torch.arange(items) if self.hands == 1 else torch.randperm(items))
        # Whole blocks of the loss, the last part apart; few rows are fewer parts, and the last hands are left out.
        size = math.ceil(len(target) / self.hands / ROWS) * ROWS
        hands = torch.tensor_split(dealt, self.hands)
        parts = zip(torch.split(queries, size), torch.split(target, size), hands, strict=False)
        losses = [len(wanted) * self._loss_among(hand, table, own, wanted) for own, wanted, hand in parts]
        return torch.stack(losses).sum() / len(target)

    def _loss_among(self, hand: Tensor, table: Tensor, queries: Tensor, target: Tensor) -> Tensor:
        """The mean over rows; hand (items,) and target (rows,) from 1 on, queries (rows, width)."""
        column = torch.full((len(table),), -1)
        column[hand] = torch.arange(len(hand))
        log_q = torch.tensor(math.log(len(hand) / (len(table) - 1)))
        return mean_sampled_softmax_loss(
            queries,
            F.embedding(target, table),
            F.embedding(hand, table),
            positive_log_q=log_q.expand(len(target)),
            negative_log_q=log_q.expand(len(hand)),
            hit=column[target],
        )


def by_id(model: Reference | OursById, items: int, batch: int, length: int, precision: Precision = "float32") -> Step:
    """A step on random sequences of `length` targets."""
    generator = torch.Generator().manual_seed(0)

    def loss() -> Tensor:
        return model.loss(torch.randint(1, items + 1, (batch, length + 1), generator=generator))

    return descent(model, loss, precision)


def ours(items: int, batch: int, length: int, precision: Precision = "float32") -> Step:
    """A step of pretraining as `rarec train` takes it, at the width of the reference."""
    generator = torch.Generator().manual_seed(0)
    features = F.normalize(torch.randn(items, TEXT + EXTRA_FEATURES, generator=generator), dim=-1)
    table = ItemTable({ItemId(str(row)): row for row in range(items)}, features)
    draw = np.random.default_rng(0)
    people = [
        Interactions(draw.integers(items, size=length + 1), np.zeros(length + 1, dtype=np.int64)) for _ in range(batch)
    ]
    model = Retriever(RetrieverConfig(text_dimension=TEXT, width=WIDTH, blocks=BLOCKS, dropout=DROPOUT))
    config = PretrainConfig(batch=batch, length=length + 1, negatives=NEGATIVES, scored_share=1.0)
    task = NextItem(model, table, people, config)
    return descent(model, lambda: task.loss(0, 0, generator), precision)


def descent(model: nn.Module, loss: Callable[[], Tensor], precision: Precision) -> Step:
    """A step of AdamW, with products in this precision as of a training loop."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> float:
        with products_in(precision):
            value = loss()
        optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return float(value.detach())

    return step


def timed(steps: Mapping[str, Step], repeats: int) -> dict[str, float]:
    """Median seconds of a step; the steps take turns, after one that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for name, step in steps.items():
        assert math.isfinite(step()), name
    for _ in range(repeats):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def against_reference(items: int, batch: int, length: int, repeats: int) -> dict[str, float]:
    """Sequences a second, and how many times as many as the reference."""
    found = timed(
        {
            "reference": by_id(Reference(items), items, batch, length),
            "ours by id": by_id(OursById(items), items, batch, length),
            "ours by id, bfloat16": by_id(OursById(items), items, batch, length, "bfloat16"),
            "ours by id, sampled, bfloat16": by_id(OursById(items, HANDS), items, batch, length, "bfloat16"),
            "ours": ours(items, batch, length),
            "ours, bfloat16": ours(items, batch, length, "bfloat16"),
        },
        repeats,
    )
    rates = {name: batch / seconds for name, seconds in found.items()}
    return {f"{name}, sequences/s": round(rate, 1) for name, rate in rates.items()} | {
        f"{name} over reference": round(rate / rates["reference"], 2) for name, rate in rates.items() if "ours" in name
    }


def by_catalogue(catalogues: Sequence[int], batch: int, length: int, repeats: int) -> list[dict[str, float]]:
    """Milliseconds of our step by the size of the catalogue, and over that of the smallest."""
    found = timed({str(items): ours(items, batch, length) for items in catalogues}, repeats)
    base = found[str(catalogues[0])]
    return [
        {
            "items": items,
            "ms": round(1000 * found[str(items)], 1),
            "over the smallest": round(found[str(items)] / base, 2),
        }
        for items in catalogues
    ]


def at_length(length: int, options: argparse.Namespace) -> list[dict[str, float]]:
    """All rows of one length."""
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if options.catalogues:
        return by_catalogue(options.catalogues, options.batch, length, options.repeats)
    return [against_reference(options.items, options.batch, length, options.repeats)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Training steps against LRURec as published.")
    parser.add_argument("--lengths", type=int, nargs="+", default=[50, 200], help="of sequences")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--items", type=int, default=3416)
    parser.add_argument("--catalogues", type=int, nargs="+", help="vary the number of items instead")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    options = parser.parse_args()
    rows: list[dict[str, float]] = []
    for length in options.lengths:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            found = process.submit(at_length, length, options).result()
        rows += [{"length": length, **row} for row in found]
        if not options.json:
            for row in rows[-len(found) :]:
                print(", ".join(f"{name}: {value:,}" for name, value in row.items()), flush=True)
    if options.json:
        print(json.dumps({"settings": vars(options), "torch": torch.__version__, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
