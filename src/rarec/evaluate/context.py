"""What systems are built from: read when it is first asked for, and then kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rarec.catalogue import load_layout
from rarec.catalogue.text import Layout
from rarec.conversations import Example, Links, as_served, linked_beyond, read_examples, within_catalogue
from rarec.conversations.data_set import DataSet, Watch
from rarec.conversations.data_sets import DATA_SETS, open_data_set
from rarec.conversations.own_format import INFO, JsonlSet
from rarec.embed.cache import CachedEmbedder
from rarec.embed.factory import EmbedderSettings, embedder_from
from rarec.embed.protocol import Embedder
from rarec.errors import InputError
from rarec.evaluate.gold import Gold, gold_of
from rarec.evaluate.item_vectors import item_vectors
from rarec.evaluate.predict import Progress
from rarec.evaluate.protocols import Scope
from rarec.evaluate.recipe import DataSetConfig
from rarec.evaluate.systems import GeneratingSystem, System
from rarec.types import Conversation, Item, ItemId

log = logging.getLogger(__name__)

QUERIES = 200_000
"""How many embedded queries are remembered: the contexts of one dialogue repeat its messages."""
SHARED = ("mapping", "corpus", "embeddings")
"""Folders that data sets of one data folder share."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What a run may use beside its recipe.

    Attributes:
        bundle: folder of the trained retriever and ranker.
        cache: file in which embedded item texts are kept; None keeps none.
        custom: name -> what builds a system of the kind ``custom``. Its code decides its answers and is not hashed:
            forget a folder's parts after you change it.
        embedder: instead of the one that the recipe names.
        progress: called with (stage, done, total).
    """

    bundle: Path | None = None
    cache: Path | None = None
    custom: Mapping[str, Factory] | None = None
    embedder: Embedder | None = None
    progress: Progress | None = None


class DataContext:
    """One data set of a recipe."""

    def __init__(
        self, config: DataSetConfig, resources: Resources, *, embedder: EmbedderSettings | None = None
    ) -> None:
        """Open the data set and look at its splits; nothing long.

        Raises:
            InputError: no such data set, folder or split; the splits that exist are listed.
        """
        self.config = config
        self.resources = resources
        self.source: DataSet = _opened(config)
        if config.examples is None:
            self.source.require(config.split)
        if config.training:
            self.source.require(config.training)
        self._embedder = embedder or EmbedderSettings()
        self._scopes: dict[Scope, Catalogue] = {}

    def files(self) -> list[Path]:
        """The files that decide conversations, examples and catalogues, without those for tuning."""
        config = self.config
        splits = [config.training] if config.training else []
        found = [] if config.examples is None else [config.examples]
        if config.examples is None:
            splits.insert(0, config.split)
        for split in splits:
            found += self.source.files(split)
        for root in (config.folder, config.folder.parent):
            for shared in SHARED:
                found += sorted((root / shared).glob("*.parquet")) + sorted((root / shared).glob("*.npy"))
        return list(dict.fromkeys(found))

    @cached_property
    def items(self) -> list[Item]:
        """The data set's own catalogue."""
        self.tell("items", 0, 1)
        found = self.source.items()
        self.tell("items", 1, 1)
        return found

    @cached_property
    def corpus(self) -> list[Item]:
        """The whole corpus. Raises InputError if the data set belongs to none."""
        if self._corpus is None:
            raise InputError(f"{self.config.name!r} has no corpus beside its own items; leave '/corpus' protocols out")
        return self._corpus

    @property
    def has_corpus(self) -> bool:
        """Whether the data set belongs to a larger corpus; that is read to find out."""
        return self._corpus is not None

    @cached_property
    def _corpus(self) -> list[Item] | None:
        return self.source.corpus(progress=lambda done, total: self.tell("corpus", done, total))

    @cached_property
    def popularity(self) -> list[float]:
        """Of everything that popularity is ranked within: the corpus, or else the items."""
        return self.source.corpus_popularity() or [item.popularity for item in self.items]

    @cached_property
    def training(self) -> list[Conversation]:
        """What systems learn from. Raises InputError if no split of the recipe is for training."""
        if not self.config.training:
            raise InputError(f"{self.config.name!r} has no split for training, and a system of the recipe needs one")
        return list(self.source.conversations(self.config.training, watch=self._watch(self.config.training)))

    @cached_property
    def examples(self) -> list[Example]:
        """The turns to predict."""
        if self.config.examples is not None:
            return self._as_met(read_examples(self.config.examples, catalogue_items=self.items))
        return self.of_split(self.config.split)

    @cached_property
    def tuning(self) -> list[Example]:
        """The turns that weights may be tuned on. Raises InputError if there is no such split."""
        return self.of_split(self.config.tuning)

    def of_split(self, split: str) -> list[Example]:
        """The turns of any split. Raises InputError if there is no such split."""
        examples = self.source.examples(split, watch=self._watch(split))
        ids = self.catalogue("data-set").ids
        if outside := [example.id for example in examples if not ids.issuperset(example.targets)]:
            # A published vocabulary may lack what its conversations recommend.
            log.warning(
                "%s %s: %d of %d examples, the first is %r, have targets that are not in the catalogue; these count as "
                "ground truths that are no item", self.config.name, split, len(outside), len(examples), outside[0],
            )  # fmt: skip
        return self._as_met(within_catalogue(examples, ids))

    def _as_met(self, examples: list[Example]) -> list[Example]:
        """With what the recipe lets systems know of their mentions."""
        if not self.config.sentiments:
            examples = [replace(example, conversation=as_served(example.conversation)) for example in examples]
        if self._linker is None:
            return examples
        return linked_beyond(examples, self.items, self._linker)

    @cached_property
    def _linker(self) -> Links | None:
        """Of the whole corpus; None where only annotated mentions count. Raises InputError if there is no corpus."""
        if self.config.mentions == "annotated":
            return None
        if self._corpus is None:
            raise InputError(
                f"{self.config.name!r} has no corpus beside its own items, so there is nothing more to link; "
                'leave mentions = "linked" out'
            )
        from rarec.catalogue.linker import Linker

        self.tell("names of the corpus", 0, 1)
        linker = Linker(self._corpus)
        self.tell("names of the corpus", 1, 1)
        return linker

    @cached_property
    def mentioned(self) -> list[Item]:
        """Items of the corpus that the evaluated and the tuning conversations mention, in the corpus's order.

        Empty where only annotated mentions count.
        """
        if self._linker is None:
            return []
        turns = [*self.examples, *(self.tuning if self.config.tuning in self.source.splits() else ())]
        ids = {mention.item for example in turns for mention in example.conversation.mentions()}
        return [item for item in self.corpus if item.id in ids]

    def turns(self, split: str) -> list[Example]:
        """The examples of the split that is evaluated, or of the one for tuning."""
        return self.tuning if split == self.config.tuning else self.examples

    def gold(self, split: str, *, corpus: bool) -> Gold:
        """The gold of `turns(split)`; `corpus` takes in everything that may be ranked there."""
        return gold_of(
            self.turns(split),
            self.corpus if corpus else self.items,
            self.training if self.config.training else (),
            data_set=self.config.name,
            split=split,
            in_data_set=frozenset(item.id for item in self.items) if corpus else None,
        )

    @cached_property
    def embedder(self) -> Embedder:
        """Remembers what it has embedded: items in the cache file, queries in memory."""
        given = self.resources.embedder  # an empty cache is falsy
        embedder = embedder_from(self._embedder) if given is None else given
        # Only documents go to the file; without one there is nothing to keep them in.
        path = self.resources.cache or Path(":memory:")
        return CachedEmbedder(embedder, path, queries=QUERIES)

    @cached_property
    def layout(self) -> Layout:
        """How items are written for the embedder."""
        known = (self.embeddings / "texts.parquet").exists()
        return load_layout(self.config.layout or ("film" if known else "generic"))

    @property
    def embeddings(self) -> Path:
        """Where vectors of item texts may lie: in the folder, or in the data folder around it."""
        inside = self.config.folder / "embeddings"
        return inside if inside.is_dir() else self.config.folder.parent / "embeddings"

    def catalogue(self, scope: Scope) -> Catalogue:
        """What may be ranked under a scope."""
        if scope not in self._scopes:
            self._scopes[scope] = Catalogue(self, scope)
        return self._scopes[scope]

    def _watch(self, split: str) -> Watch:
        return Watch(lambda done, total: self.tell(f"read {split}, bytes", done, total))

    def tell(self, stage: str, done: int, total: int) -> None:
        """Report progress."""
        if self.resources.progress is not None:
            self.resources.progress(f"{self.config.name}: {stage}", done, total)


class Catalogue:
    """The items of one scope, with their vectors: what a system that ranks them is built from."""

    def __init__(self, data: DataContext, scope: Scope) -> None:
        self.data = data
        self.scope: Scope = scope

    @cached_property
    def items(self) -> list[Item]:
        return self.data.corpus if self.scope == "corpus" else self.data.items

    @cached_property
    def ids(self) -> frozenset[ItemId]:
        return frozenset(item.id for item in self.items)

    @property
    def training(self) -> list[Conversation]:
        return self.data.training

    @property
    def embedder(self) -> Embedder:
        return self.data.embedder

    @cached_property
    def mentioned(self) -> list[Item]:
        """What the conversations of the data set's `mentions` mention beside the items."""
        return [item for item in self.data.mentioned if item.id not in self.ids]

    @cached_property
    def counted(self) -> list[ItemId]:
        """What training mentions beside the items, where that may be mentioned; the turns to predict do not matter."""
        if self.data.config.mentions == "annotated":
            return []
        said = dict.fromkeys(m.item for conversation in self.training for m in conversation.mentions())
        return [item for item in said if item not in self.ids]

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """A unit vector for each item, shape (items, dimension); those that are missing are embedded."""
        return self._vectors(self.items)

    @cached_property
    def vectors_of_mentioned(self) -> NDArray[np.float32]:
        """The same for `mentioned`."""
        return self._vectors(self.mentioned)

    def _vectors(self, items: Sequence[Item]) -> NDArray[np.float32]:
        return item_vectors(
            items,
            self.embedder,
            layout=self.data.layout,
            stored=self.data.embeddings,
            progress=lambda done, total: self.data.tell("item texts", done, total),
        )

    def vectors_of(self, items: Sequence[Item]) -> NDArray[np.float32]:
        """Vectors of some of its items and of what is mentioned beside them, shape (len(items), dimension)."""
        asked, n = [self._rows[item.id] for item in items], len(self.items)
        if all(row < n for row in asked):
            return self.vectors[asked]
        others = self.vectors_of_mentioned
        return np.array([self.vectors[row] if row < n else others[row - n] for row in asked])

    @cached_property
    def _rows(self) -> dict[ItemId, int]:
        return {item.id: row for row, item in enumerate([*self.items, *self.mentioned])}


Factory = Callable[[Catalogue, int], System | GeneratingSystem]
"""Builds a system from a catalogue and a seed."""


def _opened(config: DataSetConfig) -> DataSet:
    if not config.folder.is_dir():
        raise InputError(
            f"the folder {str(config.folder)!r} of {config.name!r} does not exist; correct 'folder' in the recipe (it "
            "is relative to the recipe), or name the data folder with --data"
        )
    source = _source(config)
    if (config.folder / INFO).exists() and isinstance(source, JsonlSet) and source.name != config.name:
        log.warning(
            "the recipe calls %r what %s calls %r; is it the folder that you mean?",
            config.name, str(config.folder / INFO), source.name,
        )  # fmt: skip
    return source


def _source(config: DataSetConfig) -> DataSet:
    if config.reader:
        return open_data_set(config.reader, config.folder)
    if config.name in DATA_SETS:
        return open_data_set(config.name, config.folder)
    if not any(config.folder.glob("items.jsonl*")):
        raise InputError(
            f"unknown data set {config.name!r}; use one of {', '.join(DATA_SETS)}, or give the folder of your own "
            f"(there is no items.jsonl in {str(config.folder)!r})"
        )
    return open_data_set("jsonl", config.folder)
