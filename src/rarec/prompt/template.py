"""Prompt templates: TOML files with two texts, a few words and a few limits."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Annotated, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from rarec.errors import SettingsError

PLACES = frozenset({"n", "count", "language", "preferences", "conversation", "candidates"})

Limit = Annotated[int, Field(ge=0, le=100_000)]


class Labels(BaseModel):
    """The few words that rendering adds; change them together with the texts, e.g. to translate a prompt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user: str = "User"
    assistant: str = "Recommender"
    liked: str = "Liked"
    disliked: str = "Disliked"
    mentioned: str = "Mentioned"
    nothing: str = "(nothing yet)"
    language: str = "the language of the user's last message"


class Limits(BaseModel):
    """How much of each piece is shown; `_chars` count characters, the others count entries. 0 shows none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title_chars: Annotated[int, Field(ge=8, le=1000)] = 120
    attributes: Limit = 4
    values: Limit = 4
    value_chars: Limit = 60
    text_chars: Limit = 200
    turn_chars: Annotated[int, Field(ge=40, le=100_000)] = 2000
    preferences: Limit = 12


class TextsTemplate(BaseModel):
    """A prompt as data: `system` and `user` are texts with ``$name`` places, filled in exactly once."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    places: ClassVar[frozenset[str]] = frozenset()
    needed: ClassVar[frozenset[str]] = frozenset()
    folder: ClassVar[str] = ""

    system: str
    user: str
    labels: Labels = Labels()
    limits: Limits = Limits()

    @field_validator("system", "user")
    @classmethod
    def _known_places(cls, text: str) -> str:
        template = Template(text)
        if not template.is_valid():
            raise ValueError("has a stray dollar sign; write $$ for one")
        if unknown := set(template.get_identifiers()) - cls.places:
            raise ValueError(f"has unknown places {sorted(unknown)}; there are {sorted(cls.places)}")
        return text.strip()

    @field_validator("user")
    @classmethod
    def _needed_places(cls, text: str) -> str:
        if missing := cls.needed - set(Template(text).get_identifiers()):
            raise ValueError(f"lacks the places {sorted(missing)}")
        return text

    @classmethod
    def load(cls, source: str | Path | Self) -> Self:
        """A packaged template by name, or any template file by its path; a template is returned as it is.

        Raises:
            SettingsError: there is no such template, or it is not a valid one.
        """
        if isinstance(source, TextsTemplate):
            return source
        return _packaged(cls, source) if isinstance(source, str) else _read(cls, source)


class PromptTemplate(TextsTemplate):
    """The prompt that shows candidates and asks for a ranking and a reply."""

    places: ClassVar[frozenset[str]] = PLACES
    needed: ClassVar[frozenset[str]] = frozenset({"candidates", "conversation"})
    folder: ClassVar[str] = "templates"


class TitlesTemplate(TextsTemplate):
    """The prompt that shows no candidates and asks for titles."""

    places: ClassVar[frozenset[str]] = frozenset({"n", "kind", "preferences", "conversation"})
    needed: ClassVar[frozenset[str]] = frozenset({"conversation"})
    folder: ClassVar[str] = "templates/titles"


AnyTemplate = TypeVar("AnyTemplate", bound=TextsTemplate)


def template_names(kind: type[TextsTemplate] = PromptTemplate) -> tuple[str, ...]:
    """Names of the templates of a kind that come with the package."""
    return tuple(sorted(f.name.removesuffix(".toml") for f in _folder(kind).iterdir() if f.name.endswith(".toml")))


def _folder(kind: type[TextsTemplate]) -> Traversable:
    return files("rarec.prompt").joinpath(*kind.folder.split("/"))


@cache
def _packaged(kind: type[AnyTemplate], name: str) -> AnyTemplate:
    if name not in template_names(kind):
        raise SettingsError(
            f"there is no prompt template {name!r}; choose one of {list(template_names(kind))} "
            "or give the Path of a file"
        )
    return _validated(kind, _folder(kind).joinpath(f"{name}.toml").read_text(encoding="utf-8"), name)


def _read(kind: type[AnyTemplate], path: Path) -> AnyTemplate:
    try:
        return _validated(kind, path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise SettingsError(f"cannot read the prompt template {str(path)!r}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"the prompt template {str(path)!r} is not UTF-8 text; save it as UTF-8") from error


def _validated(kind: type[AnyTemplate], text: str, name: str) -> AnyTemplate:
    try:
        return kind.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise SettingsError(f"the prompt template {name!r} is not valid: {error}") from error
