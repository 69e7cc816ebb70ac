"""A control from above: how far plain word matching gets with what the seekers say."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rarec.catalogue.evidence import lexicon
from rarec.catalogue.folding import folded_words
from rarec.simulation.targets import World
from rarec.types import Conversation, Filters, Item, ParseReport, RankedItem, Recommendation, Usage


class WordMatch:
    """Ranks items by the words that the seeker wrote and that stand in the item's attributes, decade or text.

    Each word counts once, with ln(items / items that have it); function words do not count, nor do titles. Ties go to
    the more popular item. It knows nothing of language, taste or likeness: where it does well, so does a search form.
    """

    def __init__(self, world: World) -> None:
        self._items = sorted(world.items.values(), key=lambda item: -item.popularity)
        self._places = {item.id: place for place, item in enumerate(self._items)}
        rows: dict[str, list[int]] = defaultdict(list)
        for place, item in enumerate(self._items):
            for word in set(_words(item, world)):
                rows[word].append(place)
        self._rows = {word: np.array(places) for word, places in rows.items()}

    async def areply(
        self,
        conversation: Conversation,
        *,
        n: int = 10,
        filters: Filters | None = None,
        words: bool = True,  # noqa: ARG002
    ) -> Recommendation:
        """The n best items; of the filters only `exclude` is read, and of `words` nothing."""
        scores = self._scores(conversation)
        scores[[self._places[item] for item in filters.exclude if item in self._places] if filters else []] = -np.inf
        best = [int(place) for place in np.argsort(-scores, kind="stable")[:n] if scores[place] > -np.inf]
        ranked = tuple(
            RankedItem(self._items[place], float(scores[place]), "", rank) for rank, place in enumerate(best, start=1)
        )
        return Recommendation(ranked, "Here is what matches.", (), Usage(), {}, ParseReport())

    def _scores(self, conversation: Conversation) -> NDArray[np.float64]:
        said = {w for turn in conversation.turns if turn.role == "user" for w in folded_words(turn.text)}
        scores = np.zeros(len(self._items))
        for word in sorted(said - lexicon().function):
            rows = self._rows.get(word)
            if rows is not None:
                scores[rows] += math.log(len(self._items) / len(rows))
        return scores


def _words(item: Item, world: World) -> Iterator[str]:
    for aspect in world.counts.aspects(item):
        yield from folded_words(aspect.value)
    yield from folded_words(item.text)
