"""What the words of one turn do to what was asked before."""

from __future__ import annotations

from dataclasses import dataclass

from rarec.constraints.result import Constraint, Unenforced


@dataclass(frozen=True, slots=True)
class Want:
    """A new constraint.

    Attributes:
        also: earlier wishes for the same attribute stay beside it.
        narrows: of values that the same turn wished for before, those stay that it allows, as with "over 20, under 50".
    """

    constraint: Constraint
    also: bool = False
    narrows: bool = False


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Earlier constraints go.

    Attributes:
        attribute: of which; None is all of them.
        values: only these; empty is every value.
        only_negated: a refusal is taken back, a wish stays.
    """

    attribute: str | None
    values: tuple[str, ...] = ()
    only_negated: bool = False


@dataclass(frozen=True, slots=True)
class Subject:
    """A thing is asked for that titles name and no value does, beside or instead of earlier wishes: "and a bench".

    Attributes:
        kinds: attributes by which earlier wishes would shut it out.
    """

    text: str
    turn: int
    span: tuple[int, int]
    kinds: tuple[str, ...]


Event = Want | TakeBack | Unenforced | Subject
