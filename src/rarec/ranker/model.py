"""The local ranker: a small listwise scorer over dense features and text vectors.

It is a residual on the retriever's score, so before training it ranks as the retriever does.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from rarec.ranker.features import CONTEXTS, NAMES


class RankerConfig(BaseModel):
    """Shape of a ranker; part of its bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text_dimension: int = Field(gt=0)
    width: int = Field(default=64, gt=0)
    hidden: int = Field(default=64, gt=0)
    dropout: float = Field(default=0.3, ge=0, lt=1)


class Ranker(nn.Module):
    """Scores candidates of one or more tasks.

    Args:
        config: the shape.
        seed: of the initial weights.
    """

    def __init__(self, config: RankerConfig, *, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        generator = torch.Generator().manual_seed(seed)
        dense = len(NAMES)
        self.context = nn.Linear(CONTEXTS * config.text_dimension, config.width)
        self.item = nn.Linear(config.text_dimension, config.width)
        self.mix = nn.Sequential(
            nn.Linear(dense + 2 * config.width, config.hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, config.hidden),
            nn.GELU(),
        )
        self.out = nn.Linear(config.hidden, 1)
        self.line = nn.Linear(dense, 1, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.zeros_(self.out.weight)
        with torch.no_grad():
            self.line.weight.zero_()
            self.line.weight[0, NAMES.index("score")] = 1.0

    def forward(self, dense: Tensor, items: Tensor, context: Tensor) -> Tensor:
        """Scores, higher is better.

        Args:
            dense: shape (tasks, candidates, len(NAMES)).
            items: shape (tasks, candidates, d).
            context: shape (tasks, CONTEXTS, d).
        Returns:
            shape (tasks, candidates).
        """
        item = F.gelu(self.item(self.dropout(items)))
        ask = F.gelu(self.context(self.dropout(context.flatten(-2))))[:, None, :]
        mixed = self.mix(torch.cat([dense, item * ask, item], dim=-1))
        result: Tensor = (self.line(dense) + self.out(mixed)).squeeze(-1)
        return result
