"""Counting, in conversations, what `rarec.retriever.associations` adds to scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from rarec.retriever.associations import Context, Counts, CountsConfig, WordsConfig
from rarec.retriever.sequence import recommending_turns
from rarec.types import Conversation, ItemId

MOST_ITEMS = 200
"""Items of one conversation that are counted; a longer one says little about any pair."""
_PAIRS_AT_ONCE = 1 << 22
Names = Callable[[ItemId], str | None]
"""Id -> what the item is known by; None for an item that is not counted."""


def count_neighbours(conversations: Iterable[Conversation], config: CountsConfig, name: Names) -> Counts:
    """Which items come up in the same conversations, whoever mentions them and whatever is said of them.

    Of more than `MOST_ITEMS` in one conversation the first count. No conversations give no counts.
    """
    rows: dict[str, int] = {}
    sets = [
        [rows.setdefault(item, len(rows)) for item in islice(mentioned, MOST_ITEMS)]
        for conversation in conversations
        if len(mentioned := _named(conversation, name)) > 1
    ]
    often = np.bincount(np.fromiter((row for own in sets for row in own), dtype=np.int64), minlength=len(rows))
    pairs = _Pairs(len(rows))
    for own in sets:
        places = np.array(own, dtype=np.int64)
        pairs.meet(places, places)
    left, right, counts = pairs.counted()
    kept = left != right
    names = tuple(rows)
    return _counts(config, names, names, often, often, left[kept], right[kept], counts[kept])


def count_words(conversations: Iterable[Conversation], config: WordsConfig, name: Names) -> Counts:
    """After which words of users the assistant recommends an item that was not mentioned before.

    No recommendations give no counts.
    """
    recommended = [
        (words, known)
        for words, new in ((Context.of(before).words, new) for before, new in recommending_turns(conversations))
        for item in new
        if (known := name(item)) is not None
    ]
    met = Counter(word for words, _ in recommended for word in words)
    most = config.share * len(recommended)
    rows = {word: row for row, word in enumerate(w for w, n in met.items() if config.least <= n <= most)}
    columns: dict[str, int] = {}
    pairs = _Pairs(1 + len({item for _, item in recommended}))
    for words, item in recommended:
        said = np.array([rows[word] for word in words if word in rows], dtype=np.int64)
        pairs.meet(said, np.array([columns.setdefault(item, len(columns))], dtype=np.int64))
    often = Counter(item for _, item in recommended)
    return _counts(
        config, tuple(rows), tuple(columns), np.array([met[word] for word in rows], dtype=np.int64),
        np.array([often[item] for item in columns], dtype=np.int64), *pairs.counted(),
    )  # fmt: skip


def _named(conversation: Conversation, name: Names) -> dict[str, None]:
    names = (name(mention.item) for mention in conversation.mentions())
    return dict.fromkeys(known for known in names if known is not None)


class _Pairs:
    """Counts pairs of numbers; memory hangs on the pairs that differ."""

    def __init__(self, columns: int) -> None:
        self._columns = max(columns, 1)
        self._pairs, self._counts = np.empty(0, np.int64), np.empty(0, np.int64)
        self._waiting: list[NDArray[np.int64]] = []
        self._held = 0

    def meet(self, left: NDArray[np.int64], right: NDArray[np.int64]) -> None:
        """Count each of `left` with each of `right` once."""
        self._waiting.append((left[:, None] * self._columns + right[None]).ravel())
        self._held += len(self._waiting[-1])
        if self._held > _PAIRS_AT_ONCE:
            self._take()

    def counted(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Left, right and how often they met, in ascending order of both."""
        self._take()
        left, right = np.divmod(self._pairs, self._columns)
        return left, right, self._counts

    def _take(self) -> None:
        if self._waiting:
            met, often = np.unique(np.concatenate(self._waiting), return_counts=True)
            self._pairs, place = np.unique(np.concatenate([self._pairs, met]), return_inverse=True)
            counts = np.bincount(place, np.concatenate([self._counts, often]), len(self._pairs))
            self._counts = counts.astype(np.int64)
            self._waiting, self._held = [], 0


def _counts(
    config: CountsConfig,
    keys: tuple[str, ...],
    items: tuple[str, ...],
    often: NDArray[np.int64],
    recommended: NDArray[np.int64],
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> Counts:
    """The matrix, the strongest `most` of each row; of equal ones the item that was met first."""
    shrunk = (often[left] + config.shrinkage) * (recommended[right] + config.shrinkage)
    values = (counts / np.sqrt(shrunk)).astype(np.float32)
    order = np.lexsort((right, -values, left))
    left, right, values = left[order], right[order], values[order]
    kept = np.arange(len(left)) - np.searchsorted(left, left) < config.most
    left, right, values = left[kept], right[kept], values[kept]
    starts = np.searchsorted(left, np.arange(len(keys) + 1)).astype(np.int64)
    return Counts(config, keys, items, starts, right.astype(np.int32), values)
