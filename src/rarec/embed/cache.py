"""An embedder that remembers."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rarec.embed.cache_file import CacheFile, text_key
from rarec.embed.protocol import Embedder, Kind, Progress
from rarec.embed.tokens import Tokens, tokens_of
from rarec.embed.vectors import checked_texts, longest_first
from rarec.errors import InputError

IMPORT_CHUNK = 10_000
SAMPLE = 16
SAME = 0.99
"""Cosine from which on two vectors of a text count as the same model's: float16 and batch size stay above .999."""


class CachedEmbedder:
    """Documents are embedded once and kept in a SQLite file; recent queries are kept in memory only.

    What users write is private, so queries never reach the disk unless `keep_queries` says so. A vector from the file
    comes back as float16 kept it, brought to length 1, the first time too: a resumed run gives the same bytes as an
    uninterrupted one.

    Args:
        embedder: the real one; its name is part of the key, so that vectors of two models never mix.
        path: of the file, made if missing; its folder must exist.
        chunk: texts embedded between two commits; a kill loses at most so many.
        queries: how many recent queries are remembered in memory; 0 for none.
        keep_queries: put queries into the file as well; for training on public data.
    """

    def __init__(
        self,
        embedder: Embedder,
        path: str | Path,
        *,
        chunk: int = 512,
        queries: int = 1024,
        keep_queries: bool = False,
    ) -> None:
        if chunk < 1 or queries < 0:
            raise InputError(f"chunk must be at least 1 and queries at least 0, got {chunk!r} and {queries!r}")
        self._embedder = embedder
        self._path = Path(path)
        self._chunk = chunk
        self._queries = queries
        self._keep_queries = keep_queries
        self._recent: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()
        self._files: dict[Kind, CacheFile] = {}

    @property
    def name(self) -> str:
        return self._embedder.name

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    @property
    def tokens(self) -> Tokens | None:
        """How the real one takes texts apart; None if that is not known."""
        return tokens_of(self._embedder)

    def __len__(self) -> int:
        """How many document vectors of this embedder the file holds."""
        return self._opened().count()

    def embed(
        self, texts: Sequence[str], *, kind: Kind = "document", progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Unit vectors, shape (len(texts), dimension); `progress` counts only the texts that had to be embedded.

        Raises:
            EmbedderError: the real embedder failed; what it had done before is kept.
            StoreError: the file is damaged, locked or full.
        """
        clean = checked_texts(texts)
        if not clean:
            return np.empty((0, self.dimension), dtype=np.float32)
        first: dict[str, int] = {}
        places = [first.setdefault(text, len(first)) for text in clean]
        different = list(first)
        rows = self._kept(different, kind, progress) if kind == "document" else self._asked(different, progress)
        return rows if len(different) == len(clean) else rows[places]

    def import_vectors(self, texts: Sequence[str], vectors: NDArray[np.floating]) -> int:
        """Take over vectors that this model made elsewhere, shape (len(texts), dimension), every row of length 1.

        A sample of the texts is embedded again and compared. Vectors that the file already has stay as they are.

        Returns:
            how many were new.
        Raises:
            InputError: shapes differ, a row is not of length 1, or the sample shows another model or another order.
        """
        clean = checked_texts(texts)
        if vectors.shape != (len(clean), self.dimension):
            raise InputError(
                f"vectors have shape {vectors.shape} for {len(clean)} texts of a model with {self.dimension} numbers"
            )
        self._check_lengths(vectors)
        self._check_sample(clean, vectors)
        file = self._opened()
        before = file.count()
        for start in range(0, len(clean), IMPORT_CHUNK):
            rows = vectors[start : start + IMPORT_CHUNK].astype(np.float32)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            file.write([text_key(text) for text in clean[start : start + IMPORT_CHUNK]], rows)
        return file.count() - before

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        with self._lock:
            files, self._files = self._files, {}
        for file in files.values():
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self, kind: Kind = "document") -> CacheFile:
        with self._lock:
            if kind not in self._files:
                self._files[kind] = CacheFile(self._path, name=self.name, kind=kind, dimension=self.dimension)
            return self._files[kind]

    def _kept(self, texts: list[str], kind: Kind, progress: Progress | None) -> NDArray[np.float32]:
        file = self._opened(kind)
        rows: NDArray[np.float32] = np.empty((len(texts), self.dimension), dtype=np.float32)
        keys = [text_key(text) for text in texts]
        missing = file.read(keys, rows)
        done = 0
        if progress is not None and missing:
            progress(0, len(missing))
        for chunk in longest_first([texts[i] for i in missing], self._chunk):
            places = [missing[i] for i in chunk]
            vectors = self._embedder.embed([texts[i] for i in places], kind=kind)
            rows[places] = file.write([keys[i] for i in places], vectors)
            done += len(places)
            if progress is not None:
                progress(done, len(missing))
        return rows

    def _asked(self, texts: list[str], progress: Progress | None) -> NDArray[np.float32]:
        with self._lock:
            known = {text: self._recent[text] for text in texts if text in self._recent}
            for text in known:
                self._recent.move_to_end(text)
        missing = [text for text in texts if text not in known]
        if missing:
            if self._keep_queries:
                fresh = self._kept(missing, "query", progress)
            else:
                fresh = self._embedder.embed(missing, kind="query", progress=progress)
            known.update(zip(missing, fresh, strict=True))
            with self._lock:
                for text in missing[-self._queries :] if self._queries else ():
                    self._recent[text] = known[text].copy()
                while len(self._recent) > self._queries:
                    self._recent.popitem(last=False)
        return np.stack([known[text] for text in texts])

    def _check_lengths(self, vectors: NDArray[np.floating]) -> None:
        for start in range(0, len(vectors), IMPORT_CHUNK):
            lengths = np.linalg.norm(vectors[start : start + IMPORT_CHUNK].astype(np.float32), axis=1)
            good = np.abs(lengths - 1) < 0.01  # NaN fails too
            if not good.all():
                row = int(np.argmin(good))
                raise InputError(
                    f"vector number {start + row} has length {float(lengths[row])!r}, not 1; normalise the vectors"
                )

    def _check_sample(self, texts: list[str], vectors: NDArray[np.floating]) -> None:
        sample = sorted({int(i) for i in np.linspace(0, len(texts) - 1, min(SAMPLE, len(texts)))})
        if not sample:
            return
        real = self._embedder.embed([texts[i] for i in sample])
        cosines = np.sum(real * vectors[sample].astype(np.float32), axis=1)
        worst = int(np.argmin(cosines))
        if cosines[worst] < SAME:
            raise InputError(
                f"the vector of text number {sample[worst]} has cosine {float(cosines[worst]):.3f} with what "
                f"{self.name!r} gives, below {SAME}; these vectors are of another model, other texts or another order"
            )
