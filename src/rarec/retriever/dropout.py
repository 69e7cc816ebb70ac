"""Dropout that draws a byte an activation; torch's own draws a double, which takes a tenth of a training step."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Sets activations to zero in training, and scales the others so that the mean stays.

    Args:
        share: of what is dropped, 0 <= share < 1; rounded to 256ths.
    Draws from torch's global generator.
    Source: Srivastava et al. 2014, "Dropout".
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        if not 0 <= share < 1:
            raise ValueError(f"share must be at least 0 and less than 1, got {share!r}")
        self.level = min(round(share * 256), 255)

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same."""
        if not self.training or self.level == 0:
            return x
        words = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        drawn = words.view(torch.uint8)[: x.numel()].view(x.shape)
        # Compared into bytes and multiplied: with booleans neither is vectorised.
        kept = torch.ge(drawn, self.level, out=drawn)
        return x * kept.to(x.dtype).mul_(256 / (256 - self.level))

    def extra_repr(self) -> str:
        return f"share={self.level / 256:g}"
