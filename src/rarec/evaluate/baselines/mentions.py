"""Training conversations as users, the items that they mention as what they took: what collaborative systems read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rarec.conversations import Example
from rarec.errors import MissingExtra
from rarec.evaluate.systems import ScoredSystem, Scores
from rarec.types import Conversation, Item, ItemId

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, slots=True)
class Mentions:
    """Which training conversation mentions which item, over the known items that training mentions at all.

    Attributes:
        columns: columns of these items, ascending, shape (trained,).
        sequences: for each conversation with a known item the places of its items in `columns`, each once, in the
            order of first mention.
        counts: how many conversations mention each of these items, at least 1, shape (trained,).
    """

    columns: NDArray[np.int64]
    sequences: tuple[tuple[int, ...], ...]
    counts: NDArray[np.float32]

    @staticmethod
    def of(conversations: Iterable[Conversation], columns: dict[ItemId, int]) -> Mentions:
        """Read them; mentions of items that have no column are skipped."""
        rows = (dict.fromkeys(columns[m.item] for m in c.mentions() if m.item in columns) for c in conversations)
        sequences = [tuple(row) for row in rows if row]
        trained = sorted({column for row in sequences for column in row})
        place = {column: at for at, column in enumerate(trained)}
        placed = tuple(tuple(place[column] for column in row) for row in sequences)
        flat = np.array([at for row in placed for at in row], np.int64)
        counts = np.bincount(flat, minlength=len(trained)).astype(np.float32)
        return Mentions(np.array(trained, np.int64), placed, counts)

    def matrix(self) -> csr_array:
        """1 where a conversation mentions an item, sparse float32, shape (conversations, trained)."""
        return indicator(self.sequences, len(self.columns))


def indicator(rows: Sequence[Sequence[int]], width: int) -> csr_array:
    """A sparse float32 matrix with 1 at the given columns of each row, each given once; shape (len(rows), width).

    Raises:
        MissingExtra: scipy is not installed.
    """
    try:
        from scipy.sparse import csr_array
    except ImportError:
        raise MissingExtra.of("scipy", "bench", "a collaborative baseline") from None
    ends = np.cumsum([0, *map(len, rows)])
    columns = np.array([column for row in rows for column in row], np.int64)
    return csr_array((np.ones(len(columns), np.float32), columns, ends), shape=(len(rows), width))


class FoldInSystem(ScoredSystem):
    """A system that knows which items go together; a conversation is a new user, given by its context items.

    It scores only items that training mentions, so it keeps nothing of the size items x items. All others, those
    without a score, and everything where no context item is known, follow by popularity in training (how many
    conversations mention it), then by the catalogue's popularity.

    Args:
        mentioned: items beside the catalogue that count as mentions and are never recommended.
    """

    def __init__(
        self,
        name: str,
        items: Sequence[Item],
        conversations: Iterable[Conversation],
        mentioned: Collection[ItemId] = (),
    ) -> None:
        super().__init__(name, items)
        known = [*self.ids, *(item for item in dict.fromkeys(mentioned) if item not in self.columns)]
        self.mentions = Mentions.of(conversations, {item: column for column, item in enumerate(known)})
        self._places = {known[column]: place for place, column in enumerate(self.mentions.columns)}
        # Popularity in training, in [-1, 0): below every score, and -1 for what training never mentions.
        self._prior = np.full(len(known), -1.0, np.float32)
        most = self.mentions.counts.max(initial=0.0)
        self._prior[self.mentions.columns] = self.mentions.counts / (most + 1.0) - 1.0

    @abstractmethod
    def folded(self, contexts: Sequence[Sequence[int]]) -> Scores:
        """Scores of the trained items, shape (contexts, trained); 0 or less counts as no score.

        Args:
            contexts: of each new user the known items in order, as places in `mentions.columns`; none is empty.
        """

    def scores(self, examples: Sequence[Example]) -> Scores:
        result = np.tile(self._prior, (len(examples), 1))
        contexts = [[self._places[i] for i in e.context_items if i in self._places] for e in examples]
        rows = np.flatnonzero([bool(context) for context in contexts])
        if len(rows):
            found = self.folded([contexts[row] for row in rows])
            prior = self._prior[self.mentions.columns]
            result[np.ix_(rows, self.mentions.columns)] = np.where(found > 0, found, prior)
        return result[:, : len(self.ids)]


def above_zero(scores: Scores) -> Scores:
    """Each row moved so that its lowest score is 1: for models in which every score says something."""
    return np.asarray(scores - scores.min(axis=1, keepdims=True) + 1.0, np.float32)
