"""A judge for the fake server that knows nothing but the prompt: what a remote model is given and no more."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_CANDIDATE = re.compile(r"^\[(\d+)\] (.*)$", re.MULTILINE)
_YEAR = re.compile(r" \((\d{4})\)")
_WANTED = re.compile(r"Rank the (\d+) best")
_WORD = re.compile(r"\w{4,}")


@dataclass(frozen=True, slots=True)
class Shown:
    """A candidate as the default prompt shows it: its number, its line, and the year if it has one."""

    number: int
    line: str
    year: int | None


@dataclass(frozen=True, slots=True)
class ReadPrompt:
    """A prompt of the default template, read from its text.

    Attributes:
        wanted: how many candidates are to be ranked.
        said: the text of the conversation.
    """

    candidates: tuple[Shown, ...]
    wanted: int
    said: str

    @staticmethod
    def of(body: Mapping[str, Any]) -> ReadPrompt:
        """Read the body of a chat request.

        Raises:
            ValueError: it is no prompt of the default template.
        """
        text = str(body["messages"][-1]["content"])
        wanted = _WANTED.search(text)
        shown = tuple(_shown(int(number), line) for number, line in _CANDIDATE.findall(_between(text, "candidates")))
        if wanted is None or not shown:
            raise ValueError(f"the prompt shows no candidates in the form of the default template: {text[:200]!r}")
        return ReadPrompt(shown, int(wanted.group(1)), _between(text, "conversation"))


class PromptJudge:
    """Prefers years near one year, and what shares words with the conversation; ties in the order shown.

    Give it to `FakeOpenAIServer` as an answer: it is called with the body of each request.

    Args:
        year: liked best; each decade away costs `decade` points. A word of four letters that was said counts one.
    """

    def __init__(self, *, year: int, decade: float = 1.0) -> None:
        self._year, self._decade = year, decade

    def __call__(self, body: Mapping[str, Any]) -> str:
        """The answer in the form that the prompt asks for."""
        prompt = ReadPrompt.of(body)
        said = set(_WORD.findall(prompt.said.casefold()))
        best = sorted(prompt.candidates, key=lambda shown: -self._points(shown, said))
        numbers = [shown.number for shown in best[: prompt.wanted]]
        return json.dumps({"ranking": numbers, "reply": f"Try [{numbers[0]}]."})

    def _points(self, shown: Shown, said: set[str]) -> float:
        away = 5.0 if shown.year is None else abs(shown.year - self._year) / 10
        return len(said.intersection(_WORD.findall(shown.line.casefold()))) - self._decade * away


def _shown(number: int, line: str) -> Shown:
    years = _YEAR.findall(line.partition(" | ")[0])
    return Shown(number, line, int(years[-1]) if years else None)


def _between(text: str, fence: str) -> str:
    return text.partition(f"<{fence}>")[2].partition(f"</{fence}>")[0]
