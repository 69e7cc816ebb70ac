"""What words of an item's own title and text add to scores: those that the user says, by how rare they are.

Vectors of a model that was trained on another domain pass over words that it never met; looking them up does not. As
with values of attributes nothing is learned but a weight, and an item that arrived a minute ago has it like any other.
Rarity is that of `rarec.retriever.attributes`, squared since much of what people say is not what they ask for; what is
looked up is a stem (`rarec.retriever.stems`).
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from rarec.item_numbers import Bonuses, ItemNumbers
from rarec.retriever.attributes import WORD
from rarec.retriever.postings import InvertedIndex, Rare, ValuesConfig, code_of
from rarec.retriever.stems import stem_of
from rarec.types import Item, ItemId

_TOGETHER = 2000  # items that all stems of a conversation may stand in, so that its search stays fast


def _code(word: str) -> int:
    """Of the word's stem, 0 if it does not count."""
    return code_of(stem_of(word))


class _Codes:
    """Codes of words, each found out once."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def of(self, text: str) -> set[int]:
        """Of all words of a text that count."""
        words = WORD.findall(text)
        codes = set(map(self._known.get, words))
        if None in codes:
            self._known.update((word, _code(word)) for word in words if word not in self._known)
            codes = {self._known[word] for word in words}
        codes.discard(0)
        return codes  # type: ignore[return-value]


class WrittenWords:
    """Which items of a catalogue have which words in their titles and texts; items come and go.

    Texts are not kept. About six bytes a different word of each item, and twenty an item. One thread may change it
    while others look words up.

    Args:
        numbers: of ids; shared with other tables, or None.
    """

    def __init__(self, numbers: ItemNumbers | None = None) -> None:
        self._index = InvertedIndex(ItemNumbers() if numbers is None else numbers)

    def __len__(self) -> int:
        """How many items there are."""
        return len(self._index)

    def put(self, items: Sequence[Item]) -> None:
        """Add or replace items; of two with one id the last counts. Many at once are quicker than one by one."""
        codes, coded, sizes = _Codes(), array("Q"), list[int]()
        each = {item.id: item for item in items}
        marks = {id: hash((item.title, item.text)) for id, item in each.items()}
        unchanged = self._index.has(marks, list(marks.values())).tolist()  # is not read again
        new = [id for id, same in zip(each, unchanged, strict=True) if not same]
        for id in new:
            own = codes.of(f"{each[id].title} {each[id].text}")
            coded.extend(own)
            sizes.append(len(own))
        self._index.put(new, [marks[id] for id in new], np.array(coded, dtype=np.uint64), sizes)

    def remove(self, ids: Collection[ItemId]) -> None:
        """Remove items; unknown ids are ignored."""
        self._index.remove(ids)

    def written(self, said: Iterable[str], config: ValuesConfig) -> Bonuses:
        """``weight * log(1 + gain * sum of squared rarities)`` over the stems said that stand in an item, each once.

        Of many stems only the rarest count, as many as together stand 2,000 times in items, one at least.

        Args:
            said: messages.
            config: `share` and `most` are of the items that may have a stem that counts.
        Returns:
            of the items with such a stem.
        """
        now = self._index.now
        found = now.rare(_Codes().of(" ".join(said)), config)
        return now.gains(found, config, 2, places=_rarest(found))

    def quoted(
        self, said: Iterable[str], items: Collection[ItemId], config: ValuesConfig
    ) -> dict[ItemId, tuple[str, ...]]:
        """The words of what is said for which `written` adds something to some items, the rarest first.

        Returns:
            of the items that have such a word; each stem is quoted as it was said first.
        """
        now = self._index.now
        words: dict[int, str] = {}
        for word in dict.fromkeys(WORD.findall(" ".join(said))):
            words.setdefault(_code(word), word)
        ids = dict(zip(now.of.find(items).tolist(), items, strict=True))
        quoted: dict[ItemId, tuple[str, ...]] = {}
        found = now.rare(words, config)
        for place in _rarest(found).tolist():
            for number in np.intersect1d(found.items_of(place), list(ids)).tolist():
                quoted[ids[number]] = (*quoted.get(ids[number], ()), words[int(found.codes[place])])
        return quoted


def _rarest(found: Rare) -> NDArray[np.int64]:
    """Places of the rarest codes, the rarest first, until their rows fill `_TOGETHER` places."""
    order = np.lexsort((found.codes, found.sizes))
    fitting = np.cumsum(found.sizes[order]) <= _TOGETHER
    fitting[:1] = True
    return order[fitting]
