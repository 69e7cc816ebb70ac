"""An open store: who answers, and under which bundle."""

from __future__ import annotations

import heapq
from pathlib import Path

from rarec.catalogue.title_search import TitleSearch
from rarec.constraints import Vocabulary
from rarec.errors import BundleError
from rarec.pipeline import Recommender
from rarec.service.turns import Turns
from rarec.settings import StorePaths
from rarec.types import Item

_EXAMPLES = 2


class Opened:
    """What there is once the store is open.

    Attributes:
        vocabulary: None while it is being read.
        popular: a few of the most popular items, as they were when the service started.
    """

    def __init__(self, recommender: Recommender, turns: Turns) -> None:
        self.turns = turns
        self.titles = TitleSearch(recommender.engine.catalogue)
        self.vocabulary: Vocabulary | None = None
        self.popular: tuple[Item, ...] = ()
        self._refused: Path | None = None

    @property
    def recommender(self) -> Recommender:
        """Answers from now on."""
        return self.turns.recommender

    def read_vocabulary(self) -> None:
        """Learn what can be asked for in words; looks at all items."""
        engine = self.recommender.engine
        self.popular = tuple(heapq.nlargest(_EXAMPLES, engine.catalogue, key=lambda item: item.popularity))
        self.vocabulary = engine.vocabulary

    def follow(self, store: StorePaths) -> bool:
        """See `Parts.follow`."""
        live, folder = store.bundle, self.recommender.engine.folder
        if self.vocabulary is None or folder is None:  # the first is still being made ready, or comes from no bundle
            return False
        if live.resolve() == folder.resolve() or live == self._refused:
            return False
        try:
            recommender = self.recommender.with_bundle(live)
        except BundleError:
            self._refused = live
            raise
        vocabulary = recommender.engine.vocabulary
        self.turns.recommender, self.vocabulary, self._refused = recommender, vocabulary, None
        return True
