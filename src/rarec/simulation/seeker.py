"""Who asks: what a simulated seeker is, and the scripted one."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import Template
from typing import Protocol

import numpy as np

from rarec.simulation.profile import DECADE, Aspect, SeekerProfile
from rarec.types import Item, Recommendation, Turn, Usage

_MOST_A_TURN = 2
_QUESTION = re.compile(r"[^.!?]*\?")
_NOT_IN_QUESTION = 0.5
"""An aspect is worth telling when at least this share of the shown items lacks it."""


class Seeker(Protocol):
    """One simulated seeker in one dialogue; it may remember what it said.

    `usage` is what its language model consumed so far; zeros if it has none.
    """

    @property
    def usage(self) -> Usage: ...

    async def first(self, profile: SeekerProfile) -> str:
        """The first message. Raises: LLMError ends the dialogue as failed."""
        ...

    async def answer(self, profile: SeekerProfile, transcript: Sequence[Turn], recommendation: Recommendation) -> str:
        """The answer to a recommendation that lacks the target: reject it, and say more or answer a question.

        Args:
            transcript: every turn so far; the last one is the reply of `recommendation`.
        Raises:
            LLMError: ends the dialogue as failed.
        """
        ...


Seekers = Callable[[np.random.Generator], Seeker]
"""Makes the seeker of a dialogue; the generator is the dialogue's own."""


@dataclass(frozen=True, slots=True)
class Wording:
    """What a scripted seeker says.

    Attributes:
        phrases: attribute -> what follows "something".
        asked: attribute -> words by which a question asks for it.
        sentences: kind -> templates to choose from.
        lower_case: attributes whose values are written small, whatever the catalogue does.
    """

    phrases: Mapping[str, str]
    asked: Mapping[str, tuple[str, ...]]
    sentences: Mapping[str, tuple[str, ...]]
    lower_case: frozenset[str] = frozenset()

    def phrase(self, aspect: Aspect) -> str:
        """What follows "something": ``"from the 1980s"``."""
        name = _key(aspect.attribute)
        pattern = self.phrases.get(name, self.phrases["other"])
        spoken = aspect.attribute.replace("_", " ")
        value = aspect.value.lower() if name in self.lower_case else aspect.value
        return Template(pattern).substitute(value=value, name=spoken)

    def asks(self, reply: str) -> Callable[[Aspect], bool]:
        """Whether a question in `reply` asks for an aspect's attribute."""
        words = set(re.findall(r"\w+", " ".join(_QUESTION.findall(reply)).casefold()))

        def wanted(aspect: Aspect) -> bool:
            name = _key(aspect.attribute)
            return not words.isdisjoint((name, f"{name}s", aspect.attribute.casefold(), *self.asked.get(name, ())))

        return wanted


@cache
def wording() -> Wording:
    """The packaged wording."""
    text = resources.files("rarec.simulation").joinpath("wording.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    return Wording(
        table["phrases"],
        {name: tuple(words) for name, words in table["asked"].items()},
        {name: tuple(sentences) for name, sentences in table["sentences"].items()},
        frozenset(table["lower_case"]),
    )


class ScriptedSeeker:
    """Speaks from templates, in English: reveals one or two aspects a turn, common ones first.

    It rejects with a reason (too old, too new, a wish that no shown item meets), answers a question about an attribute
    if it knows one, and repeats what was ignored when it has nothing new to say. It takes `generator` for itself.
    """

    usage = Usage()

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator, self._words = generator, wording()
        self._told: list[Aspect] = []
        self._complained = ""

    async def first(self, profile: SeekerProfile) -> str:
        """What it liked, and one or two of the most common aspects."""
        likes = self._say("likes", likes=_listed(profile.likes[-3:])) if profile.likes else ""
        wishes = self._take(profile.aspects)
        request = self._say("opening", wishes=self._wishes(wishes)) if wishes else self._say("vague")
        return _sentences(likes, request)

    async def answer(
        self,
        profile: SeekerProfile,
        transcript: Sequence[Turn],  # noqa: ARG002 - it remembers what it said
        recommendation: Recommendation,
    ) -> str:
        """A reason for the rejection, then something new, the answer to a question, or the old wish again."""
        shown = [ranked.item for ranked in recommendation.items]
        untold = [a for a in profile.aspects if a not in self._told]
        wanted = self._words.asks(recommendation.reply)
        asked = [a for a in untold if wanted(a)]
        if asked:
            return _sentences(self._say("refusal"), self._say("reply", wishes=self._wishes(self._take(asked))))
        useful = [a for a in untold if _lacking(a, shown) >= _NOT_IN_QUESTION] or untold
        reason = self._reason(profile, shown)  # before new aspects count as told
        wishes = self._take(useful)
        if wishes:
            return _sentences(reason, self._say("more", wishes=self._wishes(wishes)))
        missed = sorted(self._told, key=lambda a: -_lacking(a, shown))[:_MOST_A_TURN]
        request = self._say("again", wishes=self._wishes(missed)) if missed else self._say("others")
        return _sentences(self._say("refusal"), request)

    def _reason(self, profile: SeekerProfile, shown: Sequence[Item]) -> str:
        """Why the shown items are wrong, among what was told before; not twice in a row for the same reason."""
        ignored = [a for a in self._told if shown and _lacking(a, shown) == 1 and a.attribute != DECADE]
        kinds = [self._wrong_time(profile, shown), "ignored" if ignored else "", "refusal"]
        self._complained = next((kind for kind in kinds if kind and kind != self._complained), "refusal")
        if self._complained == "ignored":
            return self._say("ignored", wish=self._words.phrase(ignored[int(self._generator.integers(len(ignored)))]))
        return self._say(self._complained)

    def _wrong_time(self, profile: SeekerProfile, shown: Sequence[Item]) -> str:
        """The complaint about the first item's year, if a decade was asked for."""
        year = shown[0].year if shown else None
        if year is None or profile.since is None or all(a.attribute != DECADE for a in self._told):
            return ""
        return "too_old" if year < profile.since else "too_new" if year >= profile.since + 10 else ""

    def _take(self, aspects: Sequence[Aspect]) -> list[Aspect]:
        """One or two aspects, of different attributes if there are: the first, and perhaps one drawn of the rest."""
        if not aspects:
            return []
        taken = [aspects[0]]
        rest = [a for a in aspects[1:] if a.attribute != taken[0].attribute]
        if rest and self._generator.random() < 0.5:
            taken.append(rest[int(self._generator.integers(len(rest)))])
        self._told += taken
        return taken

    def _wishes(self, aspects: Iterable[Aspect]) -> str:
        return " and ".join(map(self._words.phrase, aspects))

    def _say(self, kind: str, **values: str) -> str:
        sentences = self._words.sentences[kind]
        return Template(sentences[int(self._generator.integers(len(sentences)))]).substitute(values)


def scripted_seekers(generator: np.random.Generator) -> ScriptedSeeker:
    """`Seekers` of scripted seekers."""
    return ScriptedSeeker(generator)


def _lacking(aspect: Aspect, shown: Sequence[Item]) -> float:
    """Share of the shown items of which the aspect is not true; 1 if none is shown."""
    return 1 - sum(map(aspect.holds, shown)) / len(shown) if shown else 1.0


def _key(attribute: str) -> str:
    plain = attribute.casefold()
    return f"{plain.removesuffix('ies')}y" if plain.endswith("ies") else plain.removesuffix("s")


def _listed(titles: Sequence[str]) -> str:
    return " and ".join([", ".join(titles[:-1]), titles[-1]]) if len(titles) > 1 else titles[0]


def _sentences(*parts: str) -> str:
    return " ".join(part for part in parts if part)
