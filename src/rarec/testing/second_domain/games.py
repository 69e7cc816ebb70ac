"""Board games that nobody has made: a catalogue from word lists and a random generator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from rarec.testing.second_domain import words
from rarec.types import Item, ItemId

FIRST_YEAR, LAST_YEAR = 1978, 2024
_DESIGNERS = 60
_TOP_PLAYS = 20_000
_ZIPF = 1.0
_QUALITY_IN_POPULARITY = 0.5
_OWN_STYLE = 0.7


@dataclass(frozen=True, slots=True)
class Designer:
    """Somebody with a style.

    Attributes:
        mechanics, themes: what most of the designer's games have.
        year: around which they came out.
    """

    name: str
    mechanics: tuple[str, ...]
    themes: tuple[str, ...]
    year: int


@dataclass(frozen=True, slots=True)
class Game:
    """An item with what only the simulation knows: how good it is, in standard deviations."""

    item: Item
    quality: float


class Shelf:
    """Games in a fixed order, with what choosing among them needs; all arrays have the shape (games,)."""

    def __init__(self, games: Sequence[Game]) -> None:
        self.games = tuple(games)
        self.years = np.array([game.item.year for game in games], dtype=np.float64)
        self.quality = np.array([game.quality for game in games])
        self.fame = np.log([game.item.popularity for game in games])
        pairs = {(name, v) for game in games for name, values in game.item.attributes.items() for v in values}
        self.makers = sorted(value for name, value in pairs if name == "designers")
        self._has = {
            (name, value): np.array([value in game.item.attributes[name] for game in games], dtype=np.float64)
            for name, value in sorted(pairs)
        }

    def count(self, attribute: str, values: Sequence[str]) -> NDArray[np.float64]:
        """How many of some values each game has."""
        found = [self._has[attribute, value] for value in values if (attribute, value) in self._has]
        return np.sum(found, axis=0) if found else np.zeros(len(self.games))


def invent_games(rng: Generator, *, count: int) -> tuple[Game, ...]:
    """Games with different titles, and Zipf popularity of which the better games have a little more."""
    designers = _designers(rng)
    fame = 1.0 / np.arange(1, len(designers) + 1) ** 0.6
    quality = rng.standard_normal(count)
    plays = _plays(rng, quality)
    titles: set[str] = set()
    games = []
    for number in range(count):
        designer = designers[int(rng.choice(len(designers), p=fame / fame.sum()))]
        item = _game(rng, designer, f"game-{number:03d}", titles, plays=int(plays[number]))
        games.append(Game(item, float(quality[number])))
    return tuple(games)


def _designers(rng: Generator) -> list[Designer]:
    names = [f"{first} {last}" for first in words.FIRST_NAMES for last in words.LAST_NAMES]
    chosen = rng.choice(len(names), size=_DESIGNERS, replace=False)
    years = np.clip(np.round(LAST_YEAR - rng.gamma(2.0, 7.0, _DESIGNERS)), FIRST_YEAR, LAST_YEAR)
    return [
        Designer(names[at], _some(rng, list(words.MECHANICS), 3), _some(rng, list(words.THEMES), 2), int(year))
        for at, year in zip(chosen, years, strict=True)
    ]


def _plays(rng: Generator, quality: NDArray[np.float64]) -> list[int]:
    standing = _QUALITY_IN_POPULARITY * quality + rng.standard_normal(len(quality))
    place = np.empty(len(quality), dtype=np.int64)
    place[np.argsort(-standing)] = np.arange(1, len(quality) + 1)
    return [round(_TOP_PLAYS / float(p) ** _ZIPF) for p in place]


def _game(rng: Generator, designer: Designer, name: str, titles: set[str], *, plays: int) -> Item:
    mechanics = _mixed(rng, designer.mechanics, list(words.MECHANICS), int(rng.integers(2, 4)))
    themes = _mixed(rng, designer.themes, list(words.THEMES), 1 + int(rng.random() < 0.25))
    year = int(np.clip(round(designer.year + rng.normal(0, 4)), FIRST_YEAR, LAST_YEAR))
    attributes = {
        "mechanics": mechanics,
        "themes": themes,
        "players": (words.TABLES[int(rng.integers(len(words.TABLES)))],),
        "designers": (designer.name,),
    }
    text = f"{words.THEMES[themes[0]].opening}. {words.MECHANICS[mechanics[0]]}."
    return Item(ItemId(name), _title(rng, themes[0], titles), text, year, attributes, float(plays))


def _title(rng: Generator, theme: str, taken: set[str]) -> str:
    """A title of the theme that no other game has."""
    while True:
        noun, other = _some(rng, words.THEMES[theme].nouns, 2)
        adjective, place = _one(rng, words.ADJECTIVES), _one(rng, words.PLACES)
        forms = (f"{adjective} {noun}", f"{noun} of {place}", f"The {adjective} {noun}", f"{noun} and {other}")
        title = forms[int(rng.integers(len(forms)))]
        # "The Lost Hive" beside "Lost Hive" would be two games of one name.
        if title.removeprefix("The ") not in taken:
            taken.add(title.removeprefix("The "))
            return title


def _mixed(rng: Generator, own: Sequence[str], every: Sequence[str], n: int) -> tuple[str, ...]:
    """n different values, most of them of the designer's own."""
    found: list[str] = []
    while len(found) < n:
        value = _one(rng, own if rng.random() < _OWN_STYLE else every)
        if value not in found:
            found.append(value)
    return tuple(found)


def _one(rng: Generator, values: Sequence[str]) -> str:
    return values[int(rng.integers(len(values)))]


def _some(rng: Generator, values: Sequence[str], n: int) -> tuple[str, ...]:
    return tuple(values[int(at)] for at in rng.choice(len(values), size=n, replace=False))
