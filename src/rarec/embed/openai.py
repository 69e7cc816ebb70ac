"""Any OpenAI-compatible embeddings endpoint."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from rarec.embed.protocol import Kind, Progress
from rarec.embed.vectors import checked_texts, unit_rows
from rarec.errors import EmbedderError, InputError, MissingExtra

if TYPE_CHECKING:
    from openai import OpenAI

DEFAULT_URL = "https://api.openai.com/v1"
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


class _Refused(EmbedderError):
    """The endpoint did not take this request: too many texts, or one that it cannot embed."""


class OpenAIEmbedder:
    """Embeddings over HTTP, with retries; use it in a `with` block or call `close`. Safe in several threads.

    Args:
        model: as the endpoint calls it.
        base_url: ends in /v1; None takes OPENAI_BASE_URL, else OpenAI's own.
        api_key: None takes OPENAI_API_KEY. A server on this machine needs none.
        dimension: of the vectors; other lengths are refused. None asks the endpoint once, with a short text.
        shorten: ask the endpoint for vectors of `dimension` numbers (models that support it).
        batch_size: texts in a request; halved when the endpoint refuses so many.
        query_prompt: put before each query.
        max_chars: longer texts are cut, since endpoints refuse what is too long.
        timeout_s: of one attempt.
        max_retries: after a time-out, a lost connection, 408, 409, 429 or 5xx; waits as long as the endpoint says.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        dimension: int | None = None,
        shorten: bool = False,
        batch_size: int = 128,
        query_prompt: str = "",
        max_chars: int = 20_000,
        timeout_s: float = 60.0,
        max_retries: int = 4,
    ) -> None:
        for name, value in (("dimension", dimension), ("batch_size", batch_size), ("max_chars", max_chars)):
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, got {value!r}")
        if shorten and dimension is None:
            raise InputError("shorten=True needs a dimension; give the length that you want")
        self._model = model
        self._url = (base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_URL).rstrip("/")
        self._key = api_key or os.environ.get("OPENAI_API_KEY") or ""
        self._dimension = dimension
        self._shorten = shorten
        self._batch_size = batch_size
        self._query_prompt = query_prompt
        self._max_chars = max_chars
        self._timeout_s = timeout_s
        self._max_retries = max_retries
        self._lock = threading.Lock()
        self._opened: OpenAI | None = None

    def __repr__(self) -> str:
        return f"OpenAIEmbedder({self._model!r}, base_url={self._place!r})"

    @property
    def _place(self) -> str:
        """The address without user name, password or query: they may be secret."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def name(self) -> str:
        parts = [f"openai:{self._model}@{self._place}", f"max_chars={self._max_chars}"]
        if self._shorten:
            parts.append(f"dim={self._dimension}")
        if self._query_prompt:
            parts.append(f"query={self._query_prompt!r}")
        return " ".join(parts)

    @property
    def dimension(self) -> int:
        if self._dimension is None:
            self._dimension = len(self._request(["dimension"])[0])
        return self._dimension

    def embed(
        self, texts: Sequence[str], *, kind: Kind = "document", progress: Progress | None = None
    ) -> NDArray[np.float32]:
        """Unit vectors, shape (len(texts), dimension).

        Raises:
            EmbedderError: no key, not reachable after all retries, refused, or an answer of the wrong shape.
            InputError: texts is not a list of strings.
            MissingExtra: the openai package is not installed.
        """
        prompt = self._query_prompt if kind == "query" else ""
        # Endpoints refuse an empty text; a space stands for it.
        clean = [(prompt + text)[: self._max_chars] or " " for text in checked_texts(texts)]
        rows: NDArray[np.float32] = np.empty((len(clean), self.dimension), dtype=np.float32)
        start = 0
        while start < len(clean):
            vectors = self._batch(clean[start : start + self._batch_size])
            rows[start : start + len(vectors)] = vectors
            start += len(vectors)
            if progress is not None:
                progress(start, len(clean))
        return rows

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        with self._lock:
            client, self._opened = self._opened, None
        if client is not None:
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _batch(self, texts: list[str]) -> NDArray[np.float32]:
        """Vectors of the texts, or of as many of the first ones as the endpoint takes at once."""
        refusal: _Refused | None = None
        size = len(texts)
        while True:
            try:
                vectors = self._request(texts[:size])
            except _Refused as error:
                refusal = refusal or error
                if size == 1:
                    raise refusal from None
                size //= 2
                continue
            if refusal is not None:
                self._batch_size = size
            return self._checked(vectors)

    def _checked(self, vectors: list[Any]) -> NDArray[np.float32]:
        source = f"the endpoint {self._place!r}"
        for vector in vectors:
            if len(vector) != self.dimension:
                raise EmbedderError(
                    f"{source} gave a vector of {len(vector)} numbers for the model {self._model!r}, expected "
                    f"{self.dimension}; correct the setting `dimension`"
                )
        try:
            return unit_rows(np.array(vectors, dtype=np.float64), source=source)
        except (TypeError, ValueError) as error:
            raise EmbedderError(f"{source} gave vectors that are not numbers: {error}; is it an embedder?") from None

    def _request(self, texts: list[str]) -> list[Any]:
        """One request; vectors in the order of the texts."""
        client = self._client()
        extra: dict[str, Any] = {"dimensions": self._dimension} if self._shorten else {}
        failure: EmbedderError | None = None
        try:
            answer = client.embeddings.create(model=self._model, input=texts, **extra)
            found = {entry.index: entry.embedding for entry in answer.data}
        except Exception as error:
            failure = self._explained(error)
        if failure is not None:
            raise failure  # out here, not chained: the original may repeat the key, and a traceback would show it
        if len(answer.data) != len(texts) or set(found) != set(range(len(texts))):
            raise EmbedderError(
                f"the endpoint {self._place!r} gave {len(answer.data)} vectors, numbered {sorted(found)[:5]!r}..., "
                f"for {len(texts)} texts; it does not speak the OpenAI protocol"
            )
        if not all(isinstance(vector, list) for vector in found.values()):
            raise EmbedderError(f"the endpoint {self._place!r} gave no list of numbers for a text; is it an embedder?")
        return [found[place] for place in range(len(texts))]

    def _explained(self, error: Exception) -> EmbedderError:
        text = str(error).replace(self._key, "***") if self._key else str(error)
        status = getattr(error, "status_code", None)
        if status in (401, 403):
            remedy = "set OPENAI_API_KEY to a valid key"
        elif status == 404:
            remedy = "check the model's name and that base_url ends in /v1"
        elif status is None:
            remedy = "check that it runs and that base_url is right"
        else:
            remedy = "try again later, or with other settings"
        kind = _Refused if status in (400, 413, 422) else EmbedderError
        return kind(f"the endpoint {self._place!r} failed: {text[:300]}; {remedy}")

    def _client(self) -> OpenAI:
        local = urlsplit(self._url).hostname in _LOOPBACK
        if not self._key and not local:
            raise EmbedderError(f"no key for {self._place!r}; set the environment variable OPENAI_API_KEY")
        with self._lock:
            if self._opened is None:
                try:
                    from openai import OpenAI
                except ImportError as error:
                    raise MissingExtra.of("openai", "serve", "a remote embedder") from error
                self._opened = OpenAI(
                    api_key=self._key or "none",
                    base_url=self._url,
                    timeout=self._timeout_s,
                    max_retries=self._max_retries,
                )
            return self._opened
