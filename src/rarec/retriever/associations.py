"""What stands beside the vectors and is added to the scores: counts of training conversations, and attributes.

Vectors of texts know what an item is about; they do not know that two items of different kinds are asked for by the
same people, or what people mean by a word. Counts do, for items that were talked about: which items come up together,
and after which words they are recommended. Nor do short vectors hold every name: that two items have a value in common,
or that the user names one, is looked up (`rarec.retriever.attributes`), for any item; and so is a word of the user that
stands in an item's own title or text (`rarec.retriever.written`), of which a model of another domain knows nothing. An
item that arrived after the counts were taken inherits from those that are like it (`rarec.retriever.kin`).

Source: item-item neighbourhoods by cosine with shrinkage, Sarwar et al. 2001, "Item-based collaborative filtering", and
Deshpande and Karypis 2004. That words are counted in the same way, and the logarithm, are ours: a sum of counts has a
long tail, and the model's scores are logits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from rarec.item_numbers import Bonuses, ItemNumbers, Numbers, RowOfNumber
from rarec.retriever.attributes import AttributeValues, codes_of, folded
from rarec.retriever.kin import Heirs, Kin, KinConfig
from rarec.retriever.postings import MOST_GAIN, MOST_WEIGHT, ValuesConfig
from rarec.retriever.refusals import wished
from rarec.retriever.sequence import felt_about, message_text
from rarec.retriever.written import WrittenWords
from rarec.types import Conversation, Item, ItemId

Identity = Literal["id", "title"]
Kind = Literal["neighbours", "words", "shared", "asked", "written", "kin"]


class CountsConfig(BaseModel):
    """How counts become scores.

    Attributes:
        weight: of the whole, at most 1,000; 0 turns it off.
        gain: how soon the logarithm bends, at most a million.
        shrinkage: added to how often a thing comes up, so that few counts prove little; at most a million.
        most: items kept for each of them, the strongest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weight: float = Field(default=1.0, ge=0, le=MOST_WEIGHT)
    gain: float = Field(default=30.0, gt=0, le=MOST_GAIN)
    shrinkage: float = Field(default=1.0, ge=0, le=MOST_GAIN)
    most: int = Field(default=500, gt=0)


class WordsConfig(CountsConfig):
    """The same for words, and which of them count.

    Attributes:
        least: recommendations that a word must have come before.
        share: of all recommendations, that a word may have come before at most; what everybody says means nothing.
    """

    gain: float = Field(default=10.0, gt=0, le=MOST_GAIN)
    shrinkage: float = Field(default=3.0, ge=0, le=MOST_GAIN)
    least: int = Field(default=4, gt=0)
    share: float = Field(default=0.1, gt=0, le=1)


@dataclass(frozen=True, slots=True)
class Context:
    """What of a conversation calls for items.

    Attributes:
        items: mentioned ones, each once; not those last said to be disliked.
        words: digests of the words and pairs of words of the user's messages, each once.
        said: these messages as `rarec.retriever.attributes` reads them, without what they refuse; see
            `rarec.retriever.refusals`.
    """

    items: tuple[ItemId, ...] = ()
    words: tuple[str, ...] = ()
    said: tuple[str, ...] = ()

    @staticmethod
    def of(conversation: Conversation) -> Context:
        """Of a linked conversation. Titles that were linked are no words."""
        liked = tuple(item for item, sentiment in felt_about(conversation).items() if sentiment != "disliked")
        return Context.said_by([message_text(turn) for turn in conversation.turns if turn.role == "user"], liked)

    @staticmethod
    def said_by(messages: Sequence[str], items: tuple[ItemId, ...]) -> Context:
        """Of messages of the user, without titles, and mentioned items."""
        return Context(items, words_of(messages), tuple(run for message in messages for run in wished(message)))


def words_of(messages: Iterable[str]) -> tuple[str, ...]:
    """Digests of words and of pairs that follow each other, without case, each once, in order of appearance.

    Digests, so that what people wrote cannot be read out of a bundle.
    """
    found: dict[str, None] = {}
    for message in messages:
        words = folded(message).split()
        found.update(dict.fromkeys([*words, *map(" ".join, pairwise(words))]))
    return tuple(map(_digest, found))


def _hashed(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


_digest = lru_cache(maxsize=1 << 16)(_hashed)  # of words, which come again and again


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
    items: tuple[str, ...]
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

    def __contains__(self, key: str) -> bool:
        """Whether anything is counted for it."""
        return key in self._rows

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


class AssociationWeights(NamedTuple):
    """Of each kind of association, or factors of them."""

    neighbours: float = 0.0
    words: float = 0.0
    shared: float = 0.0
    asked: float = 0.0
    written: float = 0.0
    kin: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Associations:
    """All that a retriever adds. Items of counts, and the keys of the neighbours, are names as `name_of` gives them.

    Attributes:
        neighbours: items by items. n_i is the number of conversations that mention an item, n_ij of those that mention
            both.
        words: digests of words by items. n_i is the number of recommendations that came after a word of the user, n_j
            of those of an item, n_ij of those that are both.
        by: what an item is known by.
        shared, asked: by attributes, see `rarec.retriever.attributes`.
        written: by words of titles and texts, see `rarec.retriever.written`; of items for which nothing is counted.
            After which words the others are wanted is known better, so in a catalogue that has some of them (see
            `speak_of`) only words for which nothing is counted are looked up.
        kin: of items that came after the counts, see `rarec.retriever.kin`; in a catalogue of which counts speak.
    """

    neighbours: Counts | None = None
    words: Counts | None = None
    by: Identity = "id"
    shared: ValuesConfig | None = None
    asked: ValuesConfig | None = None
    written: ValuesConfig | None = None
    kin: Kin | None = None

    def __len__(self) -> int:
        """How many items and words have something counted."""
        return sum(map(len, filter(None, (self.neighbours, self.words))))

    def __bool__(self) -> bool:
        """Whether anything may be added."""
        return len(self) > 0 or any(self.weights[2:])

    @property
    def weights(self) -> AssociationWeights:
        """Of each kind; 0 where there is none."""
        return AssociationWeights(
            _weight(self.neighbours.config if self.neighbours else None),
            _weight(self.words.config if self.words else None),
            _weight(self.shared),
            _weight(self.asked),
            _weight(self.written),
            _weight(self.kin.config if self.kin and len(self) else None),
        )

    @property
    def names(self) -> frozenset[str]:
        """Of all items for which something is counted."""
        counted = (counts.items for _, counts, _ in self.parts((), ()))
        return frozenset(self.neighbours.keys if self.neighbours else ()).union(*counted)

    def with_weights(self, weights: AssociationWeights) -> Associations:
        """The same with other weights; kinds without a weight are left out."""
        return Associations(
            self.neighbours.with_weight(weights.neighbours) if self.neighbours and weights.neighbours else None,
            self.words.with_weight(weights.words) if self.words and weights.words else None,
            self.by,
            _weighed(self.shared, weights.shared),
            _weighed(self.asked, weights.asked),
            _weighed(self.written, weights.written),
            self.kin.with_weight(weights.kin) if self.kin and weights.kin else None,
        )

    def parts(self, items: Collection[str], words: Collection[str]) -> Iterator[tuple[Kind, Counts, Collection[str]]]:
        """Each kind of counts with what calls for it."""
        if self.neighbours is not None:
            yield "neighbours", self.neighbours, items
        if self.words is not None:
            yield "words", self.words, words


def _weight(config: CountsConfig | ValuesConfig | KinConfig | None) -> float:
    return config.weight if config else 0.0


def _weighed(config: ValuesConfig | None, weight: float) -> ValuesConfig | None:
    return config.model_copy(update={"weight": weight}) if config and weight else None


def name_of(item: Item, by: Identity) -> str:
    """What counts know an item by: a digest of its id, or of title and year.

    Ids mean nothing in another catalogue, or something else. Title and year carry over; items that share both share
    what is counted.
    """
    if by == "id":
        return _hashed(f"id {item.id}")
    return _hashed(f"title {folded(item.title)} {item.year}")


def speak_of(counted: int, items: int, names: int) -> bool:
    """Whether counts speak of a catalogue: of a twentieth of its items, or by a tenth of all `names` that they know.

    A film's title and year are those of a game now and then, and a catalogue of films may be vast.
    """
    return counted > 0 and (20 * counted >= items or 10 * counted >= names)


def _without_known(text: str, words: Counts) -> str:
    return " ".join(word for word in text.split() if _digest(word) not in words)


class LiveAssociations:
    """What is associated in a catalogue whose items come and go. One thread may change it while others read.

    Args:
        numbers: of ids; shared with whoever reads the bonuses, or None.
        mentioned: other items that a conversation may mention.
    """

    def __init__(
        self, associations: Associations, numbers: ItemNumbers | None = None, *, mentioned: Iterable[Item] = ()
    ) -> None:
        self._associations = associations
        self._numbers = ItemNumbers() if numbers is None else numbers
        self._names = sorted(associations.names)
        self._place = {name: place for place, name in enumerate(self._names)}
        self._counted = [self._places_of(counts.items) for _, counts, _ in associations.parts((), ())]
        self._places = RowOfNumber()  # of the items in `_names`; of those without a name the place after the last
        self._here = _Here.of(self._places, len(self._names))
        self._values, self._written = AttributeValues(self._numbers), WrittenWords(self._numbers)
        self._heirs: Heirs | None = None
        if associations.kin and associations.weights.kin and self._names:
            self._heirs = Heirs(associations.kin, self._numbers)
            self._kin = self._places_of(associations.kin.names)
        elsewhere = {item.id: item for item in mentioned}
        self._names_elsewhere, self._values_elsewhere = dict[ItemId, str](), dict[ItemId, bytes]()
        if associations.neighbours is not None:  # digests of many items take their time
            self._names_elsewhere = {id: name_of(item, associations.by) for id, item in elsewhere.items()}
        if associations.shared is not None:
            self._values_elsewhere = {id: codes_of(item) for id, item in elsewhere.items()}

    @property
    def spoken_of(self) -> bool:
        """Whether the counts speak of the catalogue, see `speak_of`."""
        return self._here.spoken_of

    def put(self, items: Sequence[Item], features: NDArray[np.float32] | None = None) -> None:
        """Add or replace items, with their texts, which are not kept.

        Args:
            features: of them, see `rarec.retriever.features.item_features`, shape (n, d + 4); if None, none inherits.
        """
        names = self._names_of(items)
        self._move(self._numbers.give([item.id for item in items]), self._places_of(names))
        if self._associations.weights.written:
            self._written.put(items)
        if self._associations.shared or self._associations.asked:
            self._values.put(items)
        if self._heirs is not None and features is not None:
            self._heirs.put(items, names, features)
        elif self._heirs is not None:
            self._heirs.remove([item.id for item in items])

    def inherit(self, items: Sequence[Item], features: NDArray[np.float32]) -> None:
        """Let new items inherit that are there without."""
        if self._heirs is not None:
            self._heirs.put(items, self._names_of(items), features)

    def remove(self, ids: Collection[ItemId]) -> None:
        """Remove items; unknown ids are ignored."""
        if not ids:
            return
        self._written.remove(ids)
        self._values.remove(ids)
        if self._heirs is not None:
            self._heirs.remove(ids)
        numbers = self._numbers.find(ids)
        numbers = numbers[numbers >= 0]
        self._move(numbers, np.full(len(numbers), -1))

    def bonuses(self, context: Context) -> Bonuses:
        """What is added to the scores of items that are there, above 0."""
        return Bonuses.total(self._numbers, (own for _, own in self.each(context)))

    def each(self, context: Context) -> Iterator[tuple[Kind, Bonuses]]:
        """The same for each kind that there is.

        Words of texts are looked up for all items, also for those that are counted, and then left out for these.
        """
        here, associations = self._here, self._associations
        named = [name for item in context.items if (name := self._name_of(item)) is not None]
        counted = np.zeros(len(self._names) + 1, dtype=np.float32)
        for (kind, counts, keys), places in zip(associations.parts(named, context.words), self._counted, strict=True):
            found, gained = counts.scored(keys)
            own = np.zeros_like(counted)
            own[places[found]] = gained
            counted += own
            yield kind, here.spread(self._numbers, own)
        if associations.shared is not None:
            others = self._values_elsewhere
            yield "shared", self._values.shared(context.items, associations.shared, others=others)
        if associations.asked is not None:
            yield "asked", self._values.asked(context.said, associations.asked)
        if associations.written is not None:
            words = associations.words if here.spoken_of else None
            said = context.said if words is None else [_without_known(text, words) for text in context.said]
            written = self._written.written(said, associations.written)
            nameless = self._places.get(written.numbers) == len(self._names)
            yield "written", Bonuses(self._numbers, written.numbers[nameless], written.added[nameless])
        if self._heirs is not None and here.spoken_of:
            yield "kin", self._heirs.inherited(counted[self._kin])

    def quoted(self, context: Context, items: Collection[ItemId]) -> dict[ItemId, tuple[str, ...]]:
        """The user's words that stand in titles and texts of some items, the rarest first, as far as they count."""
        if (config := self._associations.written) is None:
            return {}
        return self._written.quoted(context.said, items, config)

    def _move(self, numbers: Numbers, places: NDArray[np.int64]) -> None:
        """Give items other places, and readers the whole of it."""
        before, nameless = self._places.get(numbers), len(self._names)
        self._places.put(numbers, places)
        if np.isin([before, places], [-1, nameless]).all():  # as with most, which are many
            self._here = self._here.with_size(int(np.count_nonzero(self._places.all() >= 0)), nameless)
        else:
            self._here = _Here.of(self._places, nameless)

    def _names_of(self, items: Sequence[Item]) -> list[str]:
        """Empty ones, as of nobody, where nothing is counted."""
        return [name_of(item, self._associations.by) for item in items] if self._names else [""] * len(items)

    def _places_of(self, names: Sequence[str]) -> NDArray[np.int64]:
        return np.fromiter((self._place.get(name, len(self._place)) for name in names), np.int64, len(names))

    def _name_of(self, item: ItemId) -> str | None:
        place = self._places[self._numbers.number(item)]
        if 0 <= place < len(self._names):
            return self._names[place]
        return self._names_elsewhere.get(item) if place < 0 else None


@dataclass(frozen=True, slots=True, eq=False)
class _Here:
    """Which items of a catalogue have a name for which something is counted.

    Attributes:
        numbers: of these items, ascending.
        places: of their names.
        spoken_of: whether the counts speak of the catalogue.
    """

    numbers: Numbers
    places: NDArray[np.int32]
    spoken_of: bool

    @staticmethod
    def of(places: RowOfNumber, names: int) -> _Here:
        """Of the places of all items, where `names` is that of those without a name."""
        each = places.all()
        numbers = np.flatnonzero((each >= 0) & (each < names))
        return _Here(numbers, each[numbers], False).with_size(int(np.count_nonzero(each >= 0)), names)

    def with_size(self, items: int, names: int) -> _Here:
        """The same in a catalogue of so many items."""
        return replace(self, spoken_of=speak_of(len(self.numbers), items, names))

    def spread(self, of: ItemNumbers, gained: NDArray[np.float32]) -> Bonuses:
        """What items get by what their names get."""
        own = gained[self.places]
        found = np.flatnonzero(own)
        return Bonuses(of, self.numbers[found], own[found].astype(np.float64))


class AssociationScores:
    """Adds what is associated to scores over the columns of a fixed catalogue.

    Args:
        columns: the items that are scored, each once.
        features: of them, see `rarec.retriever.features.item_features`, shape (columns, d + 4); if None, none inherits.
        mentioned: other items that a conversation may mention.
    """

    def __init__(
        self,
        associations: Associations,
        columns: Sequence[Item],
        features: NDArray[np.float32] | None = None,
        *,
        mentioned: Iterable[Item] = (),
    ) -> None:
        self._size, self._table = len(columns), None
        if not associations:
            return
        here = {item.id for item in columns}
        others = [item for item in mentioned if item.id not in here]
        self._table = LiveAssociations(associations, mentioned=others)  # the number of an item is its column
        self._table.put(columns)
        if features is not None and associations.weights.kin and self._table.spoken_of:
            self._table.inherit(columns, features)  # else relatives would be looked for in vain

    def of(self, context: Context) -> NDArray[np.float32]:
        """What each column gets, at least 0, shape (columns,)."""
        total: NDArray[np.float32] = self.each(context).sum(axis=0)
        return total

    def each(self, context: Context) -> NDArray[np.float32]:
        """The same by kind, in the order of `AssociationWeights`, shape (kinds, columns)."""
        added = np.zeros((len(AssociationWeights._fields), self._size), dtype=np.float32)
        for kind, own in self._table.each(context) if self._table else ():
            added[AssociationWeights._fields.index(kind)][own.numbers] = own.added
        return added

    def add_to(self, scores: NDArray[np.float32], conversations: Sequence[Conversation]) -> None:
        """Add to scores in place, shape (conversations, columns)."""
        if self._table:
            for row, conversation in zip(scores, conversations, strict=True):
                row += self.of(Context.of(conversation))
