"""What words of an item's own title and text add to scores: those that the user says, by how rare they are.

Vectors of a model that was trained on another domain pass over words that it never met; looking them up does not. As
with values of attributes nothing is learned but a weight, and an item that arrived a minute ago has it like any other.
Rarity is that of `rarec.retriever.attributes`, squared since much of what people say is not what they ask for; what is
looked up is a stem (`rarec.retriever.stems`).
"""

from __future__ import annotations

import math
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rarec.retriever.attributes import WORD, ValuesConfig, most_having
from rarec.retriever.postings import Postings, merged
from rarec.retriever.stems import stem_of
from rarec.types import Item, ItemId

_FEW_GONE = 1000  # rows of nobody that are not worth the work
_TOGETHER = 2000  # items that all stems of a conversation may stand in, so that its search stays fast


def _code(word: str) -> int:
    """32 bits of the word's stem, 0 if it does not count. One stem in ten thousand shares them with one of 400,000."""
    stem = stem_of(word)
    return (zlib.crc32(stem.encode("utf-8", "surrogatepass")) or 1) if stem else 0


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


@dataclass(frozen=True, slots=True)
class _Table:
    """All that a look-up reads, so that a writer may put another one in its place meanwhile.

    Attributes:
        parts: postings of rows; no two have a row in common, and each has twice the pairs of the next one at least.
        ids: of the rows; only ever appended to.
        alive: whether a row still is its item's, shape (rows,).
        size: how many are.
    """

    parts: tuple[Postings, ...] = ()
    ids: list[ItemId] = field(default_factory=list[ItemId])
    alive: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=np.bool_))
    size: int = 0


class WrittenWords:
    """Which items of a catalogue have which words in their titles and texts; items come and go.

    Texts are not kept. About six bytes a different word of each item, and a hundred an item. One thread may change it
    while others look words up.
    """

    def __init__(self) -> None:
        self._table = _Table()
        self._rows: dict[ItemId, int] = {}
        self._texts = array("q")  # a hash of each row's text, so that what did not change is not read again

    def __len__(self) -> int:
        """How many items there are."""
        return len(self._rows)

    def put(self, items: Sequence[Item]) -> None:
        """Add or replace items; of two with one id the last counts. Many at once are quicker than one by one."""
        table, codes, coded = self._table, _Codes(), array("I")
        first, gone, sizes = len(table.ids), list[int](), list[int]()
        for item in items:
            text = hash((item.title, item.text))
            old = self._rows.get(item.id)
            if old is not None and self._texts[old] == text:
                continue
            if old is not None:
                gone.append(old)
            self._rows[item.id] = len(table.ids)
            table.ids.append(item.id)
            self._texts.append(text)
            own = codes.of(f"{item.title} {item.text}")
            coded.extend(own)
            sizes.append(len(own))
        if not sizes:
            return
        alive = np.concatenate([table.alive, np.ones(len(sizes), dtype=np.bool_)])
        alive[gone] = False
        rows = np.repeat(np.arange(first, len(alive), dtype=np.uint32), sizes)
        parts = [*table.parts, Postings.of(np.array(coded, dtype=np.uint32), rows)]
        while len(parts) > 1 and len(parts[-2]) < 2 * len(parts[-1]):
            parts[-2:] = [merged(parts[-2:], alive)]
        self._publish(_Table(tuple(parts), table.ids, alive, len(self._rows)))

    def remove(self, ids: Iterable[ItemId]) -> None:
        """Remove items; unknown ids are ignored."""
        if gone := [row for id in ids if (row := self._rows.pop(id, None)) is not None]:
            table = self._table
            alive = table.alive.copy()
            alive[gone] = False
            self._publish(_Table(table.parts, table.ids, alive, len(self._rows)))

    def written(self, said: Iterable[str], config: ValuesConfig) -> dict[ItemId, float]:
        """``weight * log(1 + gain * sum of squared rarities)`` over the stems said that stand in an item, each once.

        Of many stems only the rarest count, as many as together stand 2,000 times in items, one at least.

        Args:
            said: messages.
            config: `share` and `most` are of the items that may have a stem that counts.
        Returns:
            of the items with such a stem, above 0.
        """
        table = self._table
        codes = np.array(sorted(_Codes().of(" ".join(said))), dtype=np.uint32)
        if not (len(codes) and table.size and config.weight):
            return {}
        found = _rarest(table, codes, most_having(table.size, config))
        if not found:
            return {}
        rows, place = np.unique(np.concatenate([one.rows for one in found]), return_inverse=True)
        sums = np.bincount(place, np.repeat([one.rarity**2 for one in found], [len(one.rows) for one in found]))
        gained = config.weight * np.log1p(config.gain * sums)
        return {table.ids[row]: value for row, value in zip(rows.tolist(), gained.tolist(), strict=True)}

    def quoted(
        self, said: Iterable[str], items: Iterable[ItemId], config: ValuesConfig
    ) -> dict[ItemId, tuple[str, ...]]:
        """The words of what is said for which `written` adds something to some items, the rarest first.

        Returns:
            of the items that have such a word; each stem is quoted as it was said first.
        """
        table = self._table
        words: dict[int, str] = {}
        for text in said:
            for word in text.split():
                words.setdefault(_code(word), word)
        codes = np.array(sorted(words.keys() - {0}), dtype=np.uint32)
        if not (len(codes) and table.size and config.weight):
            return {}
        found = _rarest(table, codes, most_having(table.size, config))
        rows = {id: row for id in items if (row := self._rows.get(id)) is not None}
        quoted: dict[ItemId, tuple[str, ...]] = {}
        for one in found:
            for row in np.intersect1d(one.rows, list(rows.values())).tolist():
                # A writer may have numbered the rows anew since the table was read.
                if rows.get(id := table.ids[row]) == row:
                    quoted[id] = (*quoted.get(id, ()), words[one.code])
        return quoted

    def _publish(self, table: _Table) -> None:
        """Take over a table, without the rows of nobody once they are as many as the others."""
        if len(table.ids) - table.size > max(_FEW_GONE, table.size):
            kept = np.flatnonzero(table.alive)
            place = np.zeros(len(table.ids), dtype=np.uint32)
            place[kept] = np.arange(len(kept), dtype=np.uint32)
            whole = merged(table.parts, table.alive)
            ids = [table.ids[row] for row in kept.tolist()]
            self._texts = array("q", [self._texts[row] for row in kept.tolist()])
            self._rows = {id: row for row, id in enumerate(ids)}
            part = Postings(whole.codes, whole.starts, place[whole.rows])
            table = _Table((part,), ids, np.ones(len(ids), dtype=np.bool_), len(ids))
        self._table = table


class _Rare(NamedTuple):
    """A code that counts, the rows that have it, and its rarity, above 0."""

    code: int
    rows: NDArray[np.uint32]
    rarity: float


def _rare(table: _Table, codes: NDArray[np.uint32], most: float) -> Iterator[_Rare]:
    """Those of some codes that count."""
    gone = len(table.alive) - table.size
    for code, *own in zip(codes.tolist(), *(part.find(codes) for part in table.parts), strict=True):
        if sum(map(len, own)) > most + gone:
            continue
        rows: NDArray[np.uint32] = np.concatenate(own)
        rows = rows[table.alive[rows]]
        if 0 < len(rows) <= most and len(rows) < table.size:
            yield _Rare(code, rows, math.log(table.size / len(rows)) / math.log(table.size))


def _rarest(table: _Table, codes: NDArray[np.uint32], most: float) -> list[_Rare]:
    """The rarest of them, until they fill `_TOGETHER` places."""
    found = sorted(_rare(table, codes, most), key=lambda one: (len(one.rows), one.code))
    ends = accumulate(len(one.rows) for one in found)
    return [one for place, (one, end) in enumerate(zip(found, ends, strict=True)) if end <= _TOGETHER or not place]
