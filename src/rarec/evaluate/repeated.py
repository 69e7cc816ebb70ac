"""Predictions as a system, for those that build on lists that were made elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from rarec.conversations import Example
from rarec.errors import InputError
from rarec.evaluate.predictions import Predictions
from rarec.types import ItemId


class Repeated:
    """Gives the lists that are known."""

    def __init__(self, predictions: Predictions) -> None:
        """Raises InputError if only ranks are known."""
        if not predictions.lists:
            raise InputError(f"of {predictions.system!r} only ranks are known, and a language model needs lists")
        self.name = predictions.system
        self._lists = predictions.lists

    def rank(self, examples: Sequence[Example], *, n: int) -> list[tuple[ItemId, ...]]:
        """The known lists, at most n items of each. Raises InputError if an example has none."""
        if lost := [example.id for example in examples if example.id not in self._lists]:
            raise InputError(f"{self.name!r} has no list for {lost[0]!r}; give every example one")
        return [self._lists[example.id][:n] for example in examples]
