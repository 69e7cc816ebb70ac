"""What speaks for an item in a conversation, in terms that a person can check: values asked for and shared, words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rarec.retriever.attributes import WORD, is_number, runs_of_words
from rarec.retriever.sequence import felt_about, message_text
from rarec.retriever.stems import stem_of
from rarec.types import Candidate, Conversation, Item, ItemId, Sentiment

_WORD = re.compile(r"[^\W_]+")
_MESSAGES = 20
_LONGEST_VALUE = 5
_SHORTEST_FORM = 3
_SHORTEST_PLURAL = 5
_KEPT_CHARACTERS = 1000
_NOTHING: Mapping[ItemId, Sequence[str]] = {}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a conversation says that an item can answer.

    Attributes:
        words: n-grams of up to five words of the user's last 20 messages, in lower case, without linked titles.
        sentiments: what the user feels about each mentioned item; the last word counts.
        mentioned: the mentioned items that are in the catalogue, in order of mention.
        own: ids that the user mentioned or felt something about, rather than only the assistant.
    """

    words: frozenset[str]
    sentiments: Mapping[ItemId, Sentiment]
    mentioned: tuple[Item, ...]
    own: frozenset[ItemId] = frozenset()

    @staticmethod
    def of(conversation: Conversation, items: Mapping[ItemId, Item]) -> Evidence:
        """Gather it from a linked conversation; `items` are the mentioned ones that are known."""
        said = [t for t in conversation.turns if t.role == "user"][-_MESSAGES:]
        sentiments = felt_about(conversation)
        words = frozenset[str]().union(*(ngrams(message_text(t)) for t in said))
        own = {m.item for t in conversation.turns if t.role == "user" for m in t.mentions or ()}
        return Evidence(words, sentiments, tuple(items[i] for i in sentiments if i in items), frozenset(own))

    @property
    def welcome(self) -> tuple[Item, ...]:
        """Mentioned items that the user did not dislike."""
        return tuple(i for i in self.mentioned if self.sentiments[i.id] != "disliked")

    @property
    def disliked(self) -> tuple[Item, ...]:
        return tuple(i for i in self.mentioned if self.sentiments[i.id] == "disliked")

    def asked(self, item: Item) -> tuple[tuple[str, str], ...]:
        """The item's (attribute, value) pairs whose value the user has written."""
        return tuple(pair for pair in pairs(item) if asked_for(pair[1], self.words))


def fold(text: str) -> str:
    """Lower case words joined by single spaces."""
    return " ".join(_WORD.findall(text.casefold()))


def ngrams(text: str, longest: int = _LONGEST_VALUE) -> frozenset[str]:
    """All runs of up to `longest` words of a text, folded."""
    return (_kept_ngrams if len(text) <= _KEPT_CHARACTERS else _ngrams)(text, longest)


def _ngrams(text: str, longest: int) -> frozenset[str]:
    return frozenset(runs_of_words(_WORD.findall(text.casefold()), longest))


_kept_ngrams = lru_cache(maxsize=1024)(_ngrams)  # one conversation is ranked again and again


@lru_cache(maxsize=65536)
def _forms(value: str) -> tuple[str, ...]:
    """A value as people write it: as it is, and its simple plural or singular."""
    plain = fold(value)
    if is_number(value) or len(plain) < _SHORTEST_FORM:
        return ()
    if plain.endswith("s"):
        # "thrillers" is a plural; "news", "mars" and "glass" are not, and a short stem is too likely another word.
        plural = len(plain) > _SHORTEST_PLURAL and not plain.endswith("ss")
        return (plain, plain[:-1]) if plural else (plain,)
    return plain, plain[:-1] + "ies" if plain.endswith("y") else plain + "s"


def asked_for(value: str, words: frozenset[str]) -> bool:
    """Whether a value, or its plural, is among the n-grams; short values and bare numbers never are."""
    return not words.isdisjoint(_forms(value))


def pairs(item: Item) -> tuple[tuple[str, str], ...]:
    """The (attribute, value) pairs of an item."""
    return tuple((name, value) for name, values in item.attributes.items() for value in values)


def shared(item: Item, owner: Mapping[tuple[str, str], Item]) -> tuple[tuple[str, str, Item], ...]:
    """Pairs that an item has in common with others, with the first of them: (attribute, value, other); see `owners`."""
    return tuple((*pair, owner[pair]) for pair in pairs(item) if pair in owner)


def owners(items: Sequence[Item]) -> dict[tuple[str, str], Item]:
    """Each pair of some items, with the first of them that has it."""
    owner: dict[tuple[str, str], Item] = {}
    for item in items:
        for pair in pairs(item):
            owner.setdefault(pair, item)
    return owner


def rarity(candidates: Sequence[Candidate]) -> dict[tuple[str, str], float]:
    """1 / (how many candidates have the pair): a shared director says more than a shared genre."""
    counts: dict[tuple[str, str], int] = {}
    for candidate in candidates:
        for pair in pairs(candidate.item):
            counts[pair] = counts.get(pair, 0) + 1
    return {pair: 1 / n for pair, n in counts.items()}


def telling(candidates: Sequence[Candidate]) -> dict[tuple[str, str], float]:
    """How much a pair says of an item: its rarity, times the share of different values among those of its attribute.

    Of few candidates even a country can be rare; but countries come up again and again, and directors do not.
    """
    found = rarity(candidates)
    different: Counter[str] = Counter(name for name, _ in found)
    in_all: Counter[str] = Counter(name for candidate in candidates for name, _ in pairs(candidate.item))
    return {pair: rare * different[pair[0]] / in_all[pair[0]] for pair, rare in found.items()}


def why(item: Item, evidence: Evidence, weights: Mapping[tuple[str, str], float]) -> str:
    """One true sentence: what the user asked for, and what it shares with a mentioned item; empty if there is neither.

    Args:
        weights: what says more comes first; see `telling`.
    """
    return whys([item], evidence, weights)[0]


def whys(
    items: Sequence[Item],
    evidence: Evidence,
    weights: Mapping[tuple[str, str], float],
    quoted: Mapping[ItemId, Sequence[str]] = _NOTHING,
) -> list[str]:
    """`why` for each of some items; what a long conversation mentions is gone through once.

    Args:
        quoted: item -> words of the user that stand in its title or text, what says more first.
    """
    # What only the assistant named is no reason.
    named = [i for i in evidence.welcome if i.id in evidence.own]
    owner = owners(named)
    return [_why(item, evidence, weights, owner, quoted.get(item.id, ())) for item in items]


def _why(
    item: Item,
    evidence: Evidence,
    weights: Mapping[tuple[str, str], float],
    owner: Mapping[tuple[str, str], Item],
    quoted: Sequence[str],
) -> str:
    asked = sorted(evidence.asked(item), key=lambda p: -weights.get(p, 1.0))
    # A genre and a keyword may be one word. "Wrote", not "asked for": the words may stand in "not horror".
    wrote = list({value.casefold(): value for _, value in asked}.values())[:2]
    in_common = (pair for pair in shared(item, owner) if not is_number(pair[1]))
    common = sorted(in_common, key=lambda p: -weights.get(p[:2], 1.0))[:1]
    reasons = []
    if wrote:
        reasons.append("you wrote " + " and ".join(f'"{value}"' for value in wrote))
    if words := _new_words(item, wrote, quoted):
        reasons.append("its text mentions " + " and ".join(f'"{word}"' for word in words))
    if common:
        name, value, other = common[0]
        reasons.append(f"it shares {value} ({name}) with {other.title}")
    return "because " + ", and ".join(reasons) if reasons else ""


def _new_words(item: Item, wrote: Sequence[str], quoted: Sequence[str]) -> list[str]:
    """At most two words that its text has, and of which the values that the user wrote say nothing yet."""
    if not quoted:
        return []
    new = _stems(item.text) - _stems(" ".join(wrote))
    return [word for word in quoted if stem_of(word) in new][:2]


def _stems(text: str) -> set[str]:
    return set(map(stem_of, WORD.findall(text)))
