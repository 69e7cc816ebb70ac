"""Counts that stand beside the vectors: which items come up together, and after which words they are recommended.

Vectors of texts know what an item is about; they do not know that two items of different kinds are asked for by the
same people, or what people mean by a word. The counts do, for items that were talked about, and say nothing of others:
these are scored by text alone.

Source: item-item neighbourhoods by cosine with shrinkage, Sarwar et al. 2001, "Item-based collaborative filtering", and
Deshpande and Karypis 2004. That words are counted in the same way, and the logarithm, are ours: a sum of counts has a
long tail, and the model's scores are logits.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from rarec.retriever.sequence import message_text
from rarec.types import Conversation, ItemId, Sentiment, Turn

MOST_ITEMS = 200
"""Items of one conversation that are counted; a longer one says little about any pair."""
_PAIRS_AT_ONCE = 1 << 22
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


class CountsConfig(BaseModel):
    """How counts become scores.

    Attributes:
        weight: of the whole; 0 turns it off.
        gain: how soon the logarithm bends.
        shrinkage: added to how often a thing comes up, so that few counts prove little.
        most: items kept for each of them, the strongest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weight: float = Field(default=1.0, ge=0)
    gain: float = Field(default=30.0, gt=0)
    shrinkage: float = Field(default=1.0, ge=0)
    most: int = Field(default=500, gt=0)


class WordsConfig(CountsConfig):
    """The same for words, and which of them count.

    Attributes:
        least: recommendations that a word must have come before.
        share: of all recommendations, that a word may have come before at most; what everybody says means nothing.
    """

    gain: float = Field(default=10.0, gt=0)
    shrinkage: float = Field(default=3.0, ge=0)
    least: int = Field(default=4, gt=0)
    share: float = Field(default=0.1, gt=0, le=1)


@dataclass(frozen=True, slots=True)
class Context:
    """What of a conversation calls for items.

    Attributes:
        items: mentioned ones, each once; not those last said to be disliked.
        words: digests of the words and pairs of words of the user's messages, each once.
    """

    items: tuple[ItemId, ...] = ()
    words: tuple[str, ...] = ()

    @staticmethod
    def of(conversation: Conversation) -> Context:
        """Of a linked conversation. Titles that were linked are no words."""
        felt: dict[ItemId, Sentiment] = {}
        for mention in conversation.mentions():
            if mention.sentiment != "mentioned" or mention.item not in felt:
                felt[mention.item] = mention.sentiment
        liked = tuple(item for item, sentiment in felt.items() if sentiment != "disliked")
        said = (message_text(turn) for turn in conversation.turns if turn.role == "user")
        return Context(liked, words_of(said))


def words_of(messages: Iterable[str]) -> tuple[str, ...]:
    """Digests of words and of pairs that follow each other, without case, each once, in order of appearance.

    Digests, so that what people wrote cannot be read out of a bundle.
    """
    found: dict[str, None] = {}
    for message in messages:
        words = _WORD.findall(message.casefold())
        found.update(dict.fromkeys([*words, *map(" ".join, pairwise(words))]))
    return tuple(map(_digest, found))


@lru_cache(maxsize=1 << 17)
def _digest(word: str) -> str:
    return hashlib.blake2b(word.encode(), digest_size=6).hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """A sparse matrix, things by items: ``n_ij / sqrt((n_i + shrinkage) (n_j + shrinkage))``, n as counted.

    Attributes:
        keys: of the things, one a row, each once.
        items: of the columns, each once.
        starts: where each row begins, int64, shape (keys + 1,).
        columns: of each entry, int32, shape (entries,).
        values: of each entry, above 0, float32, shape (entries,).
    Raises:
        ValueError: these do not fit each other.
    """

    config: CountsConfig
    keys: tuple[str, ...]
    items: tuple[ItemId, ...]
    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    values: NDArray[np.float32]
    _rows: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        size, entries = len(self.keys), len(self.columns)
        ends = len(self.starts) == size + 1 and (self.starts[0], self.starts[-1]) == (0, entries)
        if not ends or len(self.values) != entries or (np.diff(self.starts) < 0).any():
            raise ValueError("the rows do not fit the entries")
        if entries and not (self.columns.min() >= 0 and self.columns.max() < len(self.items)):
            raise ValueError("an entry is of no item")
        if not (np.isfinite(self.values).all() and (self.values > 0).all()):
            raise ValueError("an entry is not above 0")
        object.__setattr__(self, "_rows", {key: row for row, key in enumerate(self.keys)})
        if len(self._rows) != size or len(set(self.items)) != len(self.items):
            raise ValueError("a key or an item comes twice")

    def __len__(self) -> int:
        """How many things have an item."""
        return len(self.keys)

    def with_weight(self, weight: float) -> Counts:
        """The same counts with another weight."""
        return replace(self, config=self.config.model_copy(update={"weight": weight}))

    def scored(self, keys: Collection[str]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """What things add to the scores of items: ``weight * log(1 + gain * sum of the values)``.

        Returns:
            places in `items`, ascending, and what each gets, above 0; shape (k,) both. Unknown things add nothing, and
            one that is named twice counts once; the sum does not depend on the order of `keys`.
        """
        rows = sorted({self._rows[key] for key in keys if key in self._rows})
        if not rows or not self.config.weight:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        spans = [slice(self.starts[row], self.starts[row + 1]) for row in rows]
        sums = np.bincount(
            np.concatenate([self.columns[span] for span in spans]),
            np.concatenate([self.values[span] for span in spans]),
            len(self.items),
        )
        found = np.flatnonzero(sums)
        gained = self.config.weight * np.log1p(self.config.gain * sums[found])
        return found, gained.astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Associations:
    """All counts of a retriever.

    Attributes:
        neighbours: items by items. n_i is the number of conversations that mention an item, n_ij of those that mention
            both.
        words: digests of words by items. n_i is the number of recommendations that came after a word of the user, n_j
            of those of an item, n_ij of those that are both.
    """

    neighbours: Counts | None = None
    words: Counts | None = None

    def __len__(self) -> int:
        """How many items and words have something associated."""
        return sum(map(len, filter(None, (self.neighbours, self.words))))

    @property
    def weights(self) -> tuple[float, float]:
        """Of neighbours and words; 0 where there are none."""
        neighbours, words = (counts.config.weight if counts else 0.0 for counts in (self.neighbours, self.words))
        return neighbours, words

    def parts(self, context: Context) -> Iterator[tuple[Counts, Collection[str]]]:
        """Each kind of counts with what the context has for it."""
        if self.neighbours is not None:
            yield self.neighbours, context.items
        if self.words is not None:
            yield self.words, context.words

    def bonuses(self, context: Context) -> dict[ItemId, float]:
        """What is added to the scores of items; all are above 0, and items that are not named get nothing."""
        found: dict[ItemId, float] = {}
        for counts, keys in self.parts(context):
            for place, gained in zip(*(part.tolist() for part in counts.scored(keys)), strict=True):
                item = counts.items[place]
                found[item] = found.get(item, 0.0) + gained
        return found


class AssociationScores:
    """Adds what is associated to scores over the columns of a fixed catalogue.

    Args:
        associations: None adds nothing.
        ids: of the columns.
    """

    def __init__(self, associations: Associations | None, ids: Iterable[ItemId]) -> None:
        self._associations = associations or Associations()
        columns = {id: column for column, id in enumerate(ids)}
        self._columns = [
            np.array([columns.get(item, -1) for item in counts.items], dtype=np.int64)
            for counts, _ in self._associations.parts(Context())
        ]

    def of(self, context: Context) -> list[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Of each kind of counts: columns and what each gets, shape (k,) both."""
        found = []
        for (counts, keys), known in zip(self._associations.parts(context), self._columns, strict=True):
            places, gained = counts.scored(keys)
            columns = known[places]
            found.append((columns[columns >= 0], gained[columns >= 0]))
        return found

    def add_to(self, scores: NDArray[np.float32], conversations: Sequence[Conversation]) -> None:
        """Add to scores in place, shape (conversations, columns)."""
        if not self._associations:
            return
        for row, conversation in zip(scores, conversations, strict=True):
            for columns, gained in self.of(Context.of(conversation)):
                row[columns] += gained


def count_neighbours(conversations: Iterable[Conversation], config: CountsConfig) -> Counts:
    """Which items come up in the same conversations, whoever mentions them and whatever is said of them.

    Of more than `MOST_ITEMS` in one conversation the first count. No conversations give no counts.
    """
    rows: dict[ItemId, int] = {}
    sets = [
        [rows.setdefault(item, len(rows)) for item in islice(mentioned, MOST_ITEMS)]
        for conversation in conversations
        if len(mentioned := dict.fromkeys(m.item for m in conversation.mentions())) > 1
    ]
    often = np.bincount(np.fromiter((row for own in sets for row in own), dtype=np.int64), minlength=len(rows))
    pairs = _Pairs(len(rows))
    for own in sets:
        places = np.array(own, dtype=np.int64)
        pairs.meet(places, places)
    left, right, counts = pairs.counted()
    kept = left != right
    items = tuple(rows)
    return _counts(config, items, items, often, often, left[kept], right[kept], counts[kept])


def count_words(conversations: Iterable[Conversation], config: WordsConfig) -> Counts:
    """After which words of users the assistant recommends an item that was not mentioned before.

    No recommendations give no counts.
    """
    recommended = list(_recommended(conversations))
    met = Counter(word for words, _ in recommended for word in words)
    most = config.share * len(recommended)
    rows = {word: row for row, word in enumerate(w for w, n in met.items() if config.least <= n <= most)}
    columns: dict[ItemId, int] = {}
    pairs = _Pairs(1 + len({item for _, item in recommended}))
    for words, item in recommended:
        known = np.array([rows[word] for word in words if word in rows], dtype=np.int64)
        pairs.meet(known, np.array([columns.setdefault(item, len(columns))], dtype=np.int64))
    often = Counter(item for _, item in recommended)
    return _counts(
        config, tuple(rows), tuple(columns), np.array([met[word] for word in rows], dtype=np.int64),
        np.array([often[item] for item in columns], dtype=np.int64), *pairs.counted(),
    )  # fmt: skip


def _recommended(conversations: Iterable[Conversation]) -> Iterator[tuple[tuple[str, ...], ItemId]]:
    """Each item that an assistant mentions first, with the words of the user before it."""
    for conversation in conversations:
        said: list[str] = []
        seen: set[ItemId] = set()
        for turn in conversation.turns:
            new = [item for item in dict.fromkeys(_items(turn)) if item not in seen]
            seen.update(new)
            if turn.role == "user":
                said.append(message_text(turn))
            elif new:
                words = words_of(said)
                yield from ((words, item) for item in new)


def _items(turn: Turn) -> Iterator[ItemId]:
    return (mention.item for mention in turn.mentions or ())


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
    items: tuple[ItemId, ...],
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
