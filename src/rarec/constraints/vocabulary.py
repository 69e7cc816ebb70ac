"""What a catalogue's items can be asked for: attribute -> values, found by how people write them."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from rarec.catalogue.names import ALTERNATIVES
from rarec.constraints.lexicon import MOST_WORDS, Unit, key, lexicon, unit_of
from rarec.types import Item, ItemId

MOST_VALUES = 1_000_000
"""So many different values of an attribute are kept; later ones cannot be asked for in words."""

_LONGEST = 60  # characters; longer values are sentences, not names
_NARROW = 400  # an attribute of more different values is one of free keywords
_FEW = 30
_PEOPLE_SHARE = 0.8
_NUMBERS_SHARE = 0.9  # of the values of an attribute of numbers; the others are the like of "on request"
_NUMBER = re.compile(r"[$€£]? ?(\d{1,9}(?:\.\d{1,6})?)(?: ?(?:to|-|–) ?(\d{1,9}))? ?([^\W\d]{0,20}|[$€£])\+?")
_YES, _NO = frozenset(("yes", "y", "true")), frozenset(("no", "n", "false"))
_BEFORE_A_FLAG = ("is ", "has ", "with ")
_PARTICLES = frozenset(
    ("de", "von", "van", "der", "la", "le", "del", "di", "da", "du", "al", "el", "bin", "dos", "and")
)


class Sort(Enum):
    """What the values of an attribute are like."""

    NARROW = "narrow"  # a few values, each a category
    WIDE = "wide"  # many values, such as keywords
    PEOPLE = "people"
    NUMBERS = "numbers"
    FLAG = "flag"  # yes or no: asked for by the name of the attribute


class Meaning(NamedTuple):
    """A value that words may stand for."""

    attribute: str
    value: str


class Span(NamedTuple):
    """A number, or a range of numbers, that a value says."""

    low: float
    high: float
    unit: str


@dataclass(slots=True)
class _Attribute:
    counts: Counter[str] = field(default_factory=Counter[str])
    spelled: dict[str, Meaning] = field(default_factory=dict[str, Meaning])  # by value without case
    written: dict[str, Meaning] = field(default_factory=dict[str, Meaning])  # the same by value, to be quick
    names: int = 0  # values that look like names of people
    spans: dict[str, Span] = field(default_factory=dict[str, Span])  # values that are numbers
    flags: int = 0  # values that say yes or no


class Vocabulary:
    """Attributes and values of the items in a catalogue, kept in step with `add` and `remove` like the linker.

    Values of equal spelling but for case are one. Titles under other names are not values. Building takes some ten
    microseconds a value of an item. Safe to read while another thread adds and removes.

    Args:
        items: to begin with.
    """

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._items: dict[ItemId, tuple[tuple[Meaning, ...], int | None, tuple[str, ...]]] = {}
        self._titles: Counter[str] = Counter()  # words of titles
        self._attributes: dict[str, _Attribute] = {}
        self._names: dict[str, tuple[Meaning, ...]] = {}
        self._surnames: dict[str, tuple[Meaning, ...]] = {}
        self._called: dict[str, str] = {}  # folded names of attributes
        self._years = 0
        self._lock = threading.Lock()
        self.add(items)

    def __len__(self) -> int:
        """How many items it knows."""
        return len(self._items)

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the attributes that can be asked for, sorted."""
        return tuple(sorted(name for name, a in list(self._attributes.items()) if a.counts))

    @property
    def has_years(self) -> bool:
        """Whether any item has a year."""
        return self._years > 0

    @property
    def years(self) -> tuple[int, int] | None:
        """The first and the last year of any item; looks at all of them."""
        with self._lock:
            found = [year for _, year, _ in self._items.values() if year is not None]
        return (min(found), max(found)) if found else None

    def values(self, attribute: str) -> Mapping[str, int]:
        """The values of an attribute with how many items have each; an unknown attribute has none."""
        found = self._attributes.get(attribute)
        return dict(found.counts) if found else {}

    def add(self, items: Iterable[Item]) -> None:
        """Add items, or replace those that are there."""
        with self._lock:
            for item in items:
                self._remove(item.id)
                pairs = tuple(dict.fromkeys(self._pairs(item)))
                words = tuple(set(key(item.title).split()))
                self._items[item.id] = pairs, item.year, words
                self._titles.update(words)
                self._years += item.year is not None
                for meaning in pairs:
                    self._count(meaning)

    def remove(self, ids: Iterable[ItemId]) -> None:
        """Forget items; an unknown id is ignored."""
        with self._lock:
            for item_id in ids:
                self._remove(item_id)

    def sort(self, attribute: str) -> Sort:
        """What the values of an attribute are like."""
        known = self._attributes[attribute]
        distinct = max(1, len(known.counts))
        if known.flags == distinct:
            return Sort.FLAG
        if len(known.spans) >= _NUMBERS_SHARE * distinct:
            return Sort.NUMBERS
        if known.names >= _PEOPLE_SHARE * distinct and distinct >= 5:
            return Sort.PEOPLE
        wide = distinct > _NARROW or (distinct > _FEW and 3 * distinct > len(self._items))
        return Sort.WIDE if wide else Sort.NARROW

    def count(self, meaning: Meaning) -> int:
        """How many items have a value."""
        known = self._attributes.get(meaning.attribute)
        return known.counts.get(meaning.value, 0) if known else 0

    def find(self, name: str) -> tuple[Meaning, ...]:
        """The values that a folded name may stand for, by itself or under another name for it; empty if none.

        The name of an attribute of yes and no stands for its yes; the words "yes" and "no" stand for nothing.
        """
        words = lexicon()
        if name in _YES | _NO:
            return ()
        if (flag := self._called.get(name)) and (yes := self.flag(flag, negated=False)):
            return tuple(Meaning(flag, value) for value in yes)
        exact = () if name in words.codes or len(name) < 2 else self._names.get(name, ())
        found = dict.fromkeys(exact)
        for other in words.aliases.get(name, ()):
            found |= dict.fromkeys(self._names.get(other, ()))
        if found:
            homes = {meaning.attribute for meaning in found}
            for other in words.wider.get(name, ()):
                found |= dict.fromkeys(m for m in self._names.get(other, ()) if m.attribute in homes)
        return tuple(found)

    def flag(self, attribute: str, *, negated: bool) -> tuple[str, ...]:
        """The values of an attribute of yes and no that say yes, or no if `negated`; empty if no item has one."""
        known = self._attributes.get(attribute)
        if known is None or not known.counts or self.sort(attribute) is not Sort.FLAG:
            return ()
        return tuple(value for value in list(known.counts) if key(value) in (_NO if negated else _YES))

    def in_titles(self, word: str) -> bool:
        """Whether any title has a word, folded and in the singular."""
        return word in self._titles

    def surname(self, word: str) -> tuple[Meaning, ...]:
        """People whose name ends so."""
        return self._surnames.get(word, ())

    def lookup(self, attribute: str, value: str) -> tuple[str, ...]:
        """The values of one attribute that somebody else's spelling means, e.g. a language model's; empty if none."""
        folded = value.strip().casefold()
        known = self._attributes.get(attribute)
        if known is not None and (meaning := known.spelled.get(folded)):
            return (meaning.value,)
        if folded in lexicon().codes:
            return ()
        return tuple(m.value for m in self.find(key(value)) if m.attribute == attribute)

    def numbers(self, unit: Unit) -> Iterator[tuple[Meaning, Span]]:
        """The values of attributes that count in a unit, with what they say."""
        for name in self.numeric:
            home = unit_of(name)
            for meaning, span in self.spans(name):
                each = unit.said.get(key(span.unit))
                if each is None and home is not None and home[0] is unit and not key(span.unit):
                    each = home[1]
                if each is not None:
                    yield meaning, Span(span.low * each, span.high * each, unit.name)

    @property
    def numeric(self) -> tuple[str, ...]:
        """Names of the attributes whose values are numbers, sorted."""
        return tuple(name for name in self.attributes if self.sort(name) is Sort.NUMBERS)

    def spans(self, attribute: str) -> Iterator[tuple[Meaning, Span]]:
        """The values of an attribute that are numbers, with what they say, as they are."""
        known = self._attributes.get(attribute)
        for value, span in list(known.spans.items()) if known else ():
            yield Meaning(attribute, value), span

    def _pairs(self, item: Item) -> Iterator[Meaning]:
        for attribute, values in item.attributes.items():
            if attribute in ALTERNATIVES:
                continue
            known = self._attributes.get(attribute)
            if known is None:
                known = self._attributes[attribute] = _Attribute()
                self._called.setdefault(_flag_name(attribute), attribute)
            for value in values:
                meaning = known.written.get(value) or self._spelled(attribute, known, value)
                if meaning is not None:
                    yield meaning

    def _spelled(self, attribute: str, known: _Attribute, value: str) -> Meaning | None:
        """A value as it was first written; None if it cannot be asked for."""
        if not value.strip() or len(value) > _LONGEST:
            return None
        folded = value.casefold()
        meaning = known.spelled.get(folded)
        if meaning is None and len(known.counts) < MOST_VALUES:
            meaning = known.spelled[folded] = Meaning(attribute, value)
        if meaning is not None:
            known.written[value] = meaning
        return meaning

    def _count(self, meaning: Meaning) -> None:
        known = self._attributes[meaning.attribute]
        known.counts[meaning.value] += 1
        if known.counts[meaning.value] > 1:
            return
        known.names += _is_person(meaning.value)
        if (span := number_in(meaning.value)) is not None:
            known.spans[meaning.value] = span
        known.flags += key(meaning.value) in _YES | _NO
        for table, name in self._entries(meaning):
            table[name] = (*table.get(name, ()), meaning)

    def _entries(self, meaning: Meaning) -> Iterator[tuple[dict[str, tuple[Meaning, ...]], str]]:
        name = key(meaning.value)
        words = name.split()
        if words and len(words) <= MOST_WORDS:
            yield self._names, name
        if len(words) > 1 and _is_person(meaning.value):
            yield self._surnames, words[-1]

    def _remove(self, item_id: ItemId) -> None:
        pairs, year, words = self._items.pop(item_id, ((), None, ()))
        for word in words:
            self._titles[word] -= 1
            if not self._titles[word]:
                del self._titles[word]
        self._years -= year is not None
        for meaning in pairs:
            known = self._attributes[meaning.attribute]
            known.counts[meaning.value] -= 1
            if known.counts[meaning.value]:
                continue
            del known.counts[meaning.value], known.spelled[meaning.value.casefold()]
            known.written.clear()
            known.names -= _is_person(meaning.value)
            known.spans.pop(meaning.value, None)
            known.flags -= key(meaning.value) in _YES | _NO
            for table, name in self._entries(meaning):
                left = tuple(m for m in table[name] if m != meaning)
                if left:
                    table[name] = left
                else:
                    del table[name]


def number_in(value: str) -> Span | None:
    """The number or range that a value says, e.g. ``"2 to 4 players"``; None if it says something else."""
    match = _NUMBER.fullmatch(value.strip())
    if match is None:
        return None
    low = float(match[1])
    return Span(low, float(match[2]) if match[2] else low, match[3])


def _flag_name(attribute: str) -> str:
    """What people call it: "is_hardy" is "hardy"."""
    name = key(attribute)
    return next((name.removeprefix(before) for before in _BEFORE_A_FLAG if name.startswith(before)), name)


def _is_person(value: str) -> bool:
    words = value.split()
    return 2 <= len(words) <= 5 and all(w[0].isupper() or w.casefold() in _PARTICLES for w in words)
