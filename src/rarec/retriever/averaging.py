"""A moving average of weights: what is validated and kept, while the weights themselves go on learning."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


class WeightAverage(Generic[M]):
    """The exponential moving average of a model's weights.

    Steps on few noisy rewards scatter around where they lead; their average is nearer to it.

    Args:
        decay: weight of the past at each update, from 0 (the weights as they are) and below 1. In the first updates it
            is less, (1 + t) / (10 + t), so that the start is soon forgotten.
    Source: Polyak and Juditsky 1992; the form is the usual one of deep learning.
    """

    def __init__(self, model: M, decay: float) -> None:
        self._of, self.decay = model, decay
        self.model = copy.deepcopy(model).eval()
        """Has the averaged weights."""

    def update(self, step: int) -> None:
        """Take in the model's weights as they are now.

        Args:
            step: counts from 0.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            own = self.model.state_dict()
            for name, tensor in self._of.state_dict().items():
                own[name].mul_(decay).add_(tensor, alpha=1 - decay)

    def weights(self) -> dict[str, Tensor]:
        """A copy."""
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from a copy."""
        self.model.load_state_dict(dict(weights))
