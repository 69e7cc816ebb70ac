"""What an embedder is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Kind = Literal["document", "query"]
"""`document` for item texts, `query` for what a user writes; some models prefix an instruction to queries."""

Progress = Callable[[int, int], None]
"""Called with (texts done, texts in all)."""


class Embedder(Protocol):
    """Text -> unit vectors."""

    @property
    def name(self) -> str:
        """Names model, version and every setting that changes a vector; a cache and a bundle key on it."""
        ...

    @property
    def dimension(self) -> int: ...

    def embed(
        self, texts: Sequence[str], *, kind: Kind = "document", progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Embed texts, in order.

        Returns:
            shape (len(texts), dimension), every row of length 1; no texts give shape (0, dimension).
        Raises:
            EmbedderError: the model or the endpoint failed.
        """
        ...
