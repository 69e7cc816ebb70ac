"""Where rewarded sets come from, if not from a judge that is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from rarec.align.batches import Rolled
from rarec.align.scorer import Scorer
from rarec.align.turns import TokenisedTurn


@dataclass(frozen=True, slots=True)
class Examined:
    """How good a policy is on turns that it does not learn from.

    Attributes:
        score: by which the best weights are chosen; higher is better.
        facts: for the log.
    """

    score: float
    facts: Mapping[str, float] = field(default_factory=dict[str, float])


class RolloutSource(Protocol):
    """Gives the sets of a turn and their rewards; the same ones whenever it is asked, or a resumed run would differ."""

    @property
    def policy(self) -> str:
        """What the log calls the policy that drew the sets, seen from the one that learns."""
        ...

    def wanted(self, turns: Sequence[TokenisedTurn], items: int) -> Tensor:
        """Which items the proposals must contain, bool, shape (B, items)."""
        ...

    def rolled(self, turns: Sequence[TokenisedTurn], rows: Tensor, scores: Tensor) -> Rolled:
        """The sets as places in the proposals.

        Args:
            rows: of the proposals, shape (B, M); they hold all that is wanted.
            scores: theirs by the policy that learns, no gradient is taken.
        """
        ...

    def facts(self, rolled: Rolled) -> Mapping[str, float]:
        """What the log says of a batch."""
        ...

    def examine(self, scorer: Scorer, turns: Sequence[TokenisedTurn]) -> Examined:
        """Measure the weights as they are on tuning turns."""
        ...
