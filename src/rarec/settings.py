"""Settings of a store: defaults < rarec.toml < environment < flags, checked as a whole."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from rarec.complaints import complaints
from rarec.embed.factory import EmbedderSettings
from rarec.errors import SettingsError, StoreError
from rarec.live import read_live

PREFIX = "RAREC_"
"""``RAREC_LLM__MODEL=gpt-4o`` sets ``[llm] model``."""


class LLMSettings(BaseModel):
    """Which model ranks and replies.

    Attributes:
        kind: ``local`` is the embedded ranker, ``http`` any OpenAI-compatible endpoint, ``none`` leaves the
            retriever's order.
        model: as the endpoint calls it; needed for ``http``.
        base_url: up to and with ``/v1``; OpenAI's if empty.
        api_key_env: the environment variable that holds the key; keys are never written to a file.
        max_retries: repeats within the deadline.
        temperature: 0 for the most repeatable answers.
        max_tokens: of an answer.
        template: name of a packaged prompt template, or the path of one.
        input_usd, output_usd: US dollars for a million tokens that are read and written; both or none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["local", "http", "none"] = "local"
    model: str = ""
    base_url: str = ""
    api_key_env: str = "OPENAI_API_KEY"
    max_retries: int = Field(default=2, ge=0, le=10)
    temperature: float = Field(default=0.0, ge=0, le=2)
    max_tokens: int = Field(default=800, ge=16)
    template: str = "default"
    input_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    output_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)

    @property
    def priced(self) -> bool:
        """Whether it is known what a call costs."""
        return self.input_usd is not None

    @model_validator(mode="after")
    def _named(self) -> LLMSettings:
        if self.kind == "http" and not self.model:
            raise ValueError("kind = 'http' needs a model: set llm.model, or --model, for example gpt-4o-mini")
        if (self.input_usd is None) != (self.output_usd is None):
            raise ValueError("input_usd and output_usd go together: set both, or none")
        return self


class RecommendSettings(BaseModel):
    """How a turn is answered.

    Attributes:
        candidates: how many the retriever proposes to the model.
        deadline_s: wall-clock seconds for a whole turn; past it the retriever's order is returned.
        max_characters: longest conversation that is accepted, in characters of all its turns.
        max_turns: the same in turns.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    candidates: int = Field(default=50, ge=1, le=500)
    deadline_s: float = Field(default=20.0, gt=0)
    max_characters: int = Field(default=4_000_000, ge=1000)
    max_turns: int = Field(default=10_000, ge=10)


class ServeSettings(BaseModel):
    """What the HTTP service allows; each worker counts for itself.

    Attributes:
        model_name: what ``/v1/models`` lists, and chat requests name.
        max_body_bytes: longest body of a request, also of one that does not say its length.
        max_turns, max_characters: of one conversation; those of ``recommend`` hold as well.
        max_n: most items in an answer.
        max_batch: most items in one request that writes or deletes.
        requests_per_minute: of one client address, IPv6 by its /64 network; 0 sets no limit.
        burst: how many of them may come at once.
        concurrency: turns that are answered at the same time.
        queue: turns that wait for one of them to end; more are refused with 503.
        queue_timeout_s: how long one waits before it is refused with 503.
        client_timeout_s: how long a client may take for the next piece of a body, or to take one of a stream.
        shutdown_s: how long requests may go on after the service was told to stop.
        hosts: names by which the service is asked for (the Host header); ``*`` allows any.
        cors_origins: pages of other origins that may call, e.g. ``["https://shop.example"]``; ``*`` allows any.
        trusted_proxies: addresses whose X-Forwarded-For is believed.
        database: of sessions, feedback, keys and spend: a postgresql URL, or a file; the store's if empty.
        ceilings: of what language models may take, e.g. ``["day.usd=20", "request.calls=2"]``; scopes are request,
            session, key (each, over all its life) and day (UTC, all keys together). Ceilings of a key hold as well.
        breaker_failures: so many failures of the model in a row, and it is not asked for a while; 0 always asks.
        breaker_pause_s: that while; then one turn tries it.
        cached_answers: answers of the model that are kept in memory for equal questions; 0 keeps none.
        cached_s: for so long.
        forget_days: sessions that nobody used for so many days are forgotten; 0 keeps them.
        example_messages: what a page offers to begin with; made from the catalogue if there are none.
        watch_s: seconds between two looks at whether another bundle is live.
        words: who reads what the words ask for: ``rules``, or ``llm``, the remote model that answers, within the same
            ceilings and deadline; whatever goes wrong with it, the rules read.
        words_s: seconds that the model may take for it; at most half of ``recommend.deadline_s`` is used.
        telemetry: send spans of turns with OpenTelemetry, where its own variables (OTEL_*) say.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_name: str = Field(default="rarec", min_length=1, max_length=100)
    max_body_bytes: int = Field(default=4_000_000, ge=1000)
    max_turns: int = Field(default=2000, ge=1)
    max_characters: int = Field(default=400_000, ge=100)
    max_n: int = Field(default=100, ge=1, le=1000)
    max_batch: int = Field(default=1000, ge=1, le=100_000)
    requests_per_minute: float = Field(default=600, ge=0)
    burst: int = Field(default=100, ge=1)
    concurrency: int = Field(default=8, ge=1, le=1000)
    queue: int = Field(default=32, ge=0)
    queue_timeout_s: float = Field(default=10.0, gt=0)
    client_timeout_s: float = Field(default=30.0, gt=0)
    shutdown_s: int = Field(default=30, ge=1)
    hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "::1")
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    database: str = ""
    ceilings: tuple[str, ...] = ()
    breaker_failures: int = Field(default=5, ge=0)
    breaker_pause_s: float = Field(default=30.0, gt=0)
    cached_answers: int = Field(default=1000, ge=0)
    cached_s: float = Field(default=600.0, gt=0)
    forget_days: float = Field(default=0.0, ge=0)
    example_messages: tuple[str, ...] = ()
    watch_s: float = Field(default=5.0, gt=0)
    words: Literal["rules", "llm"] = "rules"
    words_s: float = Field(default=5.0, gt=0)
    telemetry: bool = False


class Settings(BaseModel):
    """All settings of a store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    embedder: EmbedderSettings = EmbedderSettings()
    llm: LLMSettings = LLMSettings()
    recommend: RecommendSettings = RecommendSettings()
    serve: ServeSettings = ServeSettings()


@dataclass(frozen=True, slots=True)
class StorePaths:
    """Where a store keeps what; `root` is the folder that `rarec init` makes."""

    root: Path

    @property
    def settings(self) -> Path:
        return self.root / "rarec.toml"

    @property
    def catalogue(self) -> Path:
        return self.root / "catalogue.sqlite"

    @property
    def embeddings(self) -> Path:
        return self.root / "embeddings.sqlite"

    @property
    def bundle(self) -> Path:
        """The live one; read it once for everything that must be of one bundle. Raises StoreError as `read_live`."""
        return self.root / read_live(self.root).live

    @property
    def service(self) -> Path:
        """Sessions, feedback, keys and spend, where no other database is named."""
        return self.root / "service.sqlite"

    def database(self, settings: ServeSettings) -> str | Path:
        """Where the service's database is: its URL, or a file."""
        return settings.database or self.service

    @property
    def promotion(self) -> Path:
        return self.root / "promotion"


def load_settings(
    path: Path, *, environment: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> Settings:
    """Read settings; every wrong value is reported at once.

    Args:
        path: rarec.toml; a missing file means the defaults.
        environment: ``RAREC_SECTION__NAME`` variables; the process's own if None.
        flags: ``{"llm.model": value}``; None values are ignored.
    Raises:
        SettingsError: the file cannot be read or is not TOML, or values are unknown or wrong; the message lists them
            all, with where each comes from.
    """
    values = _read(path)
    origin: dict[str, str] = {}
    for section, table in values.items():
        names = [f"{section}.{key}" for key in table] if isinstance(table, dict) else [section]
        origin |= dict.fromkeys(names, f"file {path.name}")
    for name, value in (os.environ if environment is None else environment).items():
        section, _, key = name.removeprefix(PREFIX).lower().partition("__")
        if name.startswith(PREFIX) and key:
            _put(values, section, key, value)
            origin[f"{section}.{key}"] = f"environment variable {name}"
    for name, value in (flags or {}).items():
        if value is not None:
            section, _, key = name.partition(".")
            _put(values, section, key, value)
            origin[name] = f"flag for {name}"
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        lines = [wrong.line(_origin(wrong.key, origin, path)) for wrong in complaints(error, Settings)]
        raise SettingsError("wrong settings:\n" + "\n".join(lines)) from error


def read_settings(path: Path, flags: Mapping[str, Any] | None = None) -> Settings:
    """The settings of the store at `path`.

    Raises:
        StoreError: there is no store.
        SettingsError: a value is wrong.
    """
    paths = StorePaths(path)
    if not paths.catalogue.is_file():
        raise StoreError(f"no store at {str(path)!r}; make one with: rarec init {path}")
    return load_settings(paths.settings, flags=flags)


def _read(path: Path) -> dict[str, Any]:
    try:
        # Some editors put a byte order mark first, which is not TOML.
        return tomllib.loads(path.read_text(encoding="utf-8-sig")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{str(path)!r} is not valid TOML: {error}; fix it, or delete it") from error
    except OSError as error:
        raise SettingsError(f"cannot read {str(path)!r}: {error.strerror}; check what it is, and its rights") from error


def _put(values: dict[str, Any], section: str, key: str, value: Any) -> None:
    place = values.setdefault(section, {})
    if isinstance(place, dict):
        place[key] = value


def _origin(name: str, origin: Mapping[str, str], path: Path) -> str:
    """Where a value comes from, or all values of a table."""
    below = dict.fromkeys(place for key, place in origin.items() if key.startswith(f"{name}."))
    return origin.get(name) or ", ".join(below) or f"file {path.name}"


TEMPLATE = """\
# Settings of this store. Every line that is commented out shows its default; prices are examples and have none.
# An environment variable RAREC_SECTION__NAME overrides a line, for example RAREC_LLM__MODEL.

[embedder]
# kind = "minilm"            # or "sentence-transformers", "qwen3", "openai"

[llm]
# kind = "local"             # the embedded ranker; "http" for any OpenAI-compatible endpoint; "none"
# model = ""                 # for example "gpt-4o-mini"; needed for "http"
# base_url = ""              # for example "http://127.0.0.1:11434/v1"; empty means OpenAI
# api_key_env = "OPENAI_API_KEY"
# input_usd = 0.15           # the model's price, US dollars for a million tokens that it reads
# output_usd = 0.60          # and for those that it writes: ceilings in usd need both, or the model is not asked

[recommend]
# candidates = 50            # how many items the retriever proposes to the model
# deadline_s = 20.0          # a turn is answered within this time whatever the model does

[serve]
# model_name = "rarec"       # what chat front ends list
# requests_per_minute = 600  # of one client address; 0 sets no limit
# concurrency = 8            # turns that are answered at the same time
# queue = 32                 # turns that wait for a place; more get 503
# cors_origins = []          # pages of other origins that may call, for example ["https://shop.example"]
# database = ""              # of sessions and keys, a postgresql URL; empty means service.sqlite beside this file
# ceilings = []              # of what models may take, for example ["day.usd=20", "request.calls=2"]
# forget_days = 0            # sessions unused for so long are forgotten; 0 keeps them
# words = "rules"            # who reads "from the 90s, not horror"; "llm" asks the remote model, then the rules
"""
