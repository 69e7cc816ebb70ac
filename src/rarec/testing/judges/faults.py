"""What goes wrong with a simulated judge: how often, and what its answer looks like then."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import astuple, dataclass, fields
from typing import Literal

from rarec.errors import InputError

Fault = Literal["truncated", "malformed", "refused", "timeout"]


@dataclass(frozen=True, slots=True)
class Faults:
    """Probabilities; at most one fault meets a request. Zeros are a healthy judge.

    Attributes:
        truncated: the answer breaks off at a random place.
        malformed: the answer is not what the schema asks for; see `MALFORMED`.
        refused: LLMRefused.
        timeout: LLMTimeout, at once: the deadline passes in the judge's time and not in ours.
    """

    truncated: float = 0.0
    malformed: float = 0.0
    refused: float = 0.0
    timeout: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if not 0 <= (share := getattr(self, field.name)) <= 1:
                raise InputError(f"{field.name} must be a probability from 0 to 1, got {share!r}")
        if sum(astuple(self)) > 1 + 1e-9:
            raise InputError(f"the probabilities of {self!r} add up to more than 1; at most one fault meets a request")

    def drawn(self, u: float) -> Fault | None:
        """The fault for a uniform number in [0, 1), or None."""
        kinds: tuple[Fault, ...] = ("truncated", "malformed", "refused", "timeout")
        for kind in kinds:
            u -= getattr(self, kind)
            if u < 0:
                return kind
        return None


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer before it is written.

    Attributes:
        numbers: of the ranked candidates, best first, from 1.
        offered: how many candidates there are.
        u: a uniform number that decides where it goes wrong.
    """

    numbers: tuple[int, ...]
    reply: str
    offered: int
    u: float = 0.5

    @property
    def place(self) -> int:
        """A place in the ranking, decided by `u`."""
        return int(self.u * len(self.numbers))


def written(draft: Draft) -> str:
    """The answer as the schema asks for it."""
    return json.dumps({"ranking": list(draft.numbers), "reply": draft.reply})


def cut(text: str, u: float) -> str:
    """The beginning of a text, at least one character of it and never all of a longer one."""
    return text[: 1 + int(u * max(0, len(text) - 1))]


def _prose(draft: Draft) -> str:
    order = ", then ".join(f"[{number}]" for number in draft.numbers)
    return f"I have thought about it. I would take {order}. {draft.reply}"


def _lines(draft: Draft) -> str:
    return "Here you are:\n" + "\n".join(f"{place}. [{n}]" for place, n in enumerate(draft.numbers, start=1))


def _fenced(draft: Draft) -> str:
    return f"Sure, here is my ranking:\n```json\n{written(draft)}\n```\nAnything else?"


def _texts(draft: Draft) -> str:
    return json.dumps({"ranking": [f"[{number}]" for number in draft.numbers], "reply": draft.reply})


def _repeated(draft: Draft) -> str:
    """From some place on it says the same number again and again."""
    numbers = list(draft.numbers)
    numbers[draft.place :] = [numbers[draft.place]] * (len(numbers) - draft.place)
    return json.dumps({"ranking": [*numbers, numbers[0]], "reply": draft.reply})


def _out_of_range(draft: Draft) -> str:
    numbers = list(draft.numbers)
    numbers[draft.place] = draft.offered + 1 + draft.place
    return json.dumps({"ranking": [0, *numbers, -1], "reply": draft.reply})


def _missing(draft: Draft) -> str:
    return json.dumps({"ranking": list(draft.numbers[: draft.place])})


def _nothing(draft: Draft) -> str:
    return json.dumps({"ranking": [float("nan"), None] * len(draft.numbers), "reply": None})


MALFORMED: tuple[Callable[[Draft], str], ...] = (
    _prose,
    _lines,
    _fenced,
    _texts,
    _repeated,
    _out_of_range,
    _missing,
    _nothing,
)
"""Prose, numbered lines, JSON within chatter, numbers as texts, one number repeated, numbers that were not offered,
too few numbers, and none at all."""


def damaged(draft: Draft, u: float) -> str:
    """One of the `MALFORMED` forms of an answer, chosen by a uniform number in [0, 1)."""
    return MALFORMED[int(u * len(MALFORMED))](draft)
