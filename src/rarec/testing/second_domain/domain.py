"""A whole small domain that is not films: board games, players and their conversations, from a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rarec.conversations import DataSetInfo, Interactions, write_jsonl
from rarec.errors import InputError
from rarec.testing.second_domain.dialogues import Talk, invent_conversation
from rarec.testing.second_domain.games import Shelf, invent_games
from rarec.testing.second_domain.players import Choices, Floats, Player, invent_history, invent_player
from rarec.types import Conversation, Item

KINDS = ("mechanics", "themes")
"""The attributes that say what sort of game it is."""
PEOPLE = ("designers",)
"""The attributes that say who made it."""

NAME = "board-games"
_INFO = DataSetInfo(
    title="Invented board games",
    licence="that of rarec",
    source="rarec.testing.second_domain",
    note="Simulated players with latent tastes; nothing in it is real.",
)
_GAMES = 400
_PLAYERS = (("train", 500), ("valid", 150), ("test", 150))
_CONVERSATIONS = 2


@dataclass(frozen=True, slots=True, eq=False)
class SecondDomain:
    """Items and conversations, as any data set has them, and what only a simulation knows.

    Attributes:
        train, valid, test: conversations, split by player; ids are ``<player>-<number>``.
        histories: split -> what its players have played, one a player.
        players: id -> player with the latent taste.
        shelf: the items with their hidden quality, in the same order.
    """

    items: tuple[Item, ...]
    train: tuple[Conversation, ...]
    valid: tuple[Conversation, ...]
    test: tuple[Conversation, ...]
    histories: Mapping[str, tuple[Interactions, ...]]
    players: Mapping[str, Player]
    shelf: Shelf

    @property
    def splits(self) -> Mapping[str, tuple[Conversation, ...]]:
        return {"train": self.train, "valid": self.valid, "test": self.test}

    def player_of(self, conversation: str) -> Player:
        """Who speaks in the conversation of this id.

        Raises:
            InputError: there is no such conversation.
        """
        player = self.players.get(conversation.rpartition("-")[0])
        if player is None:
            raise InputError(f"no conversation {conversation!r} in this domain; ids look like 'train-0001-1'")
        return player

    def oracle(self, conversation: str) -> Floats:
        """The logits by which the player of a conversation chooses, shape (items,): no ranking can know more.

        Raises:
            InputError: there is no such conversation.
        """
        return Choices.of(self.player_of(conversation), self.shelf).logits

    def write(self, folder: str | Path) -> None:
        """Write it as a data set in our JSONL format (`rarec.conversations.JsonlSet` reads it).

        Raises:
            StoreError: the folder cannot be written.
        """
        write_jsonl(folder, items=self.items, splits=self.splits, name=NAME, info=_INFO)


def second_domain(seed: int = 0) -> SecondDomain:
    """400 games and 800 players (500 train, 150 valid, 150 test) with two conversations each.

    The same seed gives the same bytes. The games hang on the seed only, a player on the seed, the games and the id.
    """
    shelf = Shelf(invent_games(np.random.default_rng([seed, 0]), count=_GAMES))
    players: dict[str, Player] = {}
    histories: dict[str, tuple[Interactions, ...]] = {}
    spoken: dict[str, tuple[Conversation, ...]] = {}
    for part, (split, count) in enumerate(_PLAYERS, start=1):
        lives = [_life(np.random.default_rng([seed, part, at]), f"{split}-{at:04d}", shelf) for at in range(count)]
        players |= {life.player.id: life.player for life in lives}
        histories[split] = tuple(life.history for life in lives)
        spoken[split] = tuple(conversation for life in lives for conversation in life.conversations)
    items = tuple(game.item for game in shelf.games)
    return SecondDomain(items, spoken["train"], spoken["valid"], spoken["test"], histories, players, shelf)


class _Life(NamedTuple):
    player: Player
    history: Interactions
    conversations: tuple[Conversation, ...]


def _life(rng: np.random.Generator, name: str, shelf: Shelf) -> _Life:
    player = invent_player(rng, name, shelf)
    choices = Choices.of(player, shelf)
    history = invent_history(rng, player, choices, shelf)
    talks = [
        invent_conversation(Talk(rng, player, choices, shelf), f"{name}-{number}", history)
        for number in range(1, _CONVERSATIONS + 1)
    ]
    return _Life(player, history, tuple(talks))
