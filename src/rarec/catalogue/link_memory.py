"""What the linker found in recent texts, so that a conversation's earlier messages are searched once."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

from rarec.types import Mention


class LinkMemory:
    """Text -> its mentions, for the texts that were asked for last. Texts are known by a digest and not kept.

    Args:
        room: how much is kept, >= 0; a text takes 1, and 1 more for each of its mentions (about 250 bytes each).
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._found: OrderedDict[bytes, tuple[Mention, ...]] = OrderedDict()
        self._taken = 0
        self._generation = 0
        self._lock = threading.Lock()

    @property
    def generation(self) -> int:
        """How often all was forgotten; read it before a text is searched."""
        return self._generation

    def get(self, text: str) -> tuple[Mention, ...] | None:
        """What was found in this text; None if that is not known."""
        key = _key(text)
        with self._lock:
            found = self._found.get(key)
            if found is not None:
                self._found.move_to_end(key)
            return found

    def put(self, text: str, found: tuple[Mention, ...], generation: int) -> None:
        """Keep what a search found that began in `generation`; nothing is kept if all was forgotten since."""
        key = _key(text)
        with self._lock:
            if generation != self._generation or key in self._found or 1 + len(found) > self._room:
                return
            self._found[key] = found
            self._taken += 1 + len(found)
            while self._taken > self._room:
                self._taken -= 1 + len(self._found.popitem(last=False)[1])

    def forget(self) -> None:
        """Drop everything; needed after any item changed, since items of one name are judged against each other."""
        with self._lock:
            self._generation += 1
            self._found.clear()
            self._taken = 0


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
