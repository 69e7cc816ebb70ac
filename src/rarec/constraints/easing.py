"""Where all that was wished for leaves nothing: the newest wish wins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rarec.constraints.result import Constraint, Constraints
from rarec.constraints.understanding import newest_turn
from rarec.types import Conversation, Filters


def eased(
    found: Constraints, conversation: Conversation, *, on: Filters, leaves_any: Callable[[Filters], bool]
) -> Constraints:
    """The same, unless nothing is left: then wishes of earlier turns are let go until something is.

    What is let go stays as a lean and is reported as not enforced. First one attribute at a time is tried, the one that
    was wished for first before the others, then more of them. Refusals and what the newest turn asks for always stay;
    if that alone leaves nothing, nothing is let go.

    Args:
        on: filters that hold anyway.
        leaves_any: whether any item passes filters, and may still be shown in this conversation.
    """
    newest = newest_turn(conversation)
    wishes: dict[str, list[Constraint]] = {}
    for part in found.hard:
        if part.turn < newest and not part.negated:
            wishes.setdefault(part.attribute, []).append(part)
    if not wishes or leaves_any(found.on(on)):
        return found
    for parts in _given_up(list(wishes.values())):
        less = found.let_go(parts)
        if leaves_any(less.on(on)):
            return less
    return found


def _given_up(wishes: Sequence[Sequence[Constraint]]) -> Iterator[list[Constraint]]:
    """What to do without, in the order in which it is tried."""
    yield from map(list, wishes)
    for count in range(2, len(wishes) + 1):
        yield [part for parts in wishes[:count] for part in parts]
