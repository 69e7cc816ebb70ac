"""What is associated to turns, kept: turns come again in every epoch and validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rarec.align.turns import Stock, TokenisedTurn
from rarec.retriever.associations import Associations, AssociationScores

KEPT_BYTES = 2**28


class AssociatedTurns:
    """Bonuses of turns: constants beside the scores of a retriever and of its copies, since no weights decide them.

    Args:
        most_bytes: that are kept; what comes when these are full is worked out each time.
    """

    def __init__(self, associations: Associations, stock: Stock, *, most_bytes: int = KEPT_BYTES) -> None:
        self._stock, self._any = stock, bool(associations)
        self._scores = AssociationScores(associations, stock.items, stock.table.features[: len(stock)].numpy())
        self._most = most_bytes // (4 * max(1, len(stock)))
        self._kept: dict[TokenisedTurn, Tensor] = {}

    def __call__(self, turns: Sequence[TokenisedTurn]) -> Tensor | None:
        """Shape (B, rows of the stock's table), 0 beyond the catalogue; None if nothing is associated to anything."""
        if not self._any:
            return None
        missing = [turn for turn in dict.fromkeys(turns) if turn not in self._kept]
        added = np.zeros((len(missing), len(self._stock)), dtype=np.float32)
        self._scores.add_to(added, [turn.turn.conversation for turn in missing])
        new = dict(zip(missing, torch.from_numpy(added), strict=True))
        result = torch.zeros(len(turns), len(self._stock.table))
        for line, turn in enumerate(turns):
            result[line, : len(self._stock)] = new[turn] if turn in new else self._kept[turn]
        for turn, own in list(new.items())[: self._most - len(self._kept)]:
            self._kept[turn] = own.clone()  # alone, or it would keep the others of its batch
        return result
