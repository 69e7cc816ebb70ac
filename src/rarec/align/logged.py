"""Sets that people were shown: rollouts from a log, with the user's reward instead of a judge's.

Another policy chose them, so learning from them is off-policy. Nothing corrects for that but an importance weight, and
it only where the log has the probability of each set.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor

from rarec.align.batches import Rolled
from rarec.align.policy import ordered_log_prob
from rarec.align.scorer import Scorer, seen_mask
from rarec.align.source import Examined
from rarec.align.turns import Stock, TokenisedTurn
from rarec.errors import InputError
from rarec.reward import Feedback, agreement, ndcg
from rarec.types import ItemId

FIRST = 10
"""Items of the policy that figures look at."""
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
        first: the policy's first ten that were not mentioned, fewer where there are fewer.
        places: where each item that was shown stands in the policy's order of all items, from 1.
    """

    alone: tuple[float | None, ...] = ()
    agreement: tuple[float | None, ...] = ()
    refused: tuple[float | None, ...] = ()
    first: tuple[tuple[ItemId, ...], ...] = ()
    places: tuple[Mapping[ItemId, int], ...] = ()


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
                raise InputError(
                    f"a set of turn {turn!r} has no log_prob, so no importance weight; leave the set out, "
                    "or take no importance_clip"
                )
        self._by_turn, self._rows = by_turn, stock.table.rows
        self._temperature, self._clip = temperature, importance_clip

    def wanted(self, turns: Sequence[TokenisedTurn], items: int) -> Tensor:
        """All shown items, see `RolloutSource`."""
        mask = torch.zeros(len(turns), items, dtype=torch.bool)
        for line, turn in enumerate(turns):
            mask[line, [self._rows[item] for one in self.of(turn) for item in one.feedback.shown]] = True
        return mask

    def rolled(self, turns: Sequence[TokenisedTurn], rows: Tensor, scores: Tensor) -> Rolled:
        """See `RolloutSource`. Turns with fewer sets than others repeat their first one, which then is not valid."""
        sets = [self.of(turn) for turn in turns]
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
        """The figures of turns; no turns give none. Of equal scores the earlier item of the catalogue is first."""
        vectors, ids = scorer.project(), [item.id for item in scorer.stock.items]
        first: list[tuple[ItemId, ...]] = []
        places: list[Mapping[ItemId, int]] = []
        for start in range(0, len(turns), _CHUNK):
            chunk = turns[start : start + _CHUNK]
            seen = seen_mask(chunk, len(ids))
            scores = scorer.scores(chunk, vectors).masked_fill(seen, -torch.inf)
            order = scores.argsort(dim=-1, descending=True, stable=True)
            ranks = order.argsort(dim=-1) + 1
            for turn, own, rank, mentioned in zip(chunk, order, ranks, seen.sum(-1).tolist(), strict=True):
                first.append(tuple(ids[row] for row in own[: min(FIRST, len(ids) - mentioned)].tolist()))
                shown = dict.fromkeys(item for one in self.of(turn) for item in one.feedback.shown)
                places.append({item: int(rank[self._rows[item]]) for item in shown})
        sets = [tuple(one.feedback for one in self.of(turn)) for turn in turns]
        return PeopleFigures(
            tuple(
                ndcg(own, turn.turn.truth, k=FIRST) if turn.turn.truth else None
                for own, turn in zip(first, turns, strict=True)
            ),
            tuple(agreement_of(own, shown) for own, shown in zip(places, sets, strict=True)),
            tuple(refused_of(own, shown) for own, shown in zip(first, sets, strict=True)),
            tuple(first),
            tuple(places),
        )

    def of(self, turn: TokenisedTurn) -> Sequence[LoggedSet]:
        """The sets of a turn. Raises InputError if it has none."""
        try:
            return self._by_turn[turn.turn.id]
        except KeyError:
            raise InputError(f"turn {turn.turn.id!r} has no shown set; give it one, or leave it out") from None

    def _weight(self, one: LoggedSet, places: Sequence[int], scores: Tensor) -> float:
        if self._clip is None or one.log_prob is None:
            return 1.0
        now = ordered_log_prob(
            scores.detach().double()[None], torch.tensor(places)[None, None], temperature=self._temperature
        )
        ratio = torch.exp((now - one.log_prob).clamp(max=60.0))
        return min(self._clip, float(ratio))


def agreement_of(places: Mapping[ItemId, int], sets: Sequence[Feedback]) -> float | None:
    """Mean `reward.agreement` of the sets of a turn; None where none of them has a preference.

    Args:
        places: of all shown items in the policy's order.
    """
    order = sorted(places, key=lambda item: places[item])
    found = [agreement(order, one) for one in sets if len({one.grade(item) for item in one.shown}) > 1]
    return sum(found) / len(found) if found else None


def refused_of(first: Collection[ItemId], sets: Sequence[Feedback]) -> float | None:
    """Share of what was refused in any set of a turn that is among `first`; None where nothing was."""
    bad = {item for one in sets for item in one.refused}
    return sum(item in first for item in bad) / len(bad) if bad else None


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]
