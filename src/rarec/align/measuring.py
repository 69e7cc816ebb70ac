"""How good a policy is on turns that it does not learn from: alone, and after the judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from rarec.align.ledger import Ledger
from rarec.align.rollout import OnProgress, Rollout, RolloutReward, RolloutSettings, RolloutTask
from rarec.align.rollouts import collect
from rarec.align.scorer import Scorer, seen_mask
from rarec.align.turns import TokenisedTurn
from rarec.errors import InputError
from rarec.llm.budget import Spend
from rarec.llm.metered import Metered
from rarec.reward import ndcg, recall
from rarec.types import ItemId

MEASURE = "ndcg@10"
"""Of both figures, a turn: all new items of the turn count against its ideal."""
_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of each turn, in the order of the turns.

    Attributes:
        alone: NDCG@10 of the policy's own order.
        judged: NDCG@10 of its first n in the judge's order; of its own order where the judge gave none.
        held: share of the turn's true items among these n.
        offered: these n, in the policy's order.
        rankings: the same in the judge's order; empty where the judge gave none.
        degraded: turns without an answer.
        spend: for it.
    """

    alone: tuple[float, ...] = ()
    judged: tuple[float, ...] = ()
    held: tuple[float, ...] = ()
    offered: tuple[tuple[ItemId, ...], ...] = ()
    rankings: tuple[tuple[ItemId, ...], ...] = ()
    degraded: int = 0
    spend: Spend = field(default_factory=Spend)


def best_lists(scorer: Scorer, turns: Sequence[TokenisedTurn], n: int) -> list[list[tuple[ItemId, float]]]:
    """The first n items of each turn that were not mentioned, with their scores.

    Raises:
        InputError: a turn has fewer.
    """
    vectors = scorer.project()
    ids = [item.id for item in scorer.stock.items]
    lists: list[list[tuple[ItemId, float]]] = []
    for start in range(0, len(turns), _CHUNK):
        chunk = turns[start : start + _CHUNK]
        scores = scorer.scores(chunk, vectors).masked_fill(seen_mask(chunk, len(ids)), -torch.inf)
        best = scores.topk(min(n, len(ids)), dim=-1)
        for turn, columns, values in zip(chunk, best.indices.tolist(), best.values.tolist(), strict=True):
            able = [(ids[c], v) for c, v in zip(columns, values, strict=True) if v > -torch.inf]
            if len(able) < n:
                raise InputError(
                    f"turn {turn.turn.id!r} leaves {len(able)} items of the catalogue, but n = {n} are wanted; lower n"
                )
            lists.append(able)
    return lists


def measure_alone(scorer: Scorer, turns: Sequence[TokenisedTurn]) -> tuple[float, ...]:
    """NDCG@10 of each turn; no turns give none."""
    depth = min(10, min((len(scorer.stock) - len(turn.seen_rows) for turn in turns), default=10))
    lists = best_lists(scorer, turns, depth)
    return tuple(ndcg([i for i, _ in own], turn.turn.truth) for own, turn in zip(lists, turns, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Examiner:
    """Asks the judge about the policy's first n: what it would serve. The order shown is shuffled, as in rollouts.

    It goes through the ledger, so a resumed or replayed run gets the same figures.
    """

    settings: RolloutSettings
    ledger: Ledger

    def measure(
        self,
        scorer: Scorer,
        turns: Sequence[TokenisedTurn],
        llm: Metered | None,
        *,
        at: int,
        name: str,
        progress: OnProgress | None = None,
    ) -> Measured:
        """The figures of `turns`; no turns give none.

        Args:
            at: number of the iteration.
            name: of the occasion; a turn is asked about once for each.
        Raises:
            As `rollouts.collect`.
        """
        items = {item.id: item for item in scorer.stock.items}
        lists = best_lists(scorer, turns, self.settings.n)
        tasks = [
            RolloutTask(
                f"{name}/{turn.turn.id}",
                turn.turn.conversation,
                turn.mentioned,
                turn.turn.truth,
                tuple(items[i] for i, _ in own),
                tuple(score for _, score in own),
            )
            for turn, own in zip(turns, lists, strict=True)
        ]
        rollouts = collect(
            tasks,
            llm,
            iteration=at,
            reward=RolloutReward.of({MEASURE: 1.0}),
            settings=replace(self.settings, groups=1),
            ledger=self.ledger,
            progress=progress,
        )
        return _measured(rollouts, tasks)


def _measured(rollouts: Sequence[Rollout], tasks: Sequence[RolloutTask]) -> Measured:
    judged: list[float] = []
    held: list[float] = []
    for rollout, task in zip(rollouts, tasks, strict=True):
        own = [item.id for item in task.proposal]
        ranking = own if rollout.degraded else rollout.ranking
        judged.append(ndcg(ranking, task.truth))
        held.append(recall(own, task.truth, k=len(own)))
    return Measured(
        judged=tuple(judged),
        held=tuple(held),
        offered=tuple(tuple(item.id for item in task.proposal) for task in tasks),
        rankings=tuple(rollout.ranking for rollout in rollouts),
        degraded=sum(r.degraded for r in rollouts),
        spend=sum((r.spend for r in rollouts), Spend()),
    )
