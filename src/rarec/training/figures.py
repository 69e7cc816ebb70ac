"""Figures on the validation conversations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarec.evaluate.bootstrap import paired_interval
from rarec.ranker.model import Ranker
from rarec.ranker.train import Example, gains_at_10, order_of
from rarec.retriever.tasks import ndcg_at_10


def retriever_figures(ranks: NDArray[np.int64], asked: int) -> dict[str, float]:
    """Averages over all `asked` targets; those outside the item table have no rank and are misses."""
    ranks = np.concatenate([ranks, np.full(asked - len(ranks), np.iinfo(np.int64).max // 2)])
    recall = {f"R@{k}": round(mean([ranks <= k]), 4) for k in (1, 10, 50)}
    return recall | {"N@10": round(ndcg_at_10(ranks), 4), "n": asked}


def ranker_figures(ranker: Ranker, examples: Sequence[Example]) -> dict[str, Any]:
    """NDCG@10 of the retriever's order and the ranker's on the same candidates, one value a (turn, target)."""
    targets = [e.targets for e in examples]
    plain = gains_at_10([np.arange(len(e.given.dense)) for e in examples], targets)
    ranked = gains_at_10(order_of(ranker, [e.given for e in examples]), targets)
    # A target that the retriever did not offer is a miss of both.
    lost = np.zeros(sum(e.missed for e in examples))
    before, after = np.concatenate([*plain, lost]), np.concatenate([*ranked, lost])
    dialogues = [e.dialogue for e in examples for _ in e.targets]
    dialogues += [e.dialogue for e in examples for _ in range(e.missed)]
    figures: dict[str, Any] = {
        "NDCG@10 retriever's order": round(mean([before]), 4),
        "NDCG@10 ranker": round(mean([after]), 4),
        "targets": len(dialogues),
    }
    if dialogues:
        low, high = paired_interval(after, before, dialogues, generator=np.random.default_rng(0))
        figures["NDCG@10 gain, 95 % paired interval by dialogue"] = f"[{low:.4f}, {high:.4f}]"
    return figures


def mean(parts: Sequence[NDArray[Any]]) -> float:
    """The mean over several arrays; nothing gives 0."""
    count = sum(map(len, parts))
    return float(sum(float(p.sum()) for p in parts) / count) if count else 0.0
