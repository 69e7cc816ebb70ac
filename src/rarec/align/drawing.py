"""Which sets are drawn and in which order they are shown: seed, iteration, turn and group alone decide it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import torch

from rarec.align.policy import ordered_log_prob, sample_sets
from rarec.align.rollout import Key, RolloutSettings, RolloutTask
from rarec.errors import InputError
from rarec.types import Candidate, ItemId, RankingTask


@dataclass(frozen=True, slots=True)
class Draw:
    """One candidate set before it is asked.

    Attributes:
        columns: places in the proposal, in the order of the draws.
        shown: the same places in the order in which they are shown.
        log_prob: of `columns` in this order, nats.
        temperature: of the policy.
    """

    task: RolloutTask
    key: Key
    columns: tuple[int, ...]
    shown: tuple[int, ...]
    log_prob: float
    temperature: float

    def ids(self, columns: tuple[int, ...]) -> tuple[ItemId, ...]:
        """The items of places in the proposal."""
        return tuple(self.task.proposal[column].id for column in columns)

    def question(self, ranked: int) -> RankingTask:
        """What the model is asked."""
        task = self.task
        candidates = tuple(Candidate(task.proposal[column], task.scores[column]) for column in self.shown)
        return RankingTask(task.conversation, task.mentioned, candidates, min(ranked, len(candidates)))


def check_enough(task: RolloutTask, n: int) -> None:
    """Refuse a turn whose proposal has fewer than n items that can be drawn.

    Raises:
        InputError: it has.
    """
    able = sum(score > -torch.inf for score in task.scores)
    if able < n:
        raise InputError(
            f"turn {task.turn!r} has {able} items that can be drawn, but a set has n = {n}; "
            "lower n, or widen the proposal if the catalogue has more"
        )


def draw(task: RolloutTask, *, iteration: int, settings: RolloutSettings) -> list[Draw]:
    """The sets of one turn, one a group. They do not depend on the other turns.

    Raises:
        InputError: the proposal has fewer than n items that can be drawn.
    """
    check_enough(task, settings.n)
    scores = torch.tensor([task.scores], dtype=torch.float64)
    generator = torch.Generator().manual_seed(_seed(settings.seed, iteration, task.turn, "sets"))
    sets = sample_sets(
        scores, settings.n, groups=settings.groups, temperature=settings.temperature, generator=generator
    )
    log_probs = ordered_log_prob(scores, sets, temperature=settings.temperature)
    drawn: list[Draw] = []
    for group, (columns, log_prob) in enumerate(zip(sets[0].tolist(), log_probs[0].tolist(), strict=True)):
        key = (iteration, task.turn, group)
        shown = _shuffled(columns, settings.seed, key)
        drawn.append(Draw(task, key, tuple(columns), shown, log_prob, settings.temperature))
    return drawn


def _shuffled(columns: list[int], seed: int, key: Key) -> tuple[int, ...]:
    order = np.random.default_rng(_seed(seed, *key, "shown")).permutation(len(columns))
    return tuple(columns[place] for place in order)


def _seed(*parts: int | str) -> int:
    text = json.dumps(parts, ensure_ascii=True)
    return int.from_bytes(hashlib.sha256(text.encode("ascii")).digest()[:8], "big") >> 1
