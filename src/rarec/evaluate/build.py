"""What a recipe says of a system -> the system."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel

from rarec.errors import InputError, LLMUnavailable, SettingsError
from rarec.evaluate.asking import Asking
from rarec.evaluate.baselines import CoOccurrence, EmbeddingSimilarity, Popularity, Random, RepeatContext
from rarec.evaluate.context import Catalogue
from rarec.evaluate.llm_systems import RANKED, LLMAlone, RankedByLLM
from rarec.evaluate.system_configs import (
    COMMON,
    BM25System,
    CoOccurrenceSystem,
    CustomSystem,
    EASESystem,
    EmbeddingSimilaritySystem,
    ItemKNNSystem,
    LLMAloneSystem,
    LLMConfig,
    PopularitySystem,
    RandomSystem,
    RankedSystem,
    RepeatContextSystem,
    RetrieverSystem,
    SASRecSystem,
)
from rarec.evaluate.systems import GeneratingSystem, System
from rarec.llm.budget import Prices
from rarec.llm.cached import AnswerFile, CachedLLM
from rarec.llm.http import KEY_VARIABLE, HttpLLM
from rarec.llm.protocol import LLM


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a system is built from.

    Attributes:
        seed: for systems that draw at random.
        system: the built system of a row above.
        answers: folder in which answers of language models are kept; None keeps none.
    """

    catalogue: Catalogue
    seed: int
    system: Callable[[str], System | GeneratingSystem]
    answers: Path | None = None

    @property
    def bundle(self) -> Path:
        """Raises InputError if the run has none."""
        if (bundle := self.catalogue.data.resources.bundle) is None:
            raise InputError("a system of this recipe is trained; name its bundle")
        return bundle


@singledispatch
def build(config: object, given: Workshop) -> System | GeneratingSystem:  # noqa: ARG001
    """The system that a config describes.

    Raises:
        InputError: it does not fit the catalogue, or names a custom system that nobody gave.
        BundleError: the bundle is missing, damaged or trained with another embedder.
        MissingExtra: a package that it needs is not installed.
        SettingsError: the variable of a language model's key is not set.
    """
    raise InputError(f"{type(config).__name__} is no system that can be built")


@build.register
def _(config: PopularitySystem, given: Workshop) -> System:  # noqa: ARG001
    return Popularity(given.catalogue.items, given.catalogue.training)


@build.register
def _(config: RandomSystem, given: Workshop) -> System:  # noqa: ARG001
    return Random(given.catalogue.items, seed=given.seed)


@build.register
def _(config: RepeatContextSystem, given: Workshop) -> System:  # noqa: ARG001
    return RepeatContext(given.catalogue.items)


@build.register
def _(config: CoOccurrenceSystem, given: Workshop) -> System:  # noqa: ARG001
    return CoOccurrence(**_counted(given))


@build.register
def _(config: EmbeddingSimilaritySystem, given: Workshop) -> System:
    catalogue = given.catalogue
    return EmbeddingSimilarity(
        catalogue.items,
        catalogue.vectors,
        embedder=catalogue.embedder,
        variant=config.variant,
        mentioned=catalogue.mentioned,
        mentioned_vectors=catalogue.vectors_of_mentioned,
    )


@build.register
def _(config: BM25System, given: Workshop) -> System:
    from rarec.evaluate.baselines.bm25 import BM25

    return BM25(given.catalogue.items, layout=given.catalogue.data.layout, **_chosen(config))


@build.register
def _(config: ItemKNNSystem, given: Workshop) -> System:
    from rarec.evaluate.baselines.item_knn import ItemKNN

    return ItemKNN(**_counted(given), **_chosen(config))


@build.register
def _(config: EASESystem, given: Workshop) -> System:
    from rarec.evaluate.baselines.ease import EASE

    return EASE(**_counted(given), **_chosen(config))


@build.register
def _(config: SASRecSystem, given: Workshop) -> System:
    from rarec.evaluate.baselines.sasrec import SASRec

    return SASRec(**_counted(given), seed=given.seed, **_chosen(config))


@build.register
def _(config: RetrieverSystem, given: Workshop) -> System:  # noqa: ARG001
    from rarec.evaluate import neural

    catalogue = given.catalogue
    return neural.RetrieverSystem.load(
        given.bundle,
        catalogue.items,
        catalogue.vectors,
        embedder=catalogue.embedder,
        popularity=catalogue.data.popularity,
        mentioned=catalogue.mentioned,
        mentioned_texts=catalogue.vectors_of_mentioned,
    )


@build.register
def _(config: RankedSystem, given: Workshop) -> GeneratingSystem:
    local = config.llm == "local"
    return RankedByLLM(
        _lists(given.system(config.of)),
        _local(given) if config.llm == "local" else _remote(config.llm, given),
        given.catalogue.items,
        mentioned=given.catalogue.mentioned,
        candidates=config.candidates,
        n=config.n or (config.candidates if local else RANKED),
        asking=Asking(concurrency=1) if config.llm == "local" else _asking(config.llm),
        template=config.template,
    )


@build.register
def _(config: LLMAloneSystem, given: Workshop) -> GeneratingSystem:
    return LLMAlone(
        _remote(config.llm, given),
        given.catalogue.items,
        mentioned=given.catalogue.mentioned,
        titles=config.titles,
        kind=config.items,
        asking=_asking(config.llm),
        template=config.template,
    )


@build.register
def _(config: CustomSystem, given: Workshop) -> System | GeneratingSystem:
    factories = given.catalogue.data.resources.custom or {}
    if config.row not in factories:
        raise InputError(f"nobody gave a system {config.row!r}; there are {sorted(factories)!r}")
    return factories[config.row](given.catalogue, given.seed)


def _counted(given: Workshop) -> dict[str, Any]:
    """What a collaborative baseline counts, and over what."""
    catalogue = given.catalogue
    return {"items": catalogue.items, "conversations": catalogue.training, "mentioned": catalogue.counted}


def _chosen(config: BaseModel) -> dict[str, Any]:
    """The settings of a baseline that the recipe sets; the others are the baseline's own."""
    return {name: value for name, value in config if value is not None and name not in ("kind", *COMMON)}


def _lists(system: System | GeneratingSystem) -> System:
    if not hasattr(system, "rank"):
        raise InputError(f"{system.name!r} gives no lists that a language model could choose from; give it `rank`")
    return cast("System", system)


def _asking(config: LLMConfig) -> Asking:
    prices = None if config.prices is None else Prices(config.prices.input, config.prices.output)
    return Asking(
        concurrency=config.concurrency, deadline_s=config.deadline_s, max_tokens=config.max_tokens,
        temperature=config.temperature, prices=prices,
    )  # fmt: skip


def _local(given: Workshop) -> LLM:
    from rarec.ranker.local import LocalRanker

    return LocalRanker.load(given.bundle, given.catalogue.embedder, given.catalogue.vectors_of)


def check_remote(row: str, config: LLMConfig, answers: Path | None) -> None:
    """Find out before the work what its client can tell of a language model that is to be asked.

    Raises:
        LLMUnavailable: there is no key; nothing is said where answers were kept, which may be all that is needed.
        SettingsError: the variable of the key is not set, or the key or the address cannot be right.
        MissingExtra: the package of the client is not installed.
    """
    llm = _client(config)
    if answers is None or not (answers / f"{_server(config)}.jsonl").exists():
        try:
            llm.check_key()
        except LLMUnavailable as error:
            raise LLMUnavailable(f"{row!r} asks {config.model!r}, but {error}") from None


def _remote(config: LLMConfig, given: Workshop) -> LLM:
    llm = _client(config)
    if given.answers is None:
        return llm
    return CachedLLM(llm, AnswerFile(given.answers / f"{_server(config)}.jsonl"))


def _client(config: LLMConfig) -> HttpLLM:
    key = os.environ.get(config.api_key_env, "")
    if not key and config.api_key_env != KEY_VARIABLE:
        # The client would fall back on the usual variable, and one provider's key would go to another.
        raise SettingsError(f"the environment variable {config.api_key_env!r} of {config.model!r} is not set; set it")
    return HttpLLM(config.model, base_url=config.base_url or None, api_key=key or None)


def _server(config: LLMConfig) -> str:
    """A file name for the answers of one server: the same model's name may mean another model elsewhere."""
    return "answers-" + hashlib.sha256(config.base_url.encode()).hexdigest()[:12]
