"""Words of the conversation in the texts of the items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rarec.catalogue.text import Layout, item_text
from rarec.conversations import Example
from rarec.errors import InputError, MissingExtra
from rarec.evaluate.baselines.embedding_similarity import query_text
from rarec.evaluate.systems import ScoredSystem, Scores
from rarec.types import Item


class BM25(ScoredSystem):
    """BM25 of the last messages as a query against each item's text, by the library `bm25s`.

    An item's text is its title, attributes and description in a layout of the catalogue. Items without a word of
    the query follow by popularity. The defaults did best on ReDial's validation conversations among five pairs of
    `k1` and `b` and 1, 2, 4, 8 or all messages.

    Args:
        layout: None is the generic one.
        last_messages: how many messages make the query.
        stopwords: the library's list for this language; None keeps every word.
    Raises:
        InputError: an argument is out of range.
        MissingExtra: bm25s is not installed.
    Source: the variant of Lucene, Kamphuis et al. 2020, "Which BM25 do you mean?".
    """

    def __init__(
        self,
        items: Sequence[Item],
        *,
        layout: Layout | None = None,
        last_messages: int = 2,
        k1: float = 1.5,
        b: float = 0.75,
        stopwords: str | None = "en",
    ) -> None:
        super().__init__("bm25", items)
        if last_messages < 1:
            raise InputError(f"last_messages must be at least 1, got {last_messages!r}")
        self._library = _library()
        self._last_messages = last_messages
        self._stopwords: str | list[str] = stopwords or []
        found = self._words([item_text(item, layout) for item in self.items])
        self._index: Any = None
        if found.vocab:
            self._index = self._library.BM25(k1=k1, b=b, method="lucene", backend="numpy")
            self._index.index(found, show_progress=False)

    def scores(self, examples: Sequence[Example]) -> Scores:
        result = np.zeros((len(examples), len(self.ids)), np.float32)
        texts = [query_text(e.conversation, last_messages=self._last_messages) for e in examples]
        for row, words in enumerate(self._words(texts, return_ids=False)):
            if self._index is not None and words:
                result[row] = self._index.get_scores(words)
        return result

    def _words(self, texts: list[str], *, return_ids: bool = True) -> Any:
        return self._library.tokenize(texts, stopwords=self._stopwords, return_ids=return_ids, show_progress=False)


def _library() -> Any:
    try:
        import bm25s
    except ImportError:
        raise MissingExtra.of("bm25s", "bench", "the baseline 'bm25'") from None
    return bm25s
