"""Turns to learn from and to be measured on, tokenised for the retriever."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rarec.errors import InputError
from rarec.retriever.data import ItemTable, TokenSequence
from rarec.retriever.features import EXTRA_FEATURES
from rarec.retriever.sequence import MESSAGE, Event, conversation_events
from rarec.types import Conversation, Item, ItemId

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Messages -> unit vectors, shape (n, text_dimension)."""


@dataclass(frozen=True, slots=True, eq=False)
class Stock:
    """What can be recommended.

    Attributes:
        items: of the catalogue; they are the first rows of `table`.
        table: features of the items, and then of others that only serve as negatives; may be empty of those.
    Raises:
        InputError: the first rows of the table are not the items.
    """

    items: tuple[Item, ...]
    table: ItemTable

    def __post_init__(self) -> None:
        if any(self.table.rows.get(item.id) != row for row, item in enumerate(self.items)):
            raise InputError("the first rows of the table are not the items of the catalogue; put them first")

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class LearningTurn:
    """One turn whose recommendation is known, or on which there is feedback.

    Attributes:
        id: unique among the turns of a split.
        dialogue: it comes from; intervals are by dialogue.
        conversation: what was said before, mentions linked.
        truth: what was recommended, in the catalogue and not mentioned before; empty only where feedback teaches.
    """

    id: str
    dialogue: str
    conversation: Conversation
    truth: tuple[ItemId, ...]


@dataclass(frozen=True, slots=True, eq=False)
class TokenisedTurn:
    """A turn as rows of tables.

    Attributes:
        mentioned: items of the catalogue that the conversation mentions.
        tokens: of the conversation; the last one's query is the turn's.
        truth_rows, seen_rows: rows of the catalogue; `seen_rows` cannot be recommended.
    """

    turn: LearningTurn
    mentioned: Mapping[ItemId, Item]
    tokens: TokenSequence
    truth_rows: tuple[int, ...]
    seen_rows: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class TurnData:
    """Turns and the table of their messages, shape (m, text_dimension)."""

    turns: tuple[TokenisedTurn, ...]
    messages: Tensor

    def __len__(self) -> int:
        return len(self.turns)

    def some(self, turns: Iterable[TokenisedTurn]) -> TurnData:
        """The same messages with other turns."""
        return TurnData(tuple(turns), self.messages)


def turn_data(turns: Sequence[LearningTurn], stock: Stock, embed: Embed, *, need_truth: bool = True) -> TurnData:
    """Tokenise turns, each on its own; items without a row in the stock's table are passed over.

    Args:
        need_truth: refuse turns without truth.
    Raises:
        InputError: an id comes twice, or a turn has no truth, one outside the catalogue, or one that is mentioned.
    """
    rows, known = stock.table.rows, {item.id: item for item in stock.items}
    texts: dict[str, int] = {}
    seen_ids: set[str] = set()
    result: list[TokenisedTurn] = []
    for turn in turns:
        mentioned = {m.item: known[m.item] for m in turn.conversation.mentions() if m.item in known}
        _check(turn, mentioned, known, seen_ids, need_truth=need_truth)
        columns = [c for event in conversation_events(turn.conversation) if (c := _column(event, rows, texts))]
        result.append(
            TokenisedTurn(
                turn,
                mentioned,
                TokenSequence(np.array(columns, dtype=np.int64).T, ()),
                tuple(rows[item] for item in turn.truth),
                tuple(rows[item] for item in mentioned),
            )
        )
    vectors = torch.zeros(1, stock.table.features.shape[1] - EXTRA_FEATURES)
    if texts:
        vectors = torch.from_numpy(np.asarray(embed(list(texts)), dtype=np.float32))
    return TurnData(tuple(result), vectors)


def _column(event: Event, rows: Mapping[ItemId, int], texts: dict[str, int]) -> tuple[int, int, int, int] | None:
    if event.kind == MESSAGE:
        row = texts.setdefault(event.text, len(texts))
    elif event.item is None:
        row = 0
    elif event.item in rows:
        row = rows[event.item]
    else:
        return None
    return event.kind, event.role, event.sentiment, row


def _check(
    turn: LearningTurn,
    mentioned: Mapping[ItemId, Item],
    known: Mapping[ItemId, Item],
    ids: set[str],
    *,
    need_truth: bool,
) -> None:
    if turn.id in ids:
        raise InputError(f"turn {turn.id!r} comes twice; give every turn an id of its own")
    ids.add(turn.id)
    if need_truth and not turn.truth:
        raise InputError(f"turn {turn.id!r} has no truth, so no ranking has a reward; leave such turns out")
    for item in turn.truth:
        if item not in known or item in mentioned:
            why = "is mentioned before" if item in mentioned else "is not in the catalogue"
            raise InputError(f"the truth {item!r} of turn {turn.id!r} {why}; leave it out")
