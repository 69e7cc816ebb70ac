"""Sets that people were shown: rollouts from a log, with the user's reward instead of a judge's.

Another policy chose them, so learning from them is off-policy. Nothing corrects for that but an importance weight, and
it only where the log has the probability of each set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from rarec.align.batches import Rolled
from rarec.align.measuring import measure_alone
from rarec.align.policy import ordered_log_prob
from rarec.align.scorer import Scorer, seen_mask
from rarec.align.source import Examined
from rarec.align.turns import Stock, TokenisedTurn
from rarec.errors import InputError
from rarec.reward import Feedback, agreement
from rarec.types import ItemId

REFUSED_K = 10
_CHUNK = 256


@dataclass(frozen=True, slots=True)
class LoggedSet:
    """One shown set.

    Attributes:
        feedback: on at least two items.
        grades: of the shown items, in their order, as they are learned from; finite.
        log_prob: of showing these items in this order under the policy that chose them, nats; None if unknown.
    """

    feedback: Feedback
    grades: tuple[float, ...]
    log_prob: float | None = None

    def __post_init__(self) -> None:
        shown = len(self.feedback.shown)
        if shown < 2 or len(self.grades) != shown or not all(isfinite(grade) for grade in self.grades):
            raise InputError(
                f"a shown set of {shown} items with the grades {self.grades!r}; it needs two items or more and a "
                "finite grade for each"
            )

    @property
    def reward(self) -> float:
        """Of the set as a whole: the mean grade, from -1 to 1."""
        return sum(self.grades) / len(self.grades)

    @property
    def credits(self) -> tuple[float, ...]:
        """Of each item: its grade against the mean of the set. They add up to 0, and are 0 if all grades are equal."""
        if len(set(self.grades)) == 1:
            return (0.0,) * len(self.grades)
        return tuple(grade - self.reward for grade in self.grades)


@dataclass(frozen=True, slots=True)
class PeopleFigures:
    """Of each turn, in the order of the turns.

    Attributes:
        alone: NDCG@10 of the policy's order against the turn's truth; None for a turn without one.
        agreement: mean over the turn's sets of `reward.agreement` with the policy's order; None without a preference.
        refused: share of the refused items that are among the policy's first ten; None where nothing was refused.
    """

    alone: tuple[float | None, ...]
    agreement: tuple[float | None, ...]
    refused: tuple[float | None, ...]


class LoggedSets:
    """The shown sets of turns; a `RolloutSource`.

    Args:
        by_turn: id of a turn -> its sets, one or more, all of one size.
        temperature: of the policy that learns.
        importance_clip: each set counts min(clip, p now / p logged) times, p being the probability of showing these
            items in this order (Plackett-Luce over the proposal); None takes all sets alike. The cut makes it biased,
            and keeps one set from outweighing all others.
    Raises:
        InputError: a turn has no set or sets of several sizes, or a set no log-probability where weights need it.
    Source: truncated importance sampling, Ionides 2008.
    """

    policy = "off-policy (logged)"

    def __init__(
        self,
        by_turn: Mapping[str, Sequence[LoggedSet]],
        stock: Stock,
        *,
        temperature: float = 1.0,
        importance_clip: float | None = None,
    ) -> None:
        for turn, sets in by_turn.items():
            if len({len(one.feedback.shown) for one in sets}) != 1:
                raise InputError(f"turn {turn!r} has no shown set, or sets of several sizes; make them several turns")
            if importance_clip is not None and any(one.log_prob is None for one in sets):
                raise InputError(f"a set of turn {turn!r} has no log_prob, so no importance weight; leave it out")
        self._by_turn, self._rows = by_turn, stock.table.rows
        self._temperature, self._clip = temperature, importance_clip

    def wanted(self, turns: Sequence[TokenisedTurn], items: int) -> Tensor:
        """All shown items, see `RolloutSource`."""
        mask = torch.zeros(len(turns), items, dtype=torch.bool)
        for line, turn in enumerate(turns):
            mask[line, [self._rows[item] for one in self._of(turn) for item in one.feedback.shown]] = True
        return mask

    def rolled(self, turns: Sequence[TokenisedTurn], rows: Tensor, scores: Tensor) -> Rolled:
        """See `RolloutSource`. Turns with fewer sets than others repeat their first one, which then is not valid."""
        sets = [self._of(turn) for turn in turns]
        groups, width = max(map(len, sets)), max(len(own[0].feedback.shown) for own in sets)
        found = Rolled(
            torch.zeros(len(turns), groups, width, dtype=torch.long),
            torch.zeros(len(turns), groups, dtype=torch.float64),
            torch.zeros(len(turns), groups, dtype=torch.bool),
            torch.zeros(len(turns), groups, width, dtype=torch.float64),
            torch.tensor([len(own[0].feedback.shown) for own in sets]),
            torch.ones(len(turns), groups, dtype=torch.float64),
        )
        assert found.sizes is not None
        assert found.weights is not None
        for line, (own, proposal) in enumerate(zip(sets, rows.tolist(), strict=True)):
            column = {row: place for place, row in enumerate(proposal)}
            size = int(found.sizes[line])
            for group in range(groups):
                one = own[group] if group < len(own) else own[0]
                places = [column[self._rows[item]] for item in one.feedback.shown]
                found.sets[line, group, :size] = torch.tensor(places)
                if group < len(own):
                    found.valid[line, group] = True
                    found.rewards[line, group] = one.reward
                    found.weights[line, group] = weight = self._weight(one, places, scores[line])
                    found.credits[line, group, :size] = weight * torch.tensor(one.credits, dtype=torch.float64)
        return found

    def facts(self, rolled: Rolled) -> Mapping[str, float]:
        """Mean reward, the share of turns whose sets do not differ in it, and the mean importance weight."""
        low = torch.where(rolled.valid, rolled.rewards, torch.inf).amin(-1)
        high = torch.where(rolled.valid, rolled.rewards, -torch.inf).amax(-1)
        found = {
            "reward": float(rolled.rewards[rolled.valid].mean()),
            "sets": float(rolled.valid.sum()),
            "one reward a turn": float((high <= low).double().mean()),
        }
        if self._clip is not None and rolled.weights is not None:
            found["importance weight"] = float(rolled.weights[rolled.valid].mean())
        return found

    def examine(self, scorer: Scorer, turns: Sequence[TokenisedTurn]) -> Examined:
        """The mean of NDCG@10 and agreement chooses the best weights.

        Agreement alone says nothing of items that were not shown; NDCG@10 alone nothing of refused ones.
        """
        figures = self.measure(scorer, turns)
        parts = {
            "ndcg@10 alone": _known(figures.alone),
            "agreement": _known(figures.agreement),
            "refused in first 10": _known(figures.refused),
        }
        means = {name: sum(values) / len(values) for name, values in parts.items() if values}
        counts = {"turns alone": float(len(parts["ndcg@10 alone"])), "turns agreement": float(len(parts["agreement"]))}
        chosen = [means[name] for name in ("ndcg@10 alone", "agreement") if name in means]
        score = sum(chosen) / len(chosen) if chosen else 0.0
        return Examined(score, {**means, **counts, "score": score})

    def measure(self, scorer: Scorer, turns: Sequence[TokenisedTurn]) -> PeopleFigures:
        """The figures of turns; no turns give none."""
        true = [turn for turn in turns if turn.turn.truth]
        ndcg = dict(zip((turn.turn.id for turn in true), measure_alone(scorer, true), strict=True))
        agreements: list[float | None] = []
        refused: list[float | None] = []
        vectors = scorer.project()
        for start in range(0, len(turns), _CHUNK):
            chunk = turns[start : start + _CHUNK]
            scores = scorer.queries(chunk) @ vectors.T
            scores = scores.masked_fill(seen_mask(chunk, scores.shape[1]), -torch.inf)
            for turn, own in zip(chunk, scores, strict=True):
                score = own.tolist()
                agreements.append(self._agreement(turn, score))
                refused.append(self._refused(turn, own))
        return PeopleFigures(tuple(ndcg.get(turn.turn.id) for turn in turns), tuple(agreements), tuple(refused))

    def _agreement(self, turn: TokenisedTurn, score: Sequence[float]) -> float | None:
        found = [
            agreement(sorted(one.feedback.shown, key=lambda item: -score[self._rows[item]]), one.feedback)
            for one in self._of(turn)
            if len({one.feedback.grade(item) for item in one.feedback.shown}) > 1
        ]
        return sum(found) / len(found) if found else None

    def _refused(self, turn: TokenisedTurn, scores: Tensor) -> float | None:
        bad: set[ItemId] = {item for one in self._of(turn) for item in one.feedback.refused}
        if not bad:
            return None
        first = set(scores.topk(min(REFUSED_K, len(scores))).indices.tolist())
        return sum(self._rows[item] in first for item in bad) / len(bad)

    def _weight(self, one: LoggedSet, places: Sequence[int], scores: Tensor) -> float:
        if self._clip is None or one.log_prob is None:
            return 1.0
        now = ordered_log_prob(
            scores.detach().double()[None], torch.tensor(places)[None, None], temperature=self._temperature
        )
        ratio = torch.exp((now - one.log_prob).clamp(max=60.0))
        return min(self._clip, float(ratio))

    def _of(self, turn: TokenisedTurn) -> Sequence[LoggedSet]:
        try:
            return self._by_turn[turn.turn.id]
        except KeyError:
            raise InputError(f"turn {turn.turn.id!r} has no shown set; give it one, or leave it out") from None


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]
