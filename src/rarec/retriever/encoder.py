"""Conversations -> query vectors, carrying the recurrent state between turns."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rarec.embed.protocol import Embedder
from rarec.retriever.model import Retriever, State, Tokens
from rarec.retriever.sequence import ITEM, MESSAGE, Event, by_length, conversation_events
from rarec.types import Conversation, ItemId

ItemVectors = Callable[[Sequence[ItemId]], dict[ItemId, NDArray[np.float32]]]
"""Ids -> item vectors of length width (or width + 1, the last is ignored); unknown ids are left out."""


@dataclass(frozen=True, slots=True)
class _Carried:
    query: NDArray[np.float32]
    state: State


class ConversationEncoder:
    """Query vectors of conversations.

    A conversation that continues one seen before costs only its new tokens: the recurrent state after
    each of the last `remembered` conversations is kept. The result equals a computation from scratch.

    Args:
        model: put into evaluation mode.
        embedder: of the messages; must be the one that the model was trained with.
        item_vectors: see `ItemVectors`; mentioned items that it does not know are skipped.
        remembered: how many conversations' states are kept, >= 0.
    """

    def __init__(
        self, model: Retriever, embedder: Embedder, item_vectors: ItemVectors, *, remembered: int = 1024
    ) -> None:
        self.model = model.eval()
        self._embedder = embedder
        self._item_vectors = item_vectors
        self._remembered = remembered
        self._carried: OrderedDict[bytes, _Carried] = OrderedDict()
        self._generation = 0
        self._lock = threading.Lock()

    @property
    def width(self) -> int:
        """Length of a query: the model's width + 1."""
        return self.model.config.width + 1

    def forget(self) -> None:
        """Drop every carried state; needed after items changed."""
        with self._lock:
            self._generation += 1
            self._carried.clear()

    def query(self, conversation: Conversation) -> NDArray[np.float32]:
        """The query of one linked conversation, shape (width + 1,); an empty one has a query too."""
        generation = self._generation
        (events,), items = self._events([conversation])
        keys = _prefix_keys(events)
        known, carried = self._longest_prefix(keys)
        if carried is None or known < len(events):
            carried = self._advance(events[known:], items, carried.state if carried else self.model.start())
            self._remember(keys[-1], carried, generation)
        # A copy: what the caller does to it must not reach the next caller.
        return carried.query.copy()

    def queries(self, conversations: Sequence[Conversation], *, batch: int = 64) -> NDArray[np.float32]:
        """The queries of many linked conversations by the parallel scan, shape (n, width + 1)."""
        result = np.empty((len(conversations), self.width), dtype=np.float32)
        events, items = self._events(conversations)
        for rows in by_length([len(own) for own in events], batch):
            chunk = [events[i] for i in rows]
            with torch.inference_mode():
                output = self.model.queries(self._tokens(chunk, items))
            last = torch.tensor([len(e) - 1 for e in chunk])
            result[rows] = output[last, torch.arange(len(chunk))].numpy()
        return result

    def _events(
        self, conversations: Sequence[Conversation]
    ) -> tuple[list[list[Event]], dict[ItemId, NDArray[np.float32]]]:
        """The tokens of each conversation, without items that have no vector, and the vectors of the others."""
        sequences = [conversation_events(c) for c in conversations]
        mentioned = dict.fromkeys(e.item for s in sequences for e in s if e.item is not None)
        known = self._item_vectors(list(mentioned)) if mentioned else {}
        return [[e for e in s if e.item is None or e.item in known] for s in sequences], known

    def _advance(self, events: Sequence[Event], items: dict[ItemId, NDArray[np.float32]], state: State) -> _Carried:
        with torch.inference_mode():
            query, state = self.model.advance(self._tokens([events], items), state)
        # A copy: a view would keep the states of all the tokens in memory.
        return _Carried(query[0].numpy(), tuple(h.clone() for h in state))

    def _tokens(self, sequences: Sequence[Sequence[Event]], items: dict[ItemId, NDArray[np.float32]]) -> Tokens:
        """Pad at the end and fill in the vectors of items and messages."""
        config = self.model.config
        time, batch = max(len(s) for s in sequences), len(sequences)
        # In order of appearance: a set's order changes from process to process, and with it the embedder's batches.
        texts = list(dict.fromkeys(e.text for s in sequences for e in s if e.text))
        text_rows = dict(zip(texts, self._embedder.embed(texts, kind="query"), strict=True)) if texts else {}
        codes = np.zeros((3, time, batch), dtype=np.int64)
        item = np.zeros((time, batch, config.width), dtype=np.float32)
        text = np.zeros((time, batch, config.text_dimension), dtype=np.float32)
        for b, sequence in enumerate(sequences):
            for t, event in enumerate(sequence):
                codes[:, t, b] = event.kind, event.role, event.sentiment
                if event.kind == ITEM and event.item is not None:
                    item[t, b] = items[event.item][: config.width]
                elif event.kind == MESSAGE:
                    text[t, b] = text_rows[event.text]
        kind, role, sentiment = torch.from_numpy(codes)
        return Tokens(kind, role, sentiment, torch.from_numpy(item), torch.from_numpy(text))

    def _longest_prefix(self, keys: Sequence[bytes]) -> tuple[int, _Carried | None]:
        with self._lock:
            for length in range(len(keys), 0, -1):
                carried = self._carried.get(keys[length - 1])
                if carried is not None:
                    self._carried.move_to_end(keys[length - 1])
                    return length, carried
        return 0, None

    def _remember(self, key: bytes, carried: _Carried, generation: int) -> None:
        with self._lock:
            if generation != self._generation:  # items changed while this was computed
                return
            self._carried[key] = carried
            self._carried.move_to_end(key)
            while len(self._carried) > self._remembered:
                self._carried.popitem(last=False)


def _prefix_keys(events: Sequence[Event]) -> list[bytes]:
    """A digest of each prefix. A strong hash: two users' conversations must never share a state by accident."""
    keys, digest = [], hashlib.blake2b(digest_size=16)
    for event in events:
        digest.update(repr((event.kind, event.role, event.sentiment, event.item, event.text)).encode())
        keys.append(digest.copy().digest())
    return keys
