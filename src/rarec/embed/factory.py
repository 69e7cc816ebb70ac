"""Settings -> embedder."""

from __future__ import annotations

import os
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rarec.embed.protocol import Embedder
from rarec.errors import SettingsError

EmbedderKind = Literal["minilm", "sentence-transformers", "qwen3", "openai"]

_COMMON = {"kind", "batch_size"}
_LOCAL = _COMMON | {"model", "revision", "truncate_dim", "download", "threads", "device"}
_TAKES: dict[EmbedderKind, set[str]] = {
    "minilm": _COMMON | {"threads"},
    "sentence-transformers": _LOCAL | {"query_prompt"},
    "qwen3": _LOCAL | {"task"},
    "openai": _COMMON | {
        "model", "base_url", "api_key_env", "dimension", "shorten", "query_prompt", "max_chars", "timeout_s",
        "max_retries",
    },
}  # fmt: skip


class EmbedderSettings(BaseModel):
    """Which embedder, and how. None means the embedder's own default; see its class for what an option does.

    Attributes:
        kind: minilm (comes as a package), sentence-transformers (any model on disk), qwen3, openai (any endpoint).
        model: folder, name in the hub's cache, or the endpoint's name; not for minilm.
        batch_size: texts at a time.
        threads: of the processor.
        device: ``cpu``, ``cuda`` and so on.
        revision: of the model in the hub's cache.
        download: whether a model that is not on disk may be fetched.
        truncate_dim: keep the first numbers of a vector only.
        query_prompt: text before every query.
        task: of Qwen3's instruction.
        base_url: of the endpoint, up to and with ``/v1``.
        api_key_env: the environment variable that holds the key; a key itself is never a setting.
        dimension: of the endpoint's vectors.
        shorten: whether the endpoint is asked for that dimension.
        max_chars: of a text; what is longer is cut.
        timeout_s: of a request.
        max_retries: of a request.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: EmbedderKind = "minilm"
    model: str | None = None
    batch_size: int | None = Field(default=None, ge=1)
    threads: int | None = Field(default=None, ge=1)
    device: str | None = None
    revision: str | None = None
    download: bool | None = None
    truncate_dim: int | None = Field(default=None, ge=1)
    query_prompt: str | None = None
    task: str | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    dimension: int | None = Field(default=None, ge=1)
    shorten: bool | None = None
    max_chars: int | None = Field(default=None, ge=1)
    timeout_s: float | None = Field(default=None, gt=0)
    max_retries: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _fits_the_kind(self) -> Self:
        if self.kind != "minilm" and not self.model:
            raise ValueError(f"the embedder {self.kind!r} needs a model")
        unused = sorted(self.options().keys() - _TAKES[self.kind])
        if unused:
            raise ValueError(f"the embedder {self.kind!r} does not take {', '.join(unused)}; remove them")
        return self

    def options(self) -> dict[str, Any]:
        """What was set, without the kind."""
        return {name: value for name, value in self if value is not None and name != "kind"}


def embedder_from(spec: EmbedderSettings) -> Embedder:
    """The embedder that the settings describe; nothing heavy is loaded yet.

    Raises:
        SettingsError: `api_key_env` names a variable that is not set.
    """
    options = spec.options()
    model = str(options.pop("model", ""))
    if spec.kind == "openai":
        from rarec.embed.openai import OpenAIEmbedder

        variable = options.pop("api_key_env", None)
        if variable is not None:
            options["api_key"] = _key(str(variable))
        return OpenAIEmbedder(model, **options)
    if spec.kind == "minilm":
        from rarec.embed.minilm import MiniLMEmbedder

        return MiniLMEmbedder(**options)
    from rarec.embed.sentence_transformer import SentenceTransformerEmbedder, qwen3_embedder

    if spec.kind == "qwen3":
        return qwen3_embedder(model, **options)
    return SentenceTransformerEmbedder(model, **options)


def _key(variable: str) -> str:
    key = os.environ.get(variable, "")
    if not key:
        raise SettingsError(f"the environment variable {variable!r} named by api_key_env is not set; set it to the key")
    return key
