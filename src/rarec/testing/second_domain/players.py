"""Simulated players: a latent taste, what it makes of each game, and what they have played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from rarec.conversations import Interactions
from rarec.testing.second_domain import words
from rarec.testing.second_domain.games import FIRST_YEAR, LAST_YEAR, Shelf
from rarec.types import Sentiment

Floats = NDArray[np.float64]

LIKED_SHARE, DISLIKED_SHARE = 0.25, 0.5
"""A player likes the best quarter of the games, by the latent taste, and dislikes the worst half."""

# Logits of choice: what a loved mechanic, theme or designer adds, the right table size, a year close by, quality, fame.
_MECHANIC, _THEME, _FAN, _TABLE, _ERA, _QUALITY, _FAME = 2.2, 2.6, 2.0, 0.8, 1.5, 0.6, 0.5
_ERA_WIDTH = 10.0
_SHORTEST, _LONGEST = 6, 24
_HISTORY_CARE = 0.5


@dataclass(frozen=True, slots=True)
class Player:
    """Somebody with a latent taste.

    Attributes:
        likes: mechanics that make a game better; `avoids` is the one that makes it worse.
        themes, designers: loved ones.
        table: the value of ``players`` that fits the group at home.
        year: of the games that the player grew up with.
    """

    id: str
    likes: tuple[str, ...]
    avoids: str
    themes: tuple[str, ...]
    designers: tuple[str, ...]
    table: str
    year: int


@dataclass(frozen=True, slots=True, eq=False)
class Choices:
    """How one player chooses: the next game is game i with probability softmax(`logits`)_i.

    Attributes:
        logits: what the player thinks of each game, and how well known it is, shape (games,).
        feelings: about each game, once played.
    """

    logits: Floats
    feelings: tuple[Sentiment, ...]

    @staticmethod
    def of(player: Player, shelf: Shelf) -> Choices:
        """How a player chooses from a shelf."""
        useful = _utilities(player, shelf)
        low, high = np.quantile(useful, [DISLIKED_SHARE, 1 - LIKED_SHARE])
        feelings = tuple(_feeling(float(u), float(low), float(high)) for u in useful)
        return Choices(useful + _FAME * (shelf.fame - shelf.fame.mean()), feelings)

    def draw(self, rng: Generator, n: int, *, among: NDArray[np.bool_], care: float = 1.0) -> list[int]:
        """n different rows in the order of choice, by Gumbel top-n; fewer if `among` allows no more.

        Args:
            care: times the logits; below 1 the choice is made more at random.
        """
        keys = np.where(among, care * self.logits + rng.gumbel(size=len(self.logits)), -np.inf)
        return [int(row) for row in np.argsort(-keys, kind="stable")[:n] if among[row]]


def invent_player(rng: Generator, name: str, shelf: Shelf) -> Player:
    """A player with a taste of its own."""
    mechanics = _some(rng, list(words.MECHANICS), 4)
    return Player(
        id=name,
        likes=mechanics[:3],
        avoids=mechanics[3],
        themes=_some(rng, list(words.THEMES), 2),
        designers=_some(rng, shelf.makers, 2),
        table=words.TABLES[int(rng.integers(len(words.TABLES)))],
        year=int(rng.integers(FIRST_YEAR + 10, LAST_YEAR)),
    )


def invent_history(rng: Generator, player: Player, choices: Choices, shelf: Shelf) -> Interactions:
    """What the player has played: 6 to 24 different games in any order, with the feelings that stayed.

    People try more than they would choose with care, so some of it is disliked.
    """
    count = int(rng.integers(_SHORTEST, _LONGEST + 1))
    rows = choices.draw(rng, count, among=np.ones(len(shelf.games), dtype=np.bool_), care=_HISTORY_CARE)
    rng.shuffle(rows)
    items = tuple(shelf.games[row].item.id for row in rows)
    return Interactions(player.id, items, tuple(choices.feelings[row] for row in rows))


def _utilities(player: Player, shelf: Shelf) -> Floats:
    return np.asarray(
        _MECHANIC * (shelf.count("mechanics", player.likes) - shelf.count("mechanics", (player.avoids,)))
        + _THEME * shelf.count("themes", player.themes)
        + _FAN * shelf.count("designers", player.designers)
        + _TABLE * shelf.count("players", (player.table,))
        + _ERA * np.exp(-np.abs(shelf.years - player.year) / _ERA_WIDTH)
        + _QUALITY * shelf.quality
    )


def _feeling(utility: float, low: float, high: float) -> Sentiment:
    return "liked" if utility > high else "disliked" if utility < low else "mentioned"


def _some(rng: Generator, values: Sequence[str], n: int) -> tuple[str, ...]:
    return tuple(values[int(at)] for at in rng.choice(len(values), size=n, replace=False))
