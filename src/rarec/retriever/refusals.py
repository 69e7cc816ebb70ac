"""What a message wishes for: its words without what it refuses.

A plain rule for English, cheap enough for every message of every conversation that training reads: behind "no", "not",
"without" and their like the next three words do not count, function words aside, up to the end of the clause. Filters
are read with far more care (`rarec.constraints`); here a wish that is missed costs a bonus, no more.
"""

from __future__ import annotations

import re
from functools import lru_cache

from rarec.catalogue.evidence import lexicon
from rarec.catalogue.folding import fold
from rarec.retriever.attributes import WORD

_REACH = 3
_PIECE = re.compile(WORD.pattern + r"|[.,;:!?()]")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_REFUSING = _words("""
no not without except excluding nothing neither nor avoid hate hated dislike disliked
dont doesnt didnt isnt arent wasnt werent wont wouldnt shouldnt
""")
_REFUSING_PAIRS = frozenset(
    {
        ("anything", "but"), ("everything", "but"), ("other", "than"), ("rather", "than"), ("instead", "of"),
        ("cant", "stand"), ("cannot", "stand"), ("sick", "of"), ("tired", "of"),
    }
)  # fmt: skip
_HARMLESS_BEFORE = _words("why or if whether")  # "why not", "or not"
# "Not only", "not sure", "not seen", "don't know", "no problem".
_HARMLESS_AFTER = _words("""
only just sure bad necessarily yet seen watched heard read played tried
know mind remember think matter matters worry forget problem worries idea doubt wonder rush preference thanks thank
""")
_ENDS = _words(". , ; : ! ? ( ) but however though although instead rather maybe perhaps i im id we")


@lru_cache(maxsize=1 << 12)
def wished(message: str) -> tuple[str, ...]:
    """What is left of a message, in order: runs of words without case, joined by single blanks; none if nothing is.

    A message that refuses nothing is one run, as `rarec.retriever.attributes.folded` has it.

    >>> wished("Something for tomatoes, but no glass houses. Not only red ones!")
    ('something for tomatoes but', 'not only red ones')
    """
    pieces = _PIECE.findall(message.casefold())
    words = [piece if piece in _ENDS else fold(piece) for piece in pieces]
    runs: list[list[str]] = [[]]
    reach = 0
    for at, word in enumerate(words):
        if _refuses(words, at):
            runs.append([])
            reach = _REACH
        elif reach and word not in _ENDS:
            reach -= word not in lexicon().function
        else:
            reach = 0
            if pieces[at][0].isalnum():
                runs[-1].append(pieces[at])
    return tuple(" ".join(run) for run in runs if run)


def _refuses(words: list[str], at: int) -> bool:
    before, after = words[at - 1] if at else "", words[at + 1] if at + 1 < len(words) else ""
    if (before, words[at]) in _REFUSING_PAIRS:
        return True
    return words[at] in _REFUSING and before not in _HARMLESS_BEFORE and after not in _HARMLESS_AFTER
