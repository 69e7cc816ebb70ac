"""What attributes add to scores: a value in common with a mentioned item, or one that the user names.

Nothing here is learned from conversations but two weights, so an item that arrived a minute ago has it like any other,
in any domain. The rarity of a value that m of N items have is log(N / m) / log N, from 0 (all have it) to 1 (one has).

Source: the inverse document frequency of Spärck Jones 1972, brought to the scale of the catalogue; the logarithm of the
sum as in `rarec.retriever.associations`.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np

from rarec.item_numbers import Bonuses, ItemNumbers
from rarec.retriever.postings import InvertedIndex, ValuesConfig, code_of
from rarec.types import Item, ItemId

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
"""A word, apostrophes inside it."""

_LONGEST = 4  # words of a value that is looked for in what was said


def folded(text: str) -> str:
    """The words of a text without case, joined by single spaces."""
    return " ".join(WORD.findall(text.casefold()))


def runs_of_words(words: Sequence[str], longest: int) -> Iterator[str]:
    """All runs of 1 to `longest` words that follow each other, joined by single spaces."""
    for length in range(1, longest + 1):
        for start in range(len(words) - length + 1):
            yield " ".join(words[start : start + length])


def is_number(value: str) -> bool:
    """Whether a value has no word but numbers, as "60", "1,500.5", "$20" and "2-4" have: nothing to have in common."""
    return (plain := folded(value).replace(" ", "")) != "" and plain.isdecimal()


def codes_of(item: Item) -> bytes:
    """Codes of the values of all attributes, each once: a director who acts elsewhere is the same person.

    Numbers have none, see `is_number`.
    """
    values = (value for values in item.attributes.values() for value in values)
    codes = dict.fromkeys(map(_code, values))
    codes.pop(0, None)
    return array("Q", codes).tobytes()


@lru_cache(maxsize=1 << 16)
def _code(value: str) -> int:
    """Of a value without case, 0 if it has no word or is a number."""
    return 0 if is_number(value) else code_of(folded(value))


@lru_cache(maxsize=1 << 12)  # the caller sends all messages of a conversation in every turn
def _codes_said(text: str) -> frozenset[int]:
    """Of the values that a message may name."""
    return frozenset(map(code_of, runs_of_words(text.split(), _LONGEST)))


class AttributeValues:
    """Which items of a catalogue have which values; items come and go.

    Values are not kept, but 38 bits of each: about fifteen bytes a value of an item, and 140 an item. One
    thread may change it while others look values up.

    Args:
        numbers: of ids; shared with other tables, or None.
    """

    def __init__(self, numbers: ItemNumbers | None = None) -> None:
        self._index = InvertedIndex(ItemNumbers() if numbers is None else numbers)
        self._codes: dict[ItemId, bytes] = {}

    def __len__(self) -> int:
        """How many items there are."""
        return len(self._index)

    def put(self, items: Iterable[Item]) -> None:
        """Add or replace items; of two with one id the last counts. Many at once are quicker than one by one."""
        new = {item.id: codes_of(item) for item in items}
        new = {id: codes for id, codes in new.items() if self._codes.get(id) != codes}
        self._codes |= new
        flat = np.frombuffer(b"".join(new.values()), dtype=np.uint64)
        self._index.put(list(new), [0] * len(new), flat, [len(codes) // flat.itemsize for codes in new.values()])

    def remove(self, ids: Iterable[ItemId]) -> None:
        """Remove items; unknown ids are ignored."""
        self._index.remove([id for id in ids if self._codes.pop(id, None) is not None])

    def shared(
        self, mentioned: Iterable[ItemId], config: ValuesConfig, *, others: Mapping[ItemId, bytes] | None = None
    ) -> Bonuses:
        """``weight * log(1 + gain * sum of squared rarities)`` over the values in common with each mentioned item.

        An item has nothing in common with itself.

        Args:
            mentioned: each once; unknown ids have nothing in common with anything.
            others: values of items that are not in the catalogue, as `codes_of` gives them.
        Returns:
            of the items with something in common.
        """
        now = self._index.now
        values = {id: self._codes.get(id, (others or {}).get(id, b"")) for id in mentioned}
        codes = np.frombuffer(b"".join(values.values()), dtype=np.uint64)
        own = np.repeat(now.of.find(values), [len(one) // codes.itemsize for one in values.values()])
        found = now.rare(codes.tolist(), config)
        places = np.searchsorted(found.codes, codes)
        counting = np.flatnonzero(np.isin(codes, found.codes))
        return now.gains(found, config, 2, places=places[counting], without=own[counting])

    def asked(self, said: Iterable[str], config: ValuesConfig) -> Bonuses:
        """``weight * log(1 + gain * sum of rarities)`` over the item's values that somebody names, each once.

        A value is named where its words, at most four, stand one after the other.

        Args:
            said: messages, folded.
        Returns:
            of the items with such a value.
        """
        now = self._index.now
        codes = frozenset[int]().union(*map(_codes_said, said))
        return now.gains(now.rare(codes, config), config, 1)
