"""What a recipe may say of a system: one small class for each kind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from rarec.evaluate.protocols import Scope
from rarec.llm.http import is_address

Name = Annotated[str, Field(min_length=1, pattern=r"^\S(.*\S)?$")]


def _one_word(name: str) -> str:
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError("must be one word of letters, digits, '_', '.' and '-' that begins with none of the last two")
    return name


DataSetName = Annotated[str, AfterValidator(_one_word)]
"""Of a data set in tables and folders."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _System(_Part):
    """What every system has.

    Attributes:
        name: its row in the tables; a kind gives a default.
        only: the data sets on which it runs; empty means all of them.
        show: it has a row in the tables; false for one that only others need.
        varies: it draws at random, so it is run once with each seed of the recipe.
        trained: the bundle is part of it.
    """

    varies: ClassVar[bool] = False
    trained: ClassVar[bool] = False

    name: Name | None = None
    only: tuple[str, ...] = ()
    show: bool = True

    @property
    def row(self) -> str:
        """The name of its row."""
        return self.name or self.usual_name()

    def usual_name(self) -> str:
        return str(getattr(self, "kind"))  # noqa: B009 - every class of the union has one

    def needs(self) -> tuple[str, ...]:
        """Rows that it is made of."""
        return ()

    def files(self) -> tuple[Path, ...]:
        """Files that decide what it answers, beside those of the data set."""
        return ()

    def bundled(self) -> bool:
        """Whether the bundle decides what it answers."""
        return self.trained

    def ranks(self, scope: Scope) -> bool:  # noqa: ARG002
        """Whether it can rank a catalogue, as far as that is its own to say."""
        return True


COMMON = tuple(_System.model_fields)
"""Fields that say nothing about what a system answers."""


class PopularitySystem(_System):
    """The items that training conversations mention most."""

    kind: Literal["popularity"] = "popularity"


class RandomSystem(_System):
    """Chance."""

    varies: ClassVar[bool] = True
    kind: Literal["random"] = "random"


class RepeatContextSystem(_System):
    """What was mentioned, again."""

    kind: Literal["repeat-context"] = "repeat-context"


class CoOccurrenceSystem(_System):
    """Items mentioned together in training."""

    kind: Literal["co-occurrence"] = "co-occurrence"


class EmbeddingSimilaritySystem(_System):
    """Nearest items in the embedder's own space.

    Attributes:
        variant: near to the last messages, to the mentioned items, or to both.
    """

    kind: Literal["embedding-similarity"] = "embedding-similarity"
    variant: Literal["text", "items", "both"] = "both"

    def usual_name(self) -> str:
        return self.kind if self.variant == "both" else f"{self.kind}/{self.variant}"


class BM25System(_System):
    """Words of the last messages in the items' texts; without a value the baseline's own default is taken.

    Attributes:
        last_messages: how many messages are the query.
        k1: how soon more of the same word counts no more.
        b: how much long texts are held back.
    """

    kind: Literal["bm25"] = "bm25"
    last_messages: int | None = Field(default=None, ge=1)
    k1: float | None = Field(default=None, gt=0)
    b: float | None = Field(default=None, ge=0, le=1)


class ItemKNNSystem(_System):
    """Nearest neighbours of the mentioned items; without a value the baseline's own default is taken.

    Attributes:
        weighting: of an item's dialogues before their similarity.
        neighbours: how many of each item are kept.
    """

    kind: Literal["item-knn"] = "item-knn"
    weighting: Literal["cosine", "tfidf", "bm25"] | None = None
    neighbours: int | None = Field(default=None, ge=1)


class EASESystem(_System):
    """A linear autoencoder over items; without a value the baseline's own default is taken.

    Attributes:
        regularisation: added to the diagonal of the items' matrix; more of it trusts rare pairs less.
    """

    kind: Literal["ease"] = "ease"
    regularisation: float | None = Field(default=None, gt=0)


class SASRecSystem(_System):
    """Self-attention over the mentioned items; without a value the baseline's own default is taken.

    Attributes:
        epochs: passes over the training conversations.
        width: of its vectors.
        dropout: in training.
    """

    varies: ClassVar[bool] = True
    kind: Literal["sasrec"] = "sasrec"
    epochs: int | None = Field(default=None, ge=1)
    width: int | None = Field(default=None, ge=1)
    dropout: float | None = Field(default=None, ge=0, lt=1)


class RetrieverSystem(_System):
    """The trained retriever of the bundle."""

    trained: ClassVar[bool] = True
    kind: Literal["retriever"] = "retriever"


class PricesConfig(_Part):
    """US dollars for a million tokens.

    Attributes:
        input: what the model reads.
        output: what it writes.
    """

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class LLMConfig(_Part):
    """A language model behind an OpenAI-compatible endpoint.

    Attributes:
        model: as the endpoint calls it.
        base_url: up to and with ``/v1``; OpenAI's if empty.
        api_key_env: the environment variable that holds the key; a key itself is never in a recipe.
        prices: ``{ input = 0.15, output = 0.60 }``, US dollars for a million tokens; without them no cost is reported.
        concurrency: calls in flight.
        deadline_s: for each call, its repeats after a busy server included.
        max_tokens, temperature: of each answer.
    """

    model: Name
    base_url: str = ""
    api_key_env: str = "OPENAI_API_KEY"
    prices: PricesConfig | None = None
    concurrency: int = Field(default=8, ge=1, le=256)
    deadline_s: float = Field(default=60.0, gt=0)
    max_tokens: int = Field(default=800, ge=16)
    temperature: float = Field(default=0.0, ge=0, le=2)

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        if url and not is_address(url):
            raise ValueError("must be an address up to and with /v1, such as 'http://127.0.0.1:8000/v1'")
        return url


def _which(value: object) -> str:
    return "table" if isinstance(value, (dict, LLMConfig)) else "local"


LocalOrRemote = Annotated[
    Annotated[Literal["local"], Tag("local")] | Annotated[LLMConfig, Tag("table")], Discriminator(_which)
]


class RankedSystem(_System):
    """The first candidates of another system in the order that a language model gives them, then the rest.

    Attributes:
        of: row of the other system.
        llm: ``local`` is the ranker of the bundle; a table names a model behind an endpoint.
        candidates: how many the model sees.
        n: how many it is asked to rank; without it 20 of a language model, all of the local one.
        template: of the prompt: ``default``, or the path of one.
    """

    kind: Literal["ranked"] = "ranked"
    of: Name
    llm: LocalOrRemote = "local"
    candidates: int = Field(default=50, ge=1)
    n: int | None = Field(default=None, ge=1)
    template: str = "default"

    def usual_name(self) -> str:
        return f"{self.of}+{'ranker' if self.llm == 'local' else self.llm.model}"

    def needs(self) -> tuple[str, ...]:
        return (self.of,)

    def bundled(self) -> bool:
        return self.llm == "local"


class LLMAloneSystem(_System):
    """A language model that names items from memory; titles are linked back.

    Attributes:
        titles: how many it is asked for.
        llm: the model.
        items: what is recommended, in the plural, for the prompt.
        template: of the prompt: ``default``, or the path of one.
    """

    kind: Literal["llm-alone"] = "llm-alone"
    llm: LLMConfig
    titles: int = Field(default=20, ge=1)
    items: str = "items"
    template: str = "default"

    def usual_name(self) -> str:
        return f"{self.llm.model} alone"


class FusionSystem(_System):
    """Several systems' lists joined into one.

    Attributes:
        members: rows; the first begins and decides ties.
        method: reciprocal ranks, one of each in turn, or weights that are learned.
        weights: of ``rrf``, one a member. ``learned`` finds them on the split for tuning.
        c: of ``rrf``.
    """

    kind: Literal["fusion"] = "fusion"
    members: tuple[Name, ...] = Field(min_length=2)
    method: Literal["rrf", "interleave", "learned"] = "rrf"
    weights: tuple[float, ...] | None = None
    c: float = Field(default=60.0, ge=0)

    @model_validator(mode="after")
    def _fits_the_method(self) -> Self:
        if self.weights is not None and self.method != "rrf":
            raise ValueError(f"the method {self.method!r} takes no weights; remove them")
        if self.weights is not None and len(self.weights) != len(self.members):
            raise ValueError(f"{len(self.weights)} weights for {len(self.members)} members; give one each")
        return self

    def usual_name(self) -> str:
        return f"{' + '.join(self.members)} ({self.method})"

    def needs(self) -> tuple[str, ...]:
        return self.members


class OracleSystem(_System):
    """The better rank of two systems for every target: what choosing between them could reach at best.

    Attributes:
        members: the two rows.
    """

    kind: Literal["oracle"] = "oracle"
    members: tuple[Name, Name]

    def usual_name(self) -> str:
        return f"oracle of {' and '.join(self.members)}"

    def needs(self) -> tuple[str, ...]:
        return self.members


class RecordedSystem(_System):
    """A language model whose answers were recorded elsewhere.

    Attributes:
        model: as the recording calls it.
        prompt: ``general`` shows the whole conversation.
        form: ``ranks`` of the targets; ``lists`` of items as its recording linked them; ``replay`` links the recorded
            text again, as for `LLMAloneSystem`. The last two need the data set's recorded_outputs.
    """

    kind: Literal["recorded"] = "recorded"
    model: Name
    prompt: Name = "general"
    form: Literal["ranks", "lists", "replay"] = "ranks"

    def usual_name(self) -> str:
        name = self.recording
        return {"ranks": name, "lists": f"{name} (lists)", "replay": f"{name} alone"}[self.form]

    @property
    def recording(self) -> str:
        """What `rarec.evaluate.recorded` calls it."""
        return self.model if self.prompt == "general" else f"{self.model}/{self.prompt}"

    def ranks(self, scope: Scope) -> bool:
        return scope == "data-set"


class FileSystem(_System):
    """Somebody's own predictions: JSONL lines ``{"example": id, "items": [ids]}``, or Parquet with these columns.

    Attributes:
        path: relative to the recipe's folder.
        depth: how far down the lists can be trusted; without it as far as the longest of them.
        catalogue: which catalogue was ranked.
        empty: empty lists are meant, and are misses.
    """

    kind: Literal["file"] = "file"
    path: Path
    depth: int | None = Field(default=None, ge=1)
    catalogue: Scope = "data-set"
    empty: bool = False

    def ranks(self, scope: Scope) -> bool:
        return scope == self.catalogue

    def usual_name(self) -> str:
        return self.path.name.partition(".")[0]

    def files(self) -> tuple[Path, ...]:
        return (self.path,)


class CustomSystem(_System):
    """A system that Python code hands over by name; a recipe file cannot hold one."""

    kind: Literal["custom"] = "custom"
    name: Name = Field()


SystemConfig = Annotated[
    PopularitySystem
    | RandomSystem
    | RepeatContextSystem
    | CoOccurrenceSystem
    | EmbeddingSimilaritySystem
    | BM25System
    | ItemKNNSystem
    | EASESystem
    | SASRecSystem
    | RetrieverSystem
    | RankedSystem
    | LLMAloneSystem
    | RecordedSystem
    | FusionSystem
    | OracleSystem
    | FileSystem
    | CustomSystem,
    Field(discriminator="kind"),
]
