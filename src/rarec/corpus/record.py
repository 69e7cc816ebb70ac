"""What a source says, and what is wrong with it: what readers give and everything behind them takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Namespace = str
"""Whose ids they are: ``imdb``, ``tmdb``, ``wikidata``, ``isbn`` ..."""


@dataclass(frozen=True, slots=True)
class Record:
    """What one source says of one thing.

    Attributes:
        source: its name in the recipe.
        key: of the thing in this source, unique there and the same in its next dump; not empty.
        titles: the main one first, then others that it is known by; each once, none empty. Empty where the record only
            adds to what another says of the same ids.
        year: of release or publication; None when unknown.
        ids: what the source says it is called elsewhere, namespace -> id. The source's own id is among them where the
            namespace is a public one.
        people: names that tell it from namesakes (directors, authors, cast), each once, the most important first.
        attributes: name -> values, as in `rarec.types.Item`.
        text: free description; may be empty.
        counts: how often it was voted for, rated or sold: name -> number >= 0, e.g. ``{"imdb_votes": 2_900_000}``.
        line: of the file where it stands, from 1; 0 where the format has no lines.
    """

    source: str
    key: str
    titles: tuple[str, ...] = ()
    year: int | None = None
    ids: Mapping[Namespace, str] = field(default_factory=dict[Namespace, str])
    people: tuple[str, ...] = ()
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    text: str = ""
    counts: Mapping[str, float] = field(default_factory=dict[str, float])
    line: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that is not used, or not as it stands.

    Attributes:
        file: as the recipe names it.
        line: from 1; 0 if it concerns the whole file.
        reason: what is wrong, with the value.
        remedy: what to do about it.
        fatal: whether nothing behind it can be read (a truncated archive, a missing column). Other rows go on, unless
            the recipe says ``on_bad = "stop"``.
        used: whether the row is used all the same, with what is wrong put right or left out ("2019-2021" as 2019, HTML
            taken out of a text). Such a note stops nothing.
    """

    file: str
    line: int
    reason: str
    remedy: str = ""
    fatal: bool = False
    used: bool = False

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.reason}" + (f"; {self.remedy}" if self.remedy else "")
