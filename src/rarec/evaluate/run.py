"""From files and names to a table: what the command line calls."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path

import numpy as np

from rarec.conversations import (
    DATA_SETS,
    Example,
    data_set_catalogue,
    data_set_items,
    read_examples,
    read_split,
)
from rarec.embed.protocol import Embedder
from rarec.errors import InputError
from rarec.evaluate.baselines import CoOccurrence, EmbeddingSimilarity, Popularity, Random, RepeatContext
from rarec.evaluate.harness import Progress, Protocol
from rarec.evaluate.recorded import RecordedRanks, Recording, read_recorded
from rarec.evaluate.systems import System
from rarec.evaluate.table import Options, Table, evaluate
from rarec.evaluate.vectors import stored_vectors
from rarec.types import Conversation, Item

RECORDED_MODELS = ("gpt-4", "gpt-3.5-turbo", "vicuna", "baize")
_PACKAGES = ("rarec", "numpy", "torch", "sentence-transformers")


class Context:
    """What a system may be built from; everything is read when it is first asked for, and then kept."""

    def __init__(self, data_root: Path, data_set: str, *, seed: int = 0) -> None:
        self.data_root = data_root
        self.data_set = data_set
        self.seed = seed

    @cached_property
    def items(self) -> list[Item]:
        """The data set's catalogue."""
        return data_set_items(self.data_root, self.data_set)

    @cached_property
    def training(self) -> list[Conversation]:
        """The data set's training conversations."""
        return list(read_split(self.data_root, self.data_set, "train"))

    @cached_property
    def embedder(self) -> Embedder:
        """The packaged embedder, of which vectors lie in the data folder."""
        from rarec.embed.minilm import MiniLMEmbedder

        return MiniLMEmbedder()


Factory = Callable[[Context], System]


def _embedding_similarity(context: Context) -> System:
    vectors = stored_vectors(context.data_root / "embeddings", [item.id for item in context.items])
    return EmbeddingSimilarity(context.items, vectors, embedder=context.embedder)


BASELINES: Mapping[str, Factory] = {
    "popularity": lambda context: Popularity(context.items, context.training),
    "co-occurrence": lambda context: CoOccurrence(context.items, context.training),
    "embedding-similarity": _embedding_similarity,
    "random": lambda context: Random(context.items, seed=context.seed),
    "repeat-context": lambda context: RepeatContext(context.items),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateSettings:
    """One evaluation.

    Attributes:
        eval_file: examples (JSONL, .zst, .gz).
        data_root: the folder with corpus/, mapping/ and the data sets.
        systems: names in the order of the table: baselines, recorded models ("gpt-4", or "gpt-4/p2" for
            another prompt), and the names in `factories`.
        ranks_file: recorded ranks; needed by recorded models only.
        factories: name -> what builds the system, beyond the baselines; the same name replaces a baseline.
        data_set: None takes it from the examples' ids ("redial_3" is of redial).
        protocols: one block each.
    """

    eval_file: Path
    data_root: Path
    systems: tuple[str, ...]
    ranks_file: Path | None = None
    factories: Mapping[str, Factory] = field(default_factory=dict[str, Factory])
    data_set: str | None = None
    protocols: tuple[Protocol, ...] = ("new-targets",)
    options: Options = field(default_factory=Options)


def run_evaluation(settings: EvaluateSettings, *, progress: Progress | None = None) -> Table:
    """Read the examples, build the systems, and give the table with what it was computed from.

    Raises:
        InputError: a file is missing or wrong, a name is unknown, or a system or recording does not fit.
        MissingExtra: a package for reading the files, or for a system, is not installed.
    """
    _check_names(settings)
    data_set = settings.data_set or infer_data_set(settings.eval_file)
    context = Context(settings.data_root, data_set, seed=settings.options.seed)
    examples = read_examples(settings.eval_file, catalogue_items=context.items)
    built = {name: _factory(settings, name)(context) for name in settings.systems if not _is_recorded(settings, name)}
    table: Table | None = None
    for protocol in settings.protocols:
        systems = [built.get(name) or _recorded(settings, name, examples, protocol) for name in settings.systems]
        block = evaluate(
            examples,
            systems,
            catalogue=data_set_catalogue(settings.data_root, data_set),
            protocol=protocol,
            options=settings.options,
            progress=progress,
        )
        table = block if table is None else table.then(block)
    if table is None:
        raise InputError("no protocol was given; use 'new-targets' or 'all-targets'")
    return table.with_meta(**_provenance(settings, data_set))


def infer_data_set(eval_file: Path) -> str:
    """The data set that an evaluation file's first example id begins with.

    Raises:
        InputError: the file is missing, empty or wrong, or the id begins with no known data set.
    """
    from rarec.conversations.lines import json_records

    for record in json_records(eval_file):
        example = record.name("example_id")
        for data_set in DATA_SETS:
            if example.startswith(f"{data_set}_"):
                return data_set
        raise record.error("example_id", f"{example!r} begins with none of {DATA_SETS}; name the data set")
    raise InputError(f"{str(eval_file)!r} has no examples")


def _check_names(settings: EvaluateSettings) -> None:
    if not settings.systems:
        raise InputError("no systems were named; for example 'popularity' or 'co-occurrence'")
    known = [*BASELINES, *(name for name in settings.factories if name not in BASELINES), *RECORDED_MODELS]
    for name in settings.systems:
        if _is_recorded(settings, name):
            if settings.ranks_file is None:
                raise InputError(f"{name!r} is a recorded model; give the file of recorded ranks")
        elif name not in settings.factories and name not in BASELINES:
            raise InputError(f"unknown system {name!r}; use {', '.join(known)}")


def _is_recorded(settings: EvaluateSettings, name: str) -> bool:
    return name.partition("/")[0] in RECORDED_MODELS and name not in settings.factories


def _factory(settings: EvaluateSettings, name: str) -> Factory:
    return settings.factories[name] if name in settings.factories else BASELINES[name]


def _recorded(settings: EvaluateSettings, name: str, examples: list[Example], protocol: Protocol) -> RecordedRanks:
    model, _, prompt = name.partition("/")
    recording = Recording(model, prompt or "general", exclude_seen=protocol == "new-targets")
    data_set = settings.data_set or infer_data_set(settings.eval_file)
    return read_recorded(str(settings.ranks_file), examples, data_set=data_set, recording=recording)


def _provenance(settings: EvaluateSettings, data_set: str) -> dict[str, object]:
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "data_set": data_set,
        "file": settings.eval_file.name,
        "ranks_file": None if settings.ranks_file is None else settings.ranks_file.name,
        "against": settings.options.against,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": versions,
    }
