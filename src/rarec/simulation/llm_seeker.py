"""A seeker that a language model plays."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from string import Template

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from rarec.errors import LLMRefused, SettingsError
from rarec.llm.protocol import LLM
from rarec.prompt import label, middle_cut, one_line
from rarec.simulation.profile import SeekerProfile
from rarec.types import CompletionRequest, Message, Recommendation, Turn, Usage

PLACES = frozenset({"wishes", "likes", "conversation", "shown"})

_NOTHING = "(nothing)"
_ASPECTS = 20
_LIKES = 8
_TURNS = 12
_TURN_CHARS = 600


class SeekerTemplate(BaseModel):
    """The prompt as data: texts with ``$name`` places, filled in once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str
    user: str

    @field_validator("system", "user")
    @classmethod
    def _known_places(cls, text: str) -> str:
        template = Template(text)
        if not template.is_valid():
            raise ValueError("has a stray dollar sign; write $$ for one")
        if unknown := set(template.get_identifiers()) - PLACES:
            raise ValueError(f"has unknown places {sorted(unknown)}; there are {sorted(PLACES)}")
        return text.strip()

    @field_validator("user")
    @classmethod
    def _needed_places(cls, text: str) -> str:
        if missing := {"wishes", "conversation"} - set(Template(text).get_identifiers()):
            raise ValueError(f"lacks the places {sorted(missing)}")
        return text

    @staticmethod
    def load(path: Path | None = None) -> SeekerTemplate:
        """The packaged template, or that of a file.

        Raises:
            SettingsError: the file cannot be read, or is not a valid template.
        """
        return _packaged() if path is None else _validated(_read(path), str(path))


@dataclass(frozen=True, slots=True)
class LLMSeekerOptions:
    """How the model is asked; `deadline_s` is for one message, repeats included."""

    max_tokens: int = 120
    temperature: float = 0.0
    deadline_s: float = 30.0


class LLMSeeker:
    """Asks a language model for every message. It knows the profile, so it can leak no title except by guessing.

    What the model writes is untrusted; the dialogue cuts it and blanks the title's words.
    """

    def __init__(
        self, llm: LLM, *, template: SeekerTemplate | None = None, options: LLMSeekerOptions | None = None
    ) -> None:
        self._llm, self._template = llm, template or SeekerTemplate.load()
        self._options = options or LLMSeekerOptions()
        self._usage = Usage()

    @property
    def usage(self) -> Usage:
        return self._usage

    async def first(self, profile: SeekerProfile) -> str:
        """The first message. Raises: LLMError, also for an answer without text."""
        return await self._ask(profile, (), None)

    async def answer(self, profile: SeekerProfile, transcript: Sequence[Turn], recommendation: Recommendation) -> str:
        """The next message. Raises: LLMError, also for an answer without text."""
        return await self._ask(profile, transcript, recommendation)

    async def _ask(self, profile: SeekerProfile, turns: Sequence[Turn], answer: Recommendation | None) -> str:
        messages = render_seeker(profile, turns, answer, template=self._template)
        request = CompletionRequest(
            messages,
            max_tokens=self._options.max_tokens,
            temperature=self._options.temperature,
            deadline_s=self._options.deadline_s,
        )
        completion = await self._llm.complete(request)
        self._usage += completion.usage
        if not completion.text.strip():
            raise LLMRefused(f"{self._llm.name!r} wrote nothing as the seeker; use another model or template")
        return completion.text.strip().removeprefix('"').removesuffix('"')


def llm_seekers(
    llm: LLM, *, template: SeekerTemplate | None = None, options: LLMSeekerOptions | None = None
) -> LLMSeekers:
    """`Seekers` that share one model; their dialogues are counted apart."""
    return LLMSeekers(llm, template or SeekerTemplate.load(), options or LLMSeekerOptions())


@dataclass(frozen=True, slots=True)
class LLMSeekers:
    """Makes a seeker for each dialogue; see `llm_seekers`."""

    llm: LLM
    template: SeekerTemplate
    options: LLMSeekerOptions

    def __call__(self, generator: np.random.Generator) -> LLMSeeker:  # noqa: ARG002 - part of the protocol
        return LLMSeeker(self.llm, template=self.template, options=self.options)

    async def aclose(self) -> None:
        """Close the connections that the model opened in this event loop."""
        aclose = getattr(self.llm, "aclose", None)
        if aclose is not None:
            await aclose()


def render_seeker(
    profile: SeekerProfile,
    turns: Sequence[Turn],
    answer: Recommendation | None,
    *,
    template: SeekerTemplate,
) -> tuple[Message, ...]:
    """The messages that ask for the seeker's next one; all text that others wrote is on one line, without fences."""
    facts = (f"{one_line(a.attribute, limit=40)}: {a.value}" for a in profile.aspects[:_ASPECTS])
    spoken = (
        f"{'You' if t.role == 'user' else 'System'}: {middle_cut(t.text, limit=_TURN_CHARS)}" for t in turns[-_TURNS:]
    )
    values = {
        "wishes": "\n".join(facts) or _NOTHING,
        "likes": "\n".join(profile.likes[:_LIKES]) or _NOTHING,
        "conversation": "\n".join(spoken) or _NOTHING,
        "shown": "\n".join(label(ranked.item) for ranked in answer.items) if answer and answer.items else _NOTHING,
    }
    return (
        Message("system", Template(template.system).substitute(values)),
        Message("user", Template(template.user).substitute(values)),
    )


@cache
def _packaged() -> SeekerTemplate:
    text = resources.files("rarec.simulation").joinpath("template.toml").read_text(encoding="utf-8")
    return _validated(text, "template.toml")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"cannot read the seeker template {str(path)!r}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"the seeker template {str(path)!r} is not UTF-8 text; save it as UTF-8") from error


def _validated(text: str, name: str) -> SeekerTemplate:
    try:
        return SeekerTemplate.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise SettingsError(f"the seeker template {name!r} is not valid: {error}") from error
