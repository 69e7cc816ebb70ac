"""The words of wishes: read once from the data files beside this module."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from rarec.catalogue.evidence import lexicon as titles_lexicon
from rarec.catalogue.folding import words_of

_ENDINGS = (("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x"))

MOST_WORDS = 6
"""The longest phrase or value that is looked for, in words."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Something countable.

    Attributes:
        said: singular word -> how many of the unit it is, e.g. ``{"hour": 60}`` of minutes.
        attributes: folded names of attributes that count in it.
        covers: a value that is a range passes if it covers what is asked, else if it lies inside.
        usual: a number that names no unit is most likely about this one.
    """

    name: str
    said: Mapping[str, float]
    attributes: frozenset[str]
    covers: bool
    usual: bool = False


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Everything folded as `key` folds.

    Attributes:
        cues: phrase -> what it may do, names of the lists of english.toml.
        aliases: name -> other names that a catalogue may have for it.
        wider: name -> names that belong to it.
        near: word -> a value of which it is a weaker way to speak.
        roles: words before a person -> attributes.
        ordinary: words that say little by themselves; `function` is the part of them that says nothing.
    """

    cues: Mapping[str, frozenset[str]]
    aliases: Mapping[str, tuple[str, ...]]
    wider: Mapping[str, tuple[str, ...]]
    near: Mapping[str, str]
    units: tuple[Unit, ...]
    roles: Mapping[str, tuple[str, ...]]
    ordinary: frozenset[str]
    function: frozenset[str]
    codes: frozenset[str]


@cache
def lexicon() -> Lexicon:
    """The packaged words."""
    english = _toml("english.toml")
    near = english.pop("near")
    cues: dict[str, frozenset[str]] = {}
    for name, listed in english.items():
        for phrase in listed.replace("\n", "|").split("|"):
            if folded := " ".join(words_of(phrase).folded):
                cues[folded] = cues.get(folded, frozenset()) | {name}
    languages = {key(name): code for name, code in _toml("languages.toml").items()}
    return Lexicon(
        cues=cues,
        aliases=_aliases(languages),
        wider={key(name): tuple(map(key, others)) for name, others in _toml("wider.toml").items()},
        near={key(word): key(value) for word, value in near.items()},
        units=tuple(
            Unit(
                name,
                {key(w): n for w, n in unit["said"].items()},
                frozenset(map(key, unit["attributes"])),
                "covers" in unit,
                "usual" in unit,
            )
            for name, unit in _toml("units.toml").items()
        ),
        roles={" ".join(words_of(cue).folded): tuple(names) for cue, names in _toml("roles.toml").items()},
        ordinary=frozenset(map(singular, titles_lexicon().ordinary)) - set(languages) - _nationalities(),
        function=frozenset(map(singular, titles_lexicon().function)),
        codes=frozenset(languages.values()),
    )


def key(text: str) -> str:
    """A name as it is compared: folded words, each in the singular. Text without words gives an empty key.

    >>> key("Sci-Fi Movies")
    'sci fi movy'
    """
    return " ".join(map(singular, words_of(text).folded))


def unit_of(attribute: str) -> tuple[Unit, float] | None:
    """What the numbers of an attribute count by its name, and how many of that one is; None if the name says nothing.

    >>> [(unit.name, each) for unit, each in filter(None, map(unit_of, ("price_usd", "length_h", "price_min")))]
    [('euros', 1), ('minutes', 60), ('euros', 1)]
    """
    words = key(attribute).split()
    units = lexicon().units
    for unit in units if len(words) > 1 else ():
        lowest = words[-1] == "min" and not {words[-2], " ".join(words[:-1])} & (unit.attributes | {"time"})
        if (each := unit.said.get(words[-1])) and not lowest:
            return unit, each
    for names in ({" ".join(words)}, set(words[:1] + words[-1:])):
        for unit in units:
            if names & unit.attributes:
                return unit, 1.0
    return None


def spoken_names(attribute: str) -> tuple[str, ...]:
    """How people call an attribute of numbers, folded: by its name, with or without the unit behind it."""
    words = key(attribute).split()
    known = unit_of(attribute)
    names = [" ".join(words), *([" ".join(words[:-1])] if known and words[-1] in known[0].said else [])]
    return tuple(name for name in names if name)


def singular(word: str) -> str:
    """An English word without the ending of its plural; both sides pass through it, so it need be no word."""
    if len(word) > 4 and word.endswith(("ies", "ie")):
        return word.removesuffix("s")[:-2] + "y"
    if len(word) < 4 or not word.endswith("s") or word.endswith(("ss", "us", "is")) or word[0].isdigit():
        return word
    for ending, kept in _ENDINGS:
        if word.endswith(ending):
            return word[: -len(ending)] + kept
    return word[:-1]


def _aliases(languages: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}

    def add(name: str, others: Iterable[str]) -> None:
        found.setdefault(name, []).extend(other for other in others if other != name)

    for group in _toml("synonyms.toml")["groups"]:
        folded = list(map(key, group))
        for name in folded:
            add(name, folded)
    for place, words in (*_toml("places.toml").items(), *_toml("synonyms.toml")["within"].items()):
        for word in words:
            add(key(word), [key(place)])
    for language, code in languages.items():
        add(language, [code])
    return {name: tuple(dict.fromkeys(others)) for name, others in found.items()}


def _nationalities() -> set[str]:
    return {key(word) for words in _toml("places.toml").values() for word in words}


def _toml(name: str) -> dict[str, Any]:
    file = resources.files("rarec.constraints").joinpath("words", name)
    return tomllib.loads(file.read_text(encoding="utf-8"))
