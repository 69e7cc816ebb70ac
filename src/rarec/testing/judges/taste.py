"""A hidden taste: weighted parts, whims, noise and a weakness for what stands first."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from rarec.errors import InputError
from rarec.testing.judges.memory import UNKNOWN, Floats
from rarec.testing.judges.parts import Favourites, Part
from rarec.testing.judges.reading import Reading
from rarec.types import Conversation


def uniform(*what: str | int) -> float:
    """A number in (0, 1) that hangs on its arguments only, the same in every process; never 0 and never 1."""
    digest = hashlib.sha256(json.dumps(what).encode()).digest()
    # 52 bits and a half: exact in a float, so it cannot be rounded to 1.
    return (int.from_bytes(digest[:8], "big") // 4096 + 0.5) / 2**52


def gumbel(*what: str | int) -> float:
    """A standard Gumbel number from the same source."""
    return -math.log(-math.log(uniform(*what)))


def said_key(conversation: Conversation) -> str:
    """A hash of what was said and how mentioned items are felt about; the conversation's id is not in it."""
    turns = [(t.role, t.text, [(m.item, m.sentiment) for m in t.mentions or ()]) for t in conversation.turns]
    return hashlib.sha256(json.dumps(turns).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Taste:
    """How a judge scores the candidates of a request. Without anything set it likes all alike.

    score = sum of weight x value of the parts + whim x Gumbel(conversation, item) + guess x Gumbel(conversation, item)
    if the item is not remembered + position_bias x (1 - place / (m - 1)) + noise x Gumbel(request, item)

    Attributes:
        parts: what it looks at.
        whim: size of what it thinks of an item in this conversation for no reason that can be seen; the same in
            whatever company and place the item is shown, so no amount of asking again averages it out.
        guess: the same for items that it does not remember, on top: it makes something up.
        noise: size of what changes with every different request; a ranking is then a draw from the Plackett-Luce
            distribution of the other terms at this temperature.
        position_bias: bonus of the first place in score units; it falls evenly to 0 in the last.

    Sizes are in score units, >= 0.
    """

    parts: tuple[Part, ...] = ()
    whim: float = 0.0
    guess: float = 0.0
    noise: float = 0.0
    position_bias: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "parts" and not 0 <= value < math.inf:
                raise InputError(f"{field.name} must be finite and >= 0, got {value!r}; 0 switches it off")
        for part in self.parts:
            if not math.isfinite(part.weight):
                raise InputError(f"the weight of {part!r} must be finite; 0 switches it off")

    @property
    def attributes(self) -> frozenset[str]:
        """Of items, that its parts look at by name; some look at all."""
        found = {name for part in self.parts for name in getattr(part, "attributes", None) or ()}
        return frozenset(found | {part.attribute for part in self.parts if isinstance(part, Favourites)})

    def scores(self, reading: Reading, *, seed: int, request: str) -> Floats:
        """A score of each candidate in the order in which they are shown, shape (m,); higher is better.

        Args:
            request: names the content of the request; only `noise` hangs on it.
        """
        m = len(reading.items)
        total = np.zeros(m)
        for part in self.parts:
            total += part.weight * part.values(reading)
        ids = [str(item.id) for item in reading.items]
        said = said_key(reading.task.conversation) if self.whim or self.guess else ""
        if self.whim:
            total += self.whim * _gumbels("whim", seed, said, ids)
        if self.guess:
            total += self.guess * _gumbels("guess", seed, said, ids) * (reading.rows == UNKNOWN)
        if self.noise:
            total += self.noise * _gumbels("noise", seed, request, ids)
        if self.position_bias and m > 1:
            total += self.position_bias * (1.0 - np.arange(m) / (m - 1))
        return total


def _gumbels(kind: str, seed: int, key: str, ids: Sequence[str]) -> Floats:
    return np.array([gumbel(kind, seed, key, item) for item in ids])
