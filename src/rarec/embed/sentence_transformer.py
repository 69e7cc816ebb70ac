"""Any sentence-transformers model on disk, Qwen3-Embedding among them."""

from __future__ import annotations

import importlib
import logging
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rarec.embed.model_files import check_folder, content_hash, model_folder
from rarec.embed.passes import SharedPasses
from rarec.embed.protocol import Kind, Progress
from rarec.embed.tokens import ModelTokens, tokens_in
from rarec.embed.vectors import checked_texts, longest_first, unit_rows
from rarec.errors import EmbedderError, InputError, MissingExtra, RarecError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


_QUERIES = 8  # in one tensor: texts that are padded to a longer one cost more than a larger batch saves


class SentenceTransformerEmbedder:
    """A model loaded by sentence-transformers from safetensors, when it is first needed.

    Code from a model's folder never runs and pickled weights are refused. Safe to use from several threads, whose
    queries go through the model together if they come while it is at work.

    Args:
        model: a folder, or a name in the hub's cache on this machine.
        revision: of a named model.
        query_prompt: put before each query; None takes the model's own prompts for queries and documents.
        truncate_dim: keep so many first numbers of a vector (Matryoshka) and bring it back to length 1.
        download: fetch a named model that is not in the cache. Otherwise the network is never touched.
        batch_size: texts in one pass.
        threads: of torch while it embeds; None leaves torch's setting.
        device: "cpu", "cuda", ...; None lets sentence-transformers choose.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        revision: str | None = None,
        query_prompt: str | None = None,
        truncate_dim: int | None = None,
        download: bool = False,
        batch_size: int = 64,
        threads: int | None = None,
        device: str | None = None,
    ) -> None:
        for name, value in (("batch_size", batch_size), ("threads", threads), ("truncate_dim", truncate_dim)):
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, got {value!r}")
        self._wanted = model
        self._revision = revision
        self._query_prompt = query_prompt
        self._truncate_dim = truncate_dim
        self._download = download
        self._batch_size = batch_size
        self._threads = threads
        self._device = device
        self._lock = threading.RLock()  # tokenizers keep state while they run
        self._folder: Path | None = None
        self._name = ""
        self._loaded: SentenceTransformer | None = None
        self._tokens: tuple[ModelTokens | None] | None = None  # a tuple once it was looked for
        self._queries = SharedPasses(self._queries_in_one, most=batch_size)

    @property
    def name(self) -> str:
        """Folder name, hash of the files, and every setting that changes a vector."""
        if not self._name:
            with self._lock:
                parts = [f"{Path(self._wanted).name}@{content_hash(self._checked_folder())[:12]}"]
                if self._truncate_dim is not None:
                    parts.append(f"dim={self._truncate_dim}")
                if self._query_prompt is not None:
                    parts.append(f"query={self._query_prompt!r}")
                self._name = " ".join(parts)
        return self._name

    @property
    def dimension(self) -> int:
        full = self._model().get_embedding_dimension()
        if full is None:
            raise EmbedderError(f"the model {str(self._wanted)!r} does not say how long its vectors are")
        return int(full) if self._truncate_dim is None else min(int(full), self._truncate_dim)

    @property
    def tokens(self) -> ModelTokens | None:
        """How the model takes texts apart, without loading it; None if its folder has no ``tokenizer.json``.

        Raises:
            EmbedderError: the model is missing or unsafe, or the file damaged.
        """
        with self._lock:
            if self._tokens is None:
                self._tokens = (tokens_in(self._checked_folder()),)
            return self._tokens[0]

    def embed(
        self, texts: Sequence[str], *, kind: Kind = "document", progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Unit vectors, shape (len(texts), dimension); texts beyond the model's length are cut at their end.

        Raises:
            EmbedderError: the model is missing, damaged or unsafe, or failed.
            InputError: texts is not a list of strings.
            MissingExtra: sentence-transformers is not installed.
        """
        clean = checked_texts(texts)
        if kind == "query" and 0 < len(clean) <= self._batch_size and progress is None:
            return self._queries(clean)
        return self._in_parts(clean, self._batch_size, kind, progress)

    def _queries_in_one(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._in_parts(texts, min(_QUERIES, self._batch_size), "query", None)

    def _in_parts(self, clean: Sequence[str], size: int, kind: Kind, progress: Progress | None) -> NDArray[np.float32]:
        rows: NDArray[np.float32] = np.empty((len(clean), self.dimension), dtype=np.float32)
        done = 0
        with self._lock, _torch_threads(self._threads):
            for chunk in longest_first(clean, size):
                rows[chunk] = self._encode([clean[place] for place in chunk], kind)
                done += len(chunk)
                if progress is not None:
                    progress(done, len(clean))
        return rows

    def _encode(self, texts: list[str], kind: Kind) -> NDArray[np.float32]:
        model = self._model()
        own = str(model.prompts.get(kind) or "")
        prompt = self._query_prompt if kind == "query" and self._query_prompt is not None else own
        try:
            vectors = model.encode(texts, prompt=prompt, batch_size=self._batch_size, show_progress_bar=False)
        except RarecError:
            raise
        except Exception as error:
            raise EmbedderError(
                f"the model {str(self._wanted)!r} failed on {len(texts)} texts: {error}; try a smaller batch_size"
            ) from error
        return unit_rows(np.asarray(vectors), source=f"the model {str(self._wanted)!r}")

    def _checked_folder(self) -> Path:
        if self._folder is None:
            folder = model_folder(self._wanted, revision=self._revision, download=self._download)
            check_folder(folder)
            self._folder = folder
        return self._folder

    def _model(self) -> SentenceTransformer:
        if self._loaded is None:
            with self._lock:
                if self._loaded is None:
                    self._loaded = self._load()
        return self._loaded

    def _load(self) -> SentenceTransformer:
        model = load_model(self._checked_folder(), device=self._device, truncate_dim=self._truncate_dim)
        self._check_model(model)
        return model

    def _check_model(self, model: SentenceTransformer) -> None:
        """For recipes that know more of their model."""


class Qwen3Embedder(SentenceTransformerEmbedder):
    """Qwen3-Embedding: see `qwen3_embedder`."""

    def _check_model(self, model: SentenceTransformer) -> None:
        """Refuse a copy whose vectors would be silently wrong: the last token must be the closing one.

        Source: the model card of Qwen3-Embedding: last-token pooling, left padding, <|endoftext|> appended.
        """
        folder = str(self._wanted)
        mode = next((module.pooling_mode for module in model if hasattr(module, "pooling_mode")), None)
        if mode not in ("lasttoken", ("lasttoken",)):
            raise EmbedderError(f"{folder!r} pools by {mode!r}; Qwen3-Embedding needs 1_Pooling with lasttoken")
        tokenizer: Any = model.tokenizer
        last = tokenizer("a")["input_ids"][-1]
        if last != tokenizer.convert_tokens_to_ids("<|endoftext|>"):
            raise EmbedderError(
                f"the tokenizer of {folder!r} does not append '<|endoftext|>', so pooling would take a word; "
                "use the tokenizer.json of Qwen3-Embedding, whose post-processor does"
            )
        tokenizer.padding_side = "left"


def qwen3_embedder(
    model: str | Path,
    *,
    task: str = "Given a conversation, retrieve items that the user would like",
    truncate_dim: int | None = None,
    revision: str | None = None,
    download: bool = False,
    batch_size: int = 16,
    threads: int | None = None,
    device: str | None = None,
) -> Qwen3Embedder:
    """Qwen3-Embedding with its instruction before queries and nothing before documents."""
    return Qwen3Embedder(
        model,
        query_prompt=f"Instruct: {task}\nQuery:",
        truncate_dim=truncate_dim,
        revision=revision,
        download=download,
        batch_size=batch_size,
        threads=threads,
        device=device,
    )


def load_model(folder: Path, *, device: str | None = None, truncate_dim: int | None = None) -> SentenceTransformer:
    """Load a checked folder, silently and without network.

    Raises:
        EmbedderError: the files are damaged or do not fit together.
        MissingExtra: sentence-transformers is not installed.
    """
    with _quiet():
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise MissingExtra.of("sentence-transformers", "serve", "a local embedder") from error
        try:
            with _no_progress_bars():
                return SentenceTransformer(
                    str(folder),
                    device=device,
                    local_files_only=True,
                    trust_remote_code=False,
                    truncate_dim=truncate_dim,
                    model_kwargs={"use_safetensors": True},
                )
        except Exception as error:
            raise EmbedderError(
                f"cannot load the model in {str(folder)!r}: {error}; install or copy it again"
            ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Third parties warn about their own insides while they load; that is no business of the caller's."""
    logger = logging.getLogger("sentence_transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    theirs: Any = importlib.import_module("transformers.utils.logging")
    before, level = theirs.is_progress_bar_enabled(), theirs.get_verbosity()
    theirs.disable_progress_bar()
    theirs.set_verbosity_error()
    try:
        yield
    finally:
        theirs.set_verbosity(level)
        if before:
            theirs.enable_progress_bar()


@contextmanager
def _torch_threads(count: int | None) -> Iterator[None]:
    if count is None:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
