"""Figures on the validation conversations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rarec.evaluate.bootstrap import paired_interval
from rarec.ranker.model import Ranker
from rarec.ranker.train import Example, gains_at_10, order_of
from rarec.retriever.data import ConversationData, ItemTable
from rarec.retriever.tasks import ndcg_at_10
from rarec.types import ItemId

Figures = dict[str, dict[str, dict[str, Any]]]
"""Validation conversations -> system -> measure -> value."""
MEASURES = ("R@1", "R@10", "R@50", "N@10", "n")
POPULARITY, VECTORS, RETRIEVER = "popularity", "vectors alone", "retriever"
OFFERED, RANKED = "retriever, what it offers to the ranker", "retriever+ranker"


def retriever_figures(ranks: NDArray[np.int64], asked: int) -> dict[str, float]:
    """Averages over all `asked` targets; those outside the item table have no rank and are misses."""
    ranks = np.concatenate([ranks, np.full(asked - len(ranks), np.iinfo(np.int64).max // 2)])
    recall = {f"R@{k}": round(mean([ranks <= k]), 4) for k in (1, 10, 50)}
    return recall | {"N@10": round(ndcg_at_10(ranks), 4), "n": asked}


def popularity_ranks(
    mentions: Counter[ItemId], items: ItemTable, data: ConversationData, candidates: NDArray[np.int64]
) -> NDArray[np.int64]:
    """What `validation_ranks` gives for one list for everyone, shape (targets,).

    Args:
        mentions: how often training mentions an item; equal ones are ordered by the catalogue's popularity.
    """
    order = sorted(candidates.tolist(), key=lambda r: (-mentions[items.items[r].id], -items.items[r].popularity))
    place = {row: at for at, row in enumerate(order)}
    ranks = []
    for target in (target for sequence in data.sequences for target in sequence.targets):
        own = place.get(target.row)
        before = () if own is None else [row for row in target.seen if place.get(row, len(order)) < own]
        ranks.append(len(order) + 1 if own is None else 1 + own - len(before))
    return np.array(ranks, dtype=np.int64)


def ranker_figures(ranker: Ranker, examples: Sequence[Example]) -> dict[str, dict[str, Any]]:
    """N@10 of the retriever's order and the ranker's on the same candidates, one value a (turn, target).

    The ranker's `change` from it has a paired 95 % interval by dialogue.
    """
    targets = [e.targets for e in examples]
    plain = gains_at_10([np.arange(len(e.given.dense)) for e in examples], targets)
    ranked = gains_at_10(order_of(ranker, [e.given for e in examples]), targets)
    # A target that the retriever did not offer is a miss of both.
    lost = np.zeros(sum(e.missed for e in examples))
    before, after = np.concatenate([*plain, lost]), np.concatenate([*ranked, lost])
    dialogues = [e.dialogue for e in examples for _ in e.targets]
    dialogues += [e.dialogue for e in examples for _ in range(e.missed)]
    own: dict[str, Any] = {"N@10": round(mean([after]), 4), "n": len(dialogues)}
    if dialogues:
        low, high = paired_interval(after, before, dialogues, generator=np.random.default_rng(0))
        own["change"], own["interval"] = round(mean([after]) - mean([before]), 4), [round(low, 4), round(high, 4)]
    return {OFFERED: {"N@10": round(mean([before]), 4), "n": len(dialogues)}, RANKED: own}


def rows(figures: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """A table of one data set's figures: the system, and `MEASURES`, empty where there is none."""
    return [(system, *(_shown(measures.get(name)) for name in MEASURES)) for system, measures in figures.items()]


def notes(figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Sentences below such a table."""
    changes = [(own["change"], *own["interval"]) for own in figures.values() if "change" in own]
    return [
        f"The ranker changes N@10 by {change:+.4f} [{low:+.4f}, {high:+.4f}] (paired 95 % interval by dialogue)."
        for change, low, high in changes
    ]


def _shown(value: object) -> str:
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else f"{value:,}"


def mean(parts: Sequence[NDArray[Any]]) -> float:
    """The mean over several arrays; nothing gives 0."""
    count = sum(map(len, parts))
    return float(sum(float(p.sum()) for p in parts) / count) if count else 0.0
