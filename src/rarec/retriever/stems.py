"""What a word is looked up by: folded, without English endings; words that only ask or join are none.

Both sides pass through it, what is said and what is written, so a stem need be no word. Endings are stripped in the
manner of the S stemmer (Harman 1991, "How effective is suffixing?"), and "-ing" and "-ed" beside them. Words of other
languages may lose an ending too, on both sides alike, so they still find themselves; words with other letters than a to
z stay whole. In a language that puts no blanks between words whole runs are taken for words, which seldom match.
"""

from __future__ import annotations

from functools import cache

from rarec.catalogue.evidence import lexicon
from rarec.catalogue.folding import fold

_SHORTEST = 2
_LEAST = 3  # letters that are left of a word
_VOWELS = frozenset("aeiouy")
_DOUBLED = frozenset("bdgmnprt")
_PLURALS = (("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x"), ("zes", "z"), ("oes", "o"), ("s", ""))
# Beside the function words: what people say when they ask, whatever they ask for. Among thousands of items such words
# are common, or in no text; among fifty, one would be as rare as what is meant.
_ASKING = """
look want wish need like love enjoy prefer hate recommend recommendation suggest suggestion search find show give get
bring buy try know think tell say help ask choose pick come go make good great nice best better fine favourite favorite
thing stuff kind sort type idea item product
"""


def stem_of(word: str) -> str:
    """The stem of one word without blanks; empty if it does not count: a function word, a word of asking, one letter.

    >>> [stem_of(word) for word in ("Tomatoes", "tomato's", "pruned", "pruning", "Köln", "1999", "looking")]
    ['tomato', 'tomato', 'prun', 'prun', 'koln', '1999', '']
    """
    plain = fold(word)
    if len(plain) < _SHORTEST or plain in lexicon().function:
        return ""
    if not (plain.isascii() and plain.isalpha()):
        return plain
    stem = _stripped(plain)
    return "" if stem in _asking() else stem


@cache
def _asking() -> frozenset[str]:
    return frozenset(map(_stripped, _ASKING.split()))


def _stripped(word: str) -> str:
    word = _without_tense(_singular(word))
    if len(word) > _LEAST and word.endswith("e"):
        return word[:-1]
    if len(word) > _LEAST and word.endswith("y") and word[-2] not in _VOWELS:
        return word[:-1] + "i"
    return word


def _singular(word: str) -> str:
    if len(word) > _LEAST + 1 and word.endswith(("ies", "ie")):
        return word.removesuffix("s")[:-2] + "y"
    if len(word) > _LEAST and not word.endswith(("ss", "us", "is")):
        for ending, kept in _PLURALS:
            if word.endswith(ending):
                return word[: -len(ending)] + kept
    return word


def _without_tense(word: str) -> str:
    for ending in ("ing", "ed"):
        rest = word.removesuffix(ending)
        if rest != word and len(rest) >= _LEAST and not word.endswith("eed") and not _VOWELS.isdisjoint(rest):
            return rest[:-1] if rest[-1] == rest[-2] and rest[-1] in _DOUBLED else rest
    return word
