"""Short conversations of a simulated player with somebody who knows the games; every title has its span."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from rarec.conversations import Interactions
from rarec.testing.second_domain import words
from rarec.testing.second_domain.games import Shelf
from rarec.testing.second_domain.players import Choices, Player
from rarec.types import Conversation, Mention, Role, Sentiment, Turn

_PLACE = re.compile(r"\{(\w)\}")
_WISH_SHARE = 0.75
_QUESTION_SHARE = 0.4
_TWO_SHARE = 0.2
_LONGEST = 3

Said = tuple[int, Sentiment]
"""The row of a game, and the feeling with which it is named."""


@dataclass(slots=True)
class Talk:
    """One conversation while it is being invented."""

    rng: Generator
    player: Player
    choices: Choices
    shelf: Shelf
    turns: list[Turn] = field(default_factory=list[Turn])
    named: set[int] = field(default_factory=set[int])

    def pick(self, templates: Sequence[str]) -> str:
        return templates[int(self.rng.integers(len(templates)))]

    def say(self, role: Role, sentences: Sequence[tuple[str, Sequence[Said]]]) -> None:
        """Add a turn; in a sentence ``{a}`` is the title of the first game that it names, ``{b}`` of the second."""
        text, mentions = "", list[Mention]()
        for template, said in sentences:
            text += " " if text else ""
            at = 0
            for place, (row, feeling) in zip(_PLACE.finditer(template), said, strict=True):
                item = self.shelf.games[row].item
                text += template[at : place.start()]
                mentions.append(Mention(item.id, feeling, (len(text), len(text) + len(item.title))))
                text, at = text + item.title, place.end()
                self.named.add(row)
            text += template[at:]
        self.turns.append(Turn(role, text.strip(), tuple(mentions)))


def invent_conversation(talk: Talk, name: str, history: Interactions) -> Conversation:
    """Fill an empty talk: the player opens with a wish and some games; then one to three games are recommended.

    What is recommended is drawn from the player's own choices, without what was named before. The player's feelings
    stand in the player's turns only.
    """
    rng, felt = talk.rng, list(zip(history.items, history.sentiments, strict=True))
    rows = {game.item.id: row for row, game in enumerate(talk.shelf.games)}
    liked, disliked = ([rows[item] for item, how in felt if how == feeling] for feeling in ("liked", "disliked"))
    rng.shuffle(liked)
    rng.shuffle(disliked)
    talk.say("user", [(talk.pick(words.GREETINGS), ()), *_favourites(talk, liked), (_wish(talk), ())])
    if rng.random() < _QUESTION_SHARE:
        talk.say("assistant", [(talk.pick(words.QUESTIONS), ())])
        talk.say("user", _more(talk, liked, disliked))
    rounds = int(rng.integers(1, _LONGEST + 1))
    for number in range(rounds):
        advised = _advise(talk)
        last = number == rounds - 1
        talk.say("user", [(talk.pick(words.THANKS), ())] if last else _answer(talk, advised))
    return Conversation(tuple(talk.turns), name)


def _favourites(talk: Talk, liked: list[int]) -> list[tuple[str, Sequence[Said]]]:
    """Up to two liked games; they are taken out of the list."""
    count = min(len(liked), int(talk.rng.integers(0, 3)))
    said: list[Said] = [(liked.pop(), "liked") for _ in range(count)]
    if not said:
        return []
    return [(talk.pick(words.LIKES_TWO if count == 2 else words.LIKES), said)]


def _wish(talk: Talk) -> str:
    """What the player looks for in a general way, true to the taste, or nothing in particular."""
    if talk.rng.random() >= _WISH_SHARE:
        return talk.pick(words.OPEN_WISHES)
    return talk.pick(words.WISHES).format(wish=talk.pick((*talk.player.likes, *talk.player.themes)))


def _more(talk: Talk, liked: list[int], disliked: list[int]) -> list[tuple[str, Sequence[Said]]]:
    told: list[tuple[str, Sequence[Said]]] = []
    if disliked and talk.rng.random() < 0.5:
        told.append((talk.pick(words.DISLIKES), [(disliked.pop(), "disliked")]))
    if liked and (not told or talk.rng.random() < 0.5):
        told.append((talk.pick(words.LIKES), [(liked.pop(), "liked")]))
    return told or [(_wish(talk), ())]


def _advise(talk: Talk) -> list[int]:
    free = np.ones(len(talk.shelf.games), dtype=np.bool_)
    free[list(talk.named)] = False
    rows = talk.choices.draw(talk.rng, 2 if talk.rng.random() < _TWO_SHARE else 1, among=free)
    templates = words.ADVICE_TWO if len(rows) == 2 else words.ADVICE
    talk.say("assistant", [(talk.pick(templates), [(row, "mentioned") for row in rows])])
    return rows


def _answer(talk: Talk, advised: Sequence[int]) -> list[tuple[str, Sequence[Said]]]:
    row = advised[0]
    feeling = talk.choices.feelings[row]
    if feeling == "mentioned":
        return [(talk.pick(words.SHRUGS), ())]
    return [(talk.pick(words.PRAISE if feeling == "liked" else words.DOUBTS), [(row, feeling)])]
