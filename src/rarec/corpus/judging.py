"""Two groups of records that have a title in common: one thing, two things, or not to be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rarec.corpus.clusters import Reason
from rarec.corpus.sides import Side

FACTS = ("kind", "language", "languages", "original_language")
NUMBERS: Mapping[str, float] = {"runtime": 20.0}
"""What is compared unless a recipe says otherwise; see `Rules`."""

_ANY_ROLE = 1 << 63


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides whether records are joined by their titles.

    Attributes:
        by_title: whether they are at all.
        people: whether people are compared; without, only titles that are unique in both sources join.
        year_slack: by how many years sources may differ of one thing.
        facts: attributes that say what sort of thing it is; known on both sides and without a common value they speak
            against a union. At most 8.
        numbers: attribute -> how far known numbers may lie apart before they speak against a union.
    """

    by_title: bool = True
    people: bool = True
    year_slack: int = 1
    facts: tuple[str, ...] = FACTS
    numbers: Mapping[str, float] = field(default_factory=lambda: NUMBERS)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What two groups are to each other.

    Attributes:
        reason: of a union, or of the refusal.
        final: no other evidence can join them: they contradict each other.
        detail: a namespace or attribute, counted as `Clusters.namespaces` and `Rules` list them; -1 if neither.
        common: how many people they have in common.
        gap: years between them; 0 where one is unknown.
    """

    reason: Reason
    final: bool = False
    detail: int = -1
    common: int = 0
    gap: int = 0

    @property
    def strength(self) -> tuple[int, int, int]:
        """By which unions are ordered: the best first."""
        return (_ORDER[self.reason], -self.common, self.gap)


_ORDER = {
    Reason.TWO_PEOPLE: 0,
    Reason.ID_AND_TITLE: 1,
    Reason.A_PERSON: 2,
    Reason.MAIN_PERSON: 3,
    Reason.ONLY_CANDIDATE: 4,
}


def year_gap(one: Side, other: Side) -> int | None:
    """Years between two groups, 0 where they overlap; None if one of them knows none."""
    if one.first is None or one.last is None or other.first is None or other.last is None:
        return None
    return max(0, one.first - other.last, other.first - one.last)


def contradiction(one: Side, other: Side, rules: Rules) -> Verdict | None:
    """What forbids that two groups are one, or None: different ids, other people, years too far apart."""
    for place, (a, b) in enumerate(zip(one.ids, other.ids, strict=True)):
        if a and b and a != b:
            return Verdict(Reason.IDS_DIFFER, final=True, detail=place)
    common = len(one.people & other.people) if rules.people else 0
    if rules.people and not common and _same_roles(one, other):
        return Verdict(Reason.NOBODY_IN_COMMON, final=True)
    if (place := _differing_fact(one, other, rules)) >= 0 and (common < 2 or year_gap(one, other)):
        return Verdict(Reason.FACTS_DIFFER, final=True, detail=place, common=common)
    return None


def too_long(one: Side, other: Side, rules: Rules) -> bool:
    """Whether the years of both together stretch farther than the slack and than each does alone."""
    if one.first is None or one.last is None or other.first is None or other.last is None:
        return False
    span = max(one.last, other.last) - min(one.first, other.first)
    return span > max(rules.year_slack, one.last - one.first, other.last - other.first)


def judge(one: Side, other: Side, rules: Rules) -> Verdict | None:
    """Hold two groups with a title in common against each other; None if their years are too far apart to ask.

    `ONLY_CANDIDATE` means that nothing speaks against a union and nothing but the title for it: whoever sees all the
    groups of the title must say whether it is unique.
    """
    gap = year_gap(one, other)
    if gap is not None and gap > rules.year_slack:
        return None
    if found := contradiction(one, other, rules):
        return found
    common = one.people & other.people if rules.people else frozenset()
    both = one.sources & other.sources
    if any(a and a == b for a, b in zip(one.ids, other.ids, strict=True)):
        return Verdict(Reason.ID_AND_TITLE, common=len(common), gap=gap or 0)
    if both:
        return _within_a_source(one, other, len(common), gap)
    main = common & (one.main | other.main)
    if gap is None:
        if common and not main:
            return Verdict(Reason.YEAR_UNKNOWN, common=len(common))
        return Verdict(Reason.MAIN_PERSON, common=len(common)) if main else Verdict(Reason.YEAR_UNKNOWN)
    if not common:
        return Verdict(Reason.ONLY_CANDIDATE, gap=gap)
    if gap == 0:
        return Verdict(Reason.TWO_PEOPLE if len(common) > 1 else Reason.A_PERSON, common=len(common))
    if main:
        return Verdict(Reason.MAIN_PERSON, common=len(common), gap=gap)
    return Verdict(Reason.MINOR_PERSON, common=len(common), gap=gap)


def _within_a_source(one: Side, other: Side, common: int, gap: int | None) -> Verdict:
    """A source tells its things apart, so that more must speak for a union: the year and most of the people."""
    fewer = min(len(one.people), len(other.people))
    if gap == 0 and common >= min(2, fewer) and 2 * common > fewer:
        return Verdict(Reason.TWO_PEOPLE if common > 1 else Reason.A_PERSON, common=common)
    return Verdict(Reason.SAME_SOURCE, common=common, gap=gap or 0)


def _same_roles(one: Side, other: Side) -> bool:
    """Whether both name people, and of a kind that can be compared: directors with directors, not with a cast."""
    if not one.people or not other.people:
        return False
    return same_roles(one.roles, other.roles)


def same_roles(one: int, other: int) -> bool:
    """Whether people of these roles can be compared, see `Traits.roles`: they share a role, or one is unknown."""
    return bool(one & other or (one | other) & _ANY_ROLE)


def _differing_fact(one: Side, other: Side, rules: Rules) -> int:
    for kind, values in one.facts.items():
        if (others := other.facts.get(kind)) and values.isdisjoint(others):
            return kind // 2
    for place, limit in enumerate(rules.numbers.values()):
        a, b = one.numbers[place], other.numbers[place]
        if a and b and min(abs(x - y) for x in a for y in b) > limit:
            return len(rules.facts) + place
    return -1


__all__ = ["FACTS", "NUMBERS", "Rules", "Verdict", "contradiction", "judge", "same_roles", "too_long", "year_gap"]
