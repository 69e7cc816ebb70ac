"""The second stage of resolving: records whose titles agree, by year, people and what else is known."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from rarec.corpus.clusters import Clusters, Reason
from rarec.corpus.judging import Rules, Verdict, contradiction, judge, too_long
from rarec.corpus.sides import Sides
from rarec.corpus.title_blocks import Block, blocks, neighbours, pairs
from rarec.corpus.unions import Unions
from rarec.progress import OnProgress

_MOST_ROUNDS = 5
_Pair = tuple[int, int]
_Groups = dict[int, set[int]]


def join_by_titles(clusters: Clusters, rules: Rules, *, progress: OnProgress | None = None) -> None:
    """Join groups by their titles, and log what was joined and what was refused.

    First all that people (or an id that alone is ambiguous) speak for, the strongest evidence first, until nothing
    more comes together; then what is the only candidate of its time in both sources; then once more by people. A
    group for which two unions that contradict each other have equal evidence gets neither. The result depends on the
    records alone, not on their order: groups are compared as sets, and ties are broken by source and key.
    """
    _join_by_people(clusters, rules, None, progress)
    changed = _join_only_candidates(clusters, rules, progress)
    _join_by_people(clusters, rules, changed, progress)
    _log_refusals(clusters, rules, progress)


def _join_by_people(
    clusters: Clusters, rules: Rules, changed: NDArray[np.bool_] | None, progress: OnProgress | None
) -> None:
    for number in range(1, _MOST_ROUNDS + 1):
        if changed is not None and not changed.any():
            return
        sides, unions = Sides(clusters), Unions()
        for block in blocks(clusters, changed, _told(progress, f"match titles and people, round {number}")):
            _ask_by_people(block, sides, rules, unions)
        changed = unions.make(clusters, rules)


def _join_only_candidates(clusters: Clusters, rules: Rules, progress: OnProgress | None) -> NDArray[np.bool_]:
    sides, unions = Sides(clusters), Unions()
    for block in blocks(clusters, None, _told(progress, "match titles that are unique")):
        if not block.common:
            verdicts = _verdicts(block, sides, rules)
            viable, foes = _viable(verdicts)
            for (one, other), verdict in verdicts.items():
                if _only_candidate(one, other, verdict, block, sides, viable, foes) is None:
                    unions.add(one, other, (block.bearers[one], block.bearers[other]), verdict)
    return unions.make(clusters, rules)


def _told(progress: OnProgress | None, stage: str) -> OnProgress | None:
    def tell(told: OnProgress, _: str, done: int, total: int, text: str) -> None:
        told(stage, done, total, text)

    return None if progress is None else partial(tell, progress)


def _ask_by_people(block: Block, sides: Sides, rules: Rules, unions: Unions) -> None:
    strong = {pair: verdict for pair, verdict in _verdicts(block, sides, rules).items() if _is_strong(verdict)}
    partners: dict[int, list[tuple[int, Verdict]]] = {}
    for (one, other), verdict in strong.items():
        partners.setdefault(one, []).append((other, verdict))
        partners.setdefault(other, []).append((one, verdict))
    for (one, other), verdict in strong.items():
        if not any(
            _is_tied(partner, verdict, partners[group], sides, rules) for group, partner in ((one, other), (other, one))
        ):
            unions.add(one, other, (block.bearers[one], block.bearers[other]), verdict)


def _is_strong(verdict: Verdict) -> bool:
    return verdict.reason.joins and verdict.reason is not Reason.ONLY_CANDIDATE


def _is_tied(partner: int, verdict: Verdict, partners: list[tuple[int, Verdict]], sides: Sides, rules: Rules) -> bool:
    """Whether equal evidence joins a group with another that contradicts this partner."""
    return any(
        third != partner
        and found.strength == verdict.strength
        and contradiction(sides.of(third), sides.of(partner), rules) is not None
        for third, found in partners
    )


def _verdicts(block: Block, sides: Sides, rules: Rules) -> dict[_Pair, Verdict]:
    """What the pairs of a title are to each other, the smaller label first; years that are too far apart left out."""
    asked = pairs(block, sides, year_slack=rules.year_slack)
    return {(a.label, b.label): verdict for a, b in asked if (verdict := judge(a, b, rules))}


def _viable(verdicts: dict[_Pair, Verdict]) -> tuple[_Groups, _Groups]:
    """Of each group those that it may be one with, and those that it cannot."""
    viable: _Groups = {}
    foes: _Groups = {}
    for (one, other), verdict in verdicts.items():
        groups = foes if verdict.final else viable
        groups.setdefault(one, set()).add(other)
        groups.setdefault(other, set()).add(one)
    return viable, foes


def _only_candidate(
    one: int, other: int, verdict: Verdict, block: Block, sides: Sides, viable: _Groups, foes: _Groups
) -> Reason | None:
    """Why a pair is not joined by its title alone; None if it is.

    Neither may have another candidate in the other's sources, nor one elsewhere that contradicts the other.
    """
    if verdict.reason is not Reason.ONLY_CANDIDATE:
        return verdict.reason
    if one not in block.main and other not in block.main:
        return Reason.NOT_UNIQUE
    for group, partner in ((one, other), (other, one)):
        sources = sides.of(partner).sources
        for third in viable[group] - {partner}:
            if sides.of(third).sources & sources or third in foes.get(partner, ()):
                return Reason.NOT_UNIQUE
    return None


def _log_refusals(clusters: Clusters, rules: Rules, progress: OnProgress | None) -> None:
    """Of what has a title in common and is near in time, why it is not one."""
    sides, refused = Sides(clusters), clusters.refused
    for block in blocks(clusters, None, _told(progress, "note what was refused")):
        verdicts = _verdicts(block, sides, rules)
        viable, foes = _viable(verdicts)
        for (one, other), verdict in verdicts.items():
            reason = _only_candidate(one, other, verdict, block, sides, viable, foes)
            if reason is None or reason.joins:  # it was asked for, and could not be made
                a, b = sides.of(one), sides.of(other)
                apart = reason is None or too_long(a, b, rules)
                reason = Reason.CONTRADICTED if apart else Reason.NOT_UNIQUE
            refused.add(block.bearers[one], block.bearers[other], reason, verdict.detail)
        if block.common:
            for a, b in neighbours(block, sides, year_slack=rules.year_slack):
                refused.add(block.bearers[a.label], block.bearers[b.label], Reason.COMMON_TITLE)
    clusters.settle_refusals()


__all__ = ["join_by_titles"]
