"""The reply out of a JSON answer that is still being written."""

from __future__ import annotations

from rarec.prompt.strings import StringDecoder

_BLANK = " \t\r\n"
_MAX_KEY = 64


class ReplyStream:
    """Picks the value of ``"reply"`` out of an answer's pieces and decodes it as it arrives.

    It follows the first object that has such a key at its top level; prose or a code fence before it is skipped.
    **Text that is not JSON gives nothing**: JSON may still follow, and half of a broken answer is not for a user's
    eyes. `remainder` then gives what is left to show once `parse` has read the whole answer, whose reply counts.

    >>> stream = ReplyStream()
    >>> [stream.feed(piece) for piece in ('{"ranking": [2, 1], "re', 'ply": "Try [', '2]!"}')]
    ['', 'Try [', '2]!']
    """

    def __init__(self) -> None:
        self._depth = 0
        self._opening = False
        self._decoder: StringDecoder | None = None
        self._is_key = False
        self._key_next = False
        self._key = ""
        self._emitting = False
        self._emitted: list[str] = []
        self.done = False
        """The reply is complete; further pieces give nothing."""

    @property
    def text(self) -> str:
        """All that `feed` has returned so far."""
        return "".join(self._emitted)

    def feed(self, delta: str) -> str:
        """Take the next piece of the answer, of any length; return the characters of the reply that it completes."""
        out: list[str] = []
        at = 0
        while at < len(delta) and not self.done:
            if self._decoder is not None:
                at = self._string(self._decoder, delta, at, out)
            elif self._depth == 0:
                at = self._outside(delta, at)
            else:
                self._structure(delta[at])
                at += 1
        piece = "".join(out)
        if piece:
            self._emitted.append(piece)
        return piece

    def remainder(self, reply: str) -> str:
        """What of the final `reply` was not returned yet; nothing if what was returned is not how it begins."""
        text = self.text
        return reply[len(text) :] if reply.startswith(text) else ""

    def _outside(self, delta: str, at: int) -> int:
        """Look for a brace that a key follows; braces in prose are not followed by a quote."""
        if not self._opening:
            brace = delta.find("{", at)
            self._opening = brace >= 0
            return brace + 1 if brace >= 0 else len(delta)
        char = delta[at]
        if char in _BLANK:
            return at + 1
        self._opening = False
        if char != '"':
            return at
        self._depth, self._key_next = 1, True
        return at

    def _structure(self, char: str) -> None:
        if char == '"':
            self._decoder = StringDecoder()
            self._is_key = self._depth == 1 and self._key_next
            self._emitting = self._depth == 1 and not self._key_next and self._key == "reply"
            if self._is_key:
                self._key = ""
        elif char in "{[":
            self._depth += 1
        elif char in "}]":
            self._depth -= 1
        elif char == "," and self._depth == 1:
            self._key_next = True
            self._key = ""
        elif char == ":" and self._depth == 1:
            self._key_next = False

    def _string(self, decoder: StringDecoder, delta: str, at: int, out: list[str]) -> int:
        piece, at = decoder.feed(delta, at)
        if self._emitting:
            out.append(piece)
        elif self._is_key:
            self._key = (self._key + piece)[:_MAX_KEY]
        if decoder.closed:
            self.done = self._emitting
            self._decoder = None
        return at
