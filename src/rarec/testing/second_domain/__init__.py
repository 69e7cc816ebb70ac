"""A second domain for tests: invented board games with simulated players."""

from rarec.testing.second_domain.domain import KINDS, PEOPLE, SecondDomain, second_domain
from rarec.testing.second_domain.folder import write_folder
from rarec.testing.second_domain.games import Game, Shelf
from rarec.testing.second_domain.players import Choices, Player

__all__ = ["KINDS", "PEOPLE", "Choices", "Game", "Player", "SecondDomain", "Shelf", "second_domain", "write_folder"]
