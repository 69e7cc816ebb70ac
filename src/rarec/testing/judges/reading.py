"""What a simulated judge sees of one request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from rarec.catalogue.folding import words_of
from rarec.testing.judges.memory import UNKNOWN, Floats, Memory, Rows
from rarec.types import Conversation, Item, ItemId, RankingTask, Sentiment, Turn

FEELING: Mapping[Sentiment, float] = {"liked": 1.0, "mentioned": 0.5, "disliked": -1.0}
"""How much a mentioned item speaks for others like it."""


@dataclass(frozen=True)
class Reading:
    """A ranking task, read with a memory.

    Attributes:
        felt: the mentioned items of the task in order, each once, with the last feeling that was shown (see FEELING).
        said: the user's words as they are compared, joined by and between single spaces, without linked titles.
        words: the same, each once.
        rows: of the candidates in the memory, or UNKNOWN, shape (m,).
    """

    task: RankingTask
    memory: Memory

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """The candidates' items in the order in which they are shown."""
        return tuple(candidate.item for candidate in self.task.candidates)

    @cached_property
    def felt(self) -> tuple[tuple[Item, float], ...]:
        last: dict[ItemId, Sentiment] = {}
        for mention in self.task.conversation.mentions():
            if mention.sentiment != "mentioned" or mention.item not in last:
                last[mention.item] = mention.sentiment
        known = self.task.mentioned
        return tuple((known[item], FEELING[sentiment]) for item, sentiment in last.items() if item in known)

    @cached_property
    def said(self) -> str:
        return _said(self.task.conversation)

    @cached_property
    def words(self) -> frozenset[str]:
        return frozenset(self.said.split())

    @cached_property
    def rows(self) -> Rows:
        return self.memory.rows_of(self.items)

    @cached_property
    def remembered(self) -> Rows:
        """Places of the candidates that the judge remembers."""
        return np.flatnonzero(self.rows != UNKNOWN)

    def spread(self, values: Floats, *, neutral: float = 0.0) -> Floats:
        """Values of the remembered candidates -> of all of them, `neutral` for the others, shape (m,)."""
        full = np.full(len(self.items), neutral)
        full[self.remembered] = values
        return full


def _said(conversation: Conversation) -> str:
    texts = [_folded(_without_titles(turn)) for turn in conversation.turns if turn.role == "user"]
    return f" {' '.join(text for text in texts if text)} "


@lru_cache(maxsize=1024)  # a judge is asked about the same conversation again and again
def _folded(text: str) -> str:
    return " ".join(words_of(text).folded)


def _without_titles(turn: Turn) -> str:
    """The words of a title ask for nothing."""
    text = turn.text
    spans = sorted({mention.span for mention in turn.mentions or () if mention.span is not None}, reverse=True)
    for start, end in spans:
        text = f"{text[:start]} {text[end:]}"
    return text
