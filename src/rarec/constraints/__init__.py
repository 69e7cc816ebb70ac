"""Words to filters: what a conversation's user turns ask for, in terms of a catalogue's own attributes and values.

`Vocabulary(items)` is kept in step with a catalogue by `add` and `remove`. ``understand(conversation, vocabulary)``
reads by rules and gives `Constraints`: ``.parts`` to show (`label`, `span`, `hard`, `id`), ``.unenforced``,
``.filters`` to search with, ``.on(base)`` for filters beside others, ``.without(ids)`` to drop some, ``.loosenings()``
if nothing is left; `eased` lets earlier wishes go then. ``await understand_with(llm, conversation, vocabulary)`` asks a
language model and falls back on the rules. `bounded` makes filters of `Bound`s on numbers.
"""

from rarec.constraints.asking import understand_with
from rarec.constraints.bounds import Bound, bounded
from rarec.constraints.easing import eased
from rarec.constraints.result import YEAR, Constraint, Constraints, Unenforced
from rarec.constraints.understanding import understand
from rarec.constraints.vocabulary import Sort, Vocabulary

__all__ = [
    "YEAR",
    "Bound",
    "Constraint",
    "Constraints",
    "Sort",
    "Unenforced",
    "Vocabulary",
    "bounded",
    "eased",
    "understand",
    "understand_with",
]
