"""The predictions of several systems -> the predictions of their fusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from rarec.errors import InputError
from rarec.evaluate.fusion.bounds import Glimpse, worst_interleave, worst_reciprocal_rank
from rarec.evaluate.fusion.lists import C, checked_weights, interleave, reciprocal_rank_fusion
from rarec.evaluate.gold import Gold, GoldExample
from rarec.evaluate.predictions import Predictions, RankKey
from rarec.evaluate.protocols import Seen
from rarec.types import ItemId

Method = Literal["rrf", "interleave"]
"""`reciprocal_rank_fusion` or `interleave`; the first member begins and decides ties."""


def fuse(
    members: Sequence[Predictions],
    gold: Gold,
    *,
    method: Method = "rrf",
    weights: Sequence[float] | None = None,
    c: float = C,
    name: str | None = None,
) -> Predictions:
    """The fusion of the first `depth` items of each member, as ranks of every target of the gold.

    Mentioned items are removed from each member's list *before* it is cut and fused, else they would take places
    that count. So one fused list cannot serve both ways of treating them: from (s, a, b) and (c, d), s being
    mentioned, interleaving gives s, c, a, d, b, which without s begins with c; without s it gives a, c, b, d. The
    answer therefore holds no lists but ranks, for `excluded` and for `kept`; `fused_lists` gives the lists under one
    of the two, for measures that need them. Targets that are removed are misses.

    The answer's depth is the least of the members'. The first m items of interleaved lists depend on nothing beyond
    place m of a member, so they are those of the uncut lists. Reciprocal rank has no such guarantee (place 21 of
    both lists outweighs place 1 of one): there the cuts belong to the system, and the note names them. Beyond the
    least depth only the longer members would speak, so nothing is told; a rank beyond it is a miss.

    One member may have only ranks. Then the ranks are the worst that it allows (see `worst_interleave` and
    `worst_reciprocal_rank`), for those ways of treating mentioned items for which its ranks are known, and every
    figure is a lower bound. A member of weight 0 takes no part.

    Args:
        weights: of `rrf` only, one a member; None weighs all alike.
        name: None joins the members' names.
    Raises:
        InputError: no members, an unknown method, weights out of range; two members of one name or of different
            catalogues; more than one without lists, or one whose ranks are bounds; or a member lacks an example or a
            rank, or has an item twice, the first such example being named.
    """
    rule = _Rule(method, weights, c)
    used, rule = _checked(members, rule)
    depth = min(member.depth for member in used)
    partial = [member for member in used if not member.lists]
    ranks: dict[RankKey, int] = {}
    for seen in _modes(used):
        for example in _asked(gold):
            found = _ranks(used, example, seen, rule)
            ranks |= {(example.id, t, seen): rank if rank <= depth else 0 for t, rank in found.items()}
    called = [member.calls for member in used if member.calls]
    seeds = {member.seed for member in used} - {None}
    return Predictions(
        name or f"{' + '.join(member.system for member in members)} ({method})",
        depth,
        ranks=ranks,
        calls=called[0] if len(called) == 1 else {},
        seed=seeds.pop() if len(seeds) == 1 else None,
        lower_bound=bool(partial),
        catalogue=used[0].catalogue,
        note=_note(used, partial, rule),
    )


def fused_lists(
    members: Sequence[Predictions],
    gold: Gold,
    *,
    seen: Seen = "excluded",
    method: Method = "rrf",
    weights: Sequence[float] | None = None,
    c: float = C,
) -> dict[str, tuple[ItemId, ...]]:
    """The lists behind the ranks of `fuse`, for each example that has a target, under one way of treating mentions.

    With `excluded` no mentioned item is in them. Lists are as long as the members make them: places beyond the
    members' least depth are known less well, see `fuse`.

    Raises:
        InputError: as `fuse`, or a member has no lists.
    """
    used, rule = _checked(members, _Rule(method, weights, c))
    if without := [member.system for member in used if not member.lists]:
        raise InputError(f"{without[0]!r} has ranks but no lists, so the fused lists are not known; use `fuse`")
    return {e.id: rule.join([member_list(m, e, seen=seen) for m in used]) for e in _asked(gold)}


def oracle_union(a: Predictions, b: Predictions, gold: Gold) -> Predictions:
    """The better of two systems' ranks for every target: an upper bound for choosing between them, not a system.

    Its recall at k is the share of rows that either finds within k. Its depth is the lesser of the two.

    Raises:
        InputError: the catalogues differ, or a system lacks an example or a rank; the first is named.
    """
    _same_catalogue([a, b])
    depth = min(a.depth, b.depth)
    ranks: dict[RankKey, int] = {}
    for seen in _modes([a, b]):
        for example in _asked(gold):
            ours, theirs = _target_ranks(a, example, seen), _target_ranks(b, example, seen)
            for target in example.targets:
                best = min(filter(None, (ours[target], theirs[target])), default=0)
                ranks[example.id, target, seen] = best if best <= depth else 0
    return Predictions(
        f"oracle of {a.system} and {b.system}",
        depth,
        ranks=ranks,
        lower_bound=a.lower_bound or b.lower_bound,
        catalogue=a.catalogue,
        note=f"an oracle, not a system: the better rank of {a.system!r} and {b.system!r} for each target",
    )


def member_list(member: Predictions, example: GoldExample, *, seen: Seen) -> tuple[ItemId, ...]:
    """A member's list for one example as it is fused: without mentioned items if they are excluded, then cut.

    Raises:
        InputError: the member has no list for the example, or one with an item twice.
    """
    if example.id not in member.lists:
        raise InputError(f"{member.system!r} has no list for {example.id!r}; predict every example of the gold")
    items = member.lists[example.id]
    if len(set(items)) != len(items):
        twice = next(item for item in items if items.count(item) > 1)
        raise InputError(f"{member.system!r} ranked {twice!r} twice for {example.id!r}; give every item once")
    removed = frozenset(example.seen) if seen == "excluded" else frozenset[ItemId]()
    return tuple(item for item in items if item not in removed)[: member.depth]


@dataclass(frozen=True, slots=True)
class _Rule:
    method: Method
    weights: Sequence[float] | None
    c: float

    def join(self, lists: Sequence[Sequence[ItemId]]) -> tuple[ItemId, ...]:
        if self.method == "interleave":
            return interleave(lists)
        return reciprocal_rank_fusion(lists, weights=self.weights, c=self.c)

    def worst(self, lists: Sequence[Sequence[ItemId] | Glimpse]) -> dict[ItemId, int]:
        if self.method == "interleave":
            return worst_interleave(lists)
        return worst_reciprocal_rank(lists, weights=self.weights, c=self.c)


def _ranks(members: Sequence[Predictions], example: GoldExample, seen: Seen, rule: _Rule) -> dict[ItemId, int]:
    """The fused rank of every target of an example, or the worst that is possible; 0 is a miss."""
    if all(member.lists for member in members):
        fused = rule.join([member_list(member, example, seen=seen) for member in members])
        places = {item: place for place, item in enumerate(fused, start=1)}
        return {target: places.get(target, 0) for target in example.targets}
    removed = example.seen if seen == "excluded" else ()
    worst = rule.worst([_part(member, example, seen, removed) for member in members])
    # A removed target is in no list; where a recording has it all the same, its place is not used.
    return {target: worst.get(target, 0) for target in example.targets}


def _part(
    member: Predictions, example: GoldExample, seen: Seen, removed: Sequence[ItemId]
) -> tuple[ItemId, ...] | Glimpse:
    if member.lists:
        return member_list(member, example, seen=seen)
    known = _target_ranks(member, example, seen)
    return Glimpse(member.depth, {target: rank for target, rank in known.items() if target not in removed})


def _target_ranks(member: Predictions, example: GoldExample, seen: Seen) -> dict[ItemId, int]:
    """Target -> rank, 0 a miss, from a member's list or its ranks."""
    if member.lists:
        places = {item: place for place, item in enumerate(member_list(member, example, seen=seen), start=1)}
        return {target: places.get(target, 0) for target in example.targets}
    for target in example.targets:
        if (example.id, target, seen) not in member.ranks:
            raise InputError(
                f"{member.system!r} has no rank for {target!r} of {example.id!r} with mentioned items {seen}; "
                "give a rank to every target of the gold"
            )
    return {target: member.ranks[example.id, target, seen] for target in example.targets}


def _modes(members: Sequence[Predictions]) -> list[Seen]:
    """How every member can treat mentioned items: lists serve both ways, ranks those that they name."""
    named = [{seen for _, _, seen in member.ranks} for member in members if not member.lists]
    both = [seen for seen in get_args(Seen) if all(seen in one for one in named)]
    if not both:
        raise InputError("the members' ranks treat mentioned items in different ways, or there are none")
    return both


def _checked(members: Sequence[Predictions], rule: _Rule) -> tuple[list[Predictions], _Rule]:
    """The members that take part, and the rule for them."""
    if rule.method not in get_args(Method):
        raise InputError(f"unknown method {rule.method!r}; use one of {get_args(Method)}")
    if rule.method == "interleave" and rule.weights is not None:
        raise InputError("interleaving has no weights; leave them out, or use the method 'rrf'")
    weights = checked_weights(rule.weights, len(members), c=rule.c)
    names = [member.system for member in members]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"two members are named {twice[0]!r}; fuse a system only once")
    _same_catalogue(members)
    used = [member for member, weight in zip(members, weights, strict=True) if weight > 0]
    if empty := [member.system for member in used if not (member.lists or member.ranks)]:
        raise InputError(f"{empty[0]!r} has neither lists nor ranks; there is nothing to fuse")
    partial = [member for member in used if not member.lists]
    if len(partial) > 1:
        raise InputError(f"{partial[0].system!r} and {partial[1].system!r} both have ranks only; a bound needs lists")
    if partial and partial[0].lower_bound:
        raise InputError(f"the ranks of {partial[0].system!r} are bounds; fuse the systems that it was made of")
    kept = None if rule.weights is None else [weight for weight in weights if weight > 0]
    return used, _Rule(rule.method, kept, rule.c)


def _same_catalogue(members: Sequence[Predictions]) -> None:
    for member in members:
        if member.catalogue != members[0].catalogue:
            raise InputError(
                f"{member.system!r} ranked the {member.catalogue}, {members[0].system!r} the {members[0].catalogue}; "
                "fuse systems of one catalogue"
            )


def _asked(gold: Gold) -> list[GoldExample]:
    return [example for example in gold.examples if example.targets]


def _note(used: Sequence[Predictions], partial: Sequence[Predictions], rule: _Rule) -> str:
    cuts = ", ".join(f"the first {member.depth} of {member.system!r}" for member in used)
    how = "interleaved" if rule.method == "interleave" else f"reciprocal rank, c = {rule.c:g}"
    if rule.weights is not None:
        how += f", weights {' : '.join(f'{weight:.2f}' for weight in rule.weights)}"
    only = f"; a lower bound, of {partial[0].system!r} only ranks are known" if partial else ""
    return f"{how}: {cuts}{only}"
