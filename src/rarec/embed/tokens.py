"""How a model on disk takes texts apart, without loading the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from rarec.errors import EmbedderError, MissingExtra

FILE = "tokenizer.json"
_FOLDERS = (".", "0_Transformer")


class Tokens(Protocol):
    """What `tokens_of` gives."""

    @property
    def around(self) -> int:
        """How many tokens the model puts around every text by itself, >= 0."""
        ...

    def ends(self, text: str) -> Sequence[int]:
        """Where each token ends, in characters, ascending; no token, no end."""
        ...


class ModelTokens:
    """The tokeniser of a model's folder, exactly; safe to use from several threads.

    Raises:
        EmbedderError: the file cannot be read.
        MissingExtra: the package tokenizers is not installed.
    """

    def __init__(self, file: Path) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingExtra.of("tokenizers", "serve", "counting tokens") from error
        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # the package raises bare Exceptions
            raise EmbedderError(f"cannot read {str(file)!r}: {error}; copy the model's folder again") from error
        # The file may say how long the texts of its own training were.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._around = int(self._tokenizer.num_special_tokens_to_add(False))

    @property
    def around(self) -> int:
        return self._around

    def ends(self, text: str) -> Sequence[int]:
        return [end for _, end in self._tokenizer.encode(text, add_special_tokens=False).offsets]


def tokens_in(folder: Path) -> ModelTokens | None:
    """The tokeniser of a model's folder; None if it has no ``tokenizer.json``. Raises as `ModelTokens`."""
    files = (folder / part / FILE for part in _FOLDERS)
    return next((ModelTokens(file) for file in files if file.is_file()), None)


def tokens_of(embedder: object) -> Tokens | None:
    """How an embedder takes texts apart; None where that is known to its endpoint alone.

    Raises:
        As `ModelTokens`, and as the embedder when it looks for its files.
    """
    found: Tokens | None = getattr(embedder, "tokens", None)
    return found
