"""Puts the parts of a store together and keeps them in step with its catalogue."""

from __future__ import annotations

import os
import shutil
import threading
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from importlib import resources
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rarec.catalogue import CatalogueStore, load_layout
from rarec.catalogue.linker import Linker
from rarec.constraints.vocabulary import Vocabulary
from rarec.embed.cache import CachedEmbedder
from rarec.embed.factory import embedder_from
from rarec.embed.protocol import Embedder
from rarec.embed.tokens import tokens_of
from rarec.errors import InputError, SettingsError, StoreError, UnknownItem
from rarec.files import write_text
from rarec.index.exact import ExactIndex
from rarec.item_numbers import ItemNumbers
from rarec.llm.http import KEY_VARIABLE, HttpLLM
from rarec.llm.protocol import LLM
from rarec.prompt import PromptTemplate
from rarec.ranker.local import LocalRanker
from rarec.retriever.associations import Context, LiveAssociations
from rarec.retriever.bundle import load_model, load_retriever, read_manifest
from rarec.retriever.encoder import ConversationEncoder
from rarec.retriever.features import PopularityScale, item_features
from rarec.retriever.model import Retriever
from rarec.settings import TEMPLATE, LLMSettings, Settings, StorePaths, read_settings
from rarec.types import Conversation, Filters, Item, ItemId, Turn

Progress = Callable[[int, int], None]

EMBED_CHUNK = 64
"""Texts between two commits: so often progress is reported, and so many a kill loses at most."""


AT_ONCE = 50_000
"""Items that are in memory with their texts while a store is opened."""

RESCALE_SHARE = 0.1
"""Popularity counts by its rank in the catalogue; past so much growth or loss all items are ranked anew."""

MOST_TOKENS = 512
MOST_MENTIONS = 50
"""What the retriever reads of a conversation, and of one turn: the newest."""


class Engine:
    """Catalogue, linker, encoder and index of one store.

    Items that are added, changed or deleted in the catalogue, by this process or another, take effect at the next
    `refresh`, which costs one look at a counter if nothing changed. Safe to use from several threads.

    Attributes:
        bundle: sha256 of the retriever's weights; empty if they come from no bundle.
        folder: of the bundle.
    """

    def __init__(
        self,
        catalogue: CatalogueStore,
        embedder: Embedder,
        model: Retriever,
        *,
        bundle: str = "",
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.bundle, self.folder = bundle, folder
        self.catalogue, self.embedder, self.model = catalogue, embedder, model
        self._numbers = ItemNumbers()
        self.index = ExactIndex(model.config.width + 1, float_columns=1, numbers=self._numbers)
        self.linker = Linker()
        self.encoder = ConversationEncoder(model, embedder, self.vectors)
        self._associated = LiveAssociations(model.associations, self._numbers)
        self._vocabulary: Vocabulary | None = None
        self._lock = threading.Lock()
        self._version = catalogue.version
        self._scale, self._scaled_for = PopularityScale([]), 0
        self._take_all(progress)

    @property
    def vocabulary(self) -> Vocabulary:
        """What the items can be asked for in words; made when it is first needed, and then kept in step."""
        with self._lock:
            if self._vocabulary is None:
                self._vocabulary = Vocabulary(self.catalogue)
            return self._vocabulary

    def with_bundle(self, bundle: Path) -> Engine:
        """The same catalogue and embedder with the retriever of another bundle. Raises BundleError."""
        return _engine(self.catalogue, self.embedder, bundle, None)

    def item_text(self, item: Item) -> str:
        """What is embedded for an item."""
        return self._layout.render(item, tokens_of(self.embedder) if self._layout.max_tokens else None)

    def item_embeddings(self, items: Sequence[Item]) -> NDArray[np.float32]:
        """Embeddings of the items' texts, shape (n, d); from the cache, unless an item is new."""
        return self.embedder.embed([self.item_text(i) for i in items])

    def link(self, conversation: Conversation) -> Conversation:
        """Find the mentions of every turn that was not linked yet."""
        return replace(
            conversation,
            turns=tuple(
                t if t.mentions is not None else Turn(t.role, t.text, self.linker.link(t.text))
                for t in conversation.turns
            ),
        )

    def leaves_any(self, filters: Filters, conversation: Conversation) -> bool:
        """Whether any item passes and was not mentioned; looks at the filters only, at no vector."""
        mentioned = {mention.item for mention in self.link(conversation).mentions()}
        asked = replace(filters, exclude=filters.exclude | mentioned)
        (hits,) = self.index.search(np.zeros((1, self.index.dimension), np.float32), n=1, filters=asked)
        return len(hits.ids) > 0

    def query(self, linked: Conversation) -> NDArray[np.float32]:
        """The retriever's query for a linked conversation, shape (width + 1,); see `recent` for what it reads."""
        return self.encoder.query(recent(linked))

    def bonuses(self, linked: Conversation) -> Mapping[ItemId, float]:
        """What is associated to a linked conversation: item -> what is added to its score, above 0."""
        return self._associated.bonuses(Context.of(recent(linked))) if self.model.associations else {}

    def quoted(self, linked: Conversation, ids: Collection[ItemId]) -> dict[ItemId, tuple[str, ...]]:
        """Words of the user that stand in titles and texts of some items, the rarest first, as far as they count."""
        return self._associated.quoted(Context.of(recent(linked)), ids) if self.model.associations.written else {}

    def vectors(self, ids: Sequence[ItemId]) -> dict[ItemId, NDArray[np.float32]]:
        """Item vectors, shape (width + 1,) each, of those ids that are in the index."""
        while True:
            known = [i for i in ids if i in self.index]
            try:
                return dict(zip(known, self.index.vectors(known), strict=True)) if known else {}
            except UnknownItem:  # another thread has removed one just now
                continue

    def refresh(self) -> int:
        """Take over what changed in the catalogue; the catalogue's version that all is now in step with.

        Raises:
            EmbedderError: new items cannot be embedded; deleted ones are gone, the rest is tried again next time.
        """
        if self.catalogue.version == self._version:
            return self._version
        with self._lock:
            version = self.catalogue.version
            if version == self._version:
                return version
            changes = self.catalogue.changes_since(self._version)
            self.index.remove(changes.deleted)
            self.linker.remove(changes.deleted)
            self._associated.remove(changes.deleted)
            self._numbers.forget(changes.deleted)
            changed = self.catalogue.get_many(changes.changed, missing="skip")
            # Not len(catalogue): counting its rows takes longer than all the rest of taking over one item.
            size = len(self.index) + sum(item.id not in self.index for item in changed)
            moves = max(abs(size - self._scaled_for), len(changed))
            moved = moves > RESCALE_SHARE * self._scaled_for
            before = self._scale, self._scaled_for
            try:
                self._put(self._rescale() if moved else changed, None)
            except BaseException:
                self._scale, self._scaled_for = before  # one index never holds vectors of two scales
                raise
            self.linker.add(changed)
            if self._vocabulary is not None:
                self._vocabulary.remove(changes.deleted)
                self._vocabulary.add(changed)
            self.encoder.forget()
            self._version = version
            return version

    def close(self) -> None:
        """Close the files of the store."""
        self.catalogue.close()
        close = getattr(self.embedder, "close", None)
        if close is not None:
            close()

    def _take_all(self, progress: Progress | None) -> None:
        """The whole catalogue, some items at a time, so that neither texts nor their vectors are ever all in memory."""
        coming, before = self._rescale(), 0
        while items := list(islice(coming, AT_ONCE)):
            self._put(items, _among(progress, before, len(items), max(self._scaled_for, before + len(items))))
            self.linker.add(items)
            before += len(items)

    def _rescale(self) -> Iterator[Item]:
        """Rank popularities anew; gives all items, since the vectors of all hang on it."""
        popularities = np.fromiter((item.popularity for item in self.catalogue), np.float64)
        self._scale, self._scaled_for = PopularityScale(popularities), len(popularities)
        return iter(self.catalogue)

    def _put(self, items: Iterable[Item], progress: Progress | None) -> None:
        """Embed some items at a time, without keeping their texts; the index then takes all of them, or none."""
        self._layout = self.catalogue.layout
        coming, known, vectors = iter(items), list[Item](), list[NDArray[np.float32]]()
        while portion := list(islice(coming, AT_ONCE)):
            embedded = self.embedder.embed([self.item_text(i) for i in portion], progress=progress)
            features = item_features(
                embedded, [i.popularity for i in portion], [i.year for i in portion], scale=self._scale
            )
            vectors.append(self.model.project(torch.from_numpy(features)).numpy())
            # Here, where the texts are; what the index does not have yet, or will not, gets nothing from it.
            self._associated.put(portion, features)
            known += [replace(item, text="") for item in portion]
        if known:
            self.index.add(known, np.concatenate(vectors))


def _among(progress: Progress | None, before: int, size: int, total: int) -> Progress | None:
    """What is told of some of the items, as part of all; of all at once only those that are new are counted."""
    if progress is None or size == total:
        return progress
    return lambda done, new: progress(before + size - new + done, total)


def recent(conversation: Conversation) -> Conversation:
    """The newest turns, at most about `MOST_TOKENS` messages and mentions, so that no conversation takes for ever.

    Old turns go many at a time: while they stay, the retriever goes on from where it was. Of a turn the last
    `MOST_MENTIONS` mentions count.
    """
    turns = tuple(
        replace(t, mentions=t.mentions[-MOST_MENTIONS:]) if t.mentions and len(t.mentions) > MOST_MENTIONS else t
        for t in conversation.turns
    )
    ends = list(accumulate(1 + len(t.mentions or ()) for t in turns))
    half = MOST_TOKENS // 2
    first = bisect_right(ends, (ends[-1] // half - 1) * half) if ends and ends[-1] > MOST_TOKENS else 0
    return replace(conversation, turns=turns[first:])


def open_engine(
    path: Path, *, flags: Mapping[str, Any] | None, llm: LLM | None, progress: Progress | None
) -> tuple[Engine, Settings, LLM | None]:
    """Open the parts that the settings name; see `rarec.pipeline.Recommender.open`."""
    paths, settings = StorePaths(path), read_settings(path, flags)
    with ExitStack() as opened:  # closes what was opened if a later part fails
        catalogue = opened.enter_context(CatalogueStore.open(paths.catalogue))
        embedder = opened.enter_context(cached_embedder(paths, settings))
        bundle = paths.bundle  # once: another may be promoted between the lines that read it
        # What may be wrong comes before items are embedded, which may take hours.
        prompt_template(settings.llm)
        if llm is None and settings.llm.kind == "http":
            llm = _remote(settings.llm)
        elif llm is None and settings.llm.kind == "local":
            load_model(bundle, "ranker", embedder=embedder.name)
        engine = _engine(catalogue, embedder, bundle, progress)
        chosen = llm if llm is not None else llm_from(settings.llm, engine, bundle)
        opened.pop_all()
    return engine, settings, chosen


def _engine(catalogue: CatalogueStore, embedder: Embedder, bundle: Path, progress: Progress | None) -> Engine:
    model = load_retriever(bundle, embedder=embedder.name)
    weights = read_manifest(bundle, "retriever").sha256
    return Engine(catalogue, embedder, model, bundle=weights, folder=bundle, progress=progress)


def cached_embedder(paths: StorePaths, settings: Settings) -> CachedEmbedder:
    """The embedder of a store, with what it has embedded before; close it.

    Raises:
        SettingsError: see `embedder_from`.
    """
    return CachedEmbedder(embedder_from(settings.embedder), paths.embeddings, chunk=EMBED_CHUNK)


def llm_from(settings: LLMSettings, engine: Engine, bundle: Path) -> LLM | None:
    """The model that the settings name; None for ``none``.

    Raises:
        BundleError: the bundle has no ranker, or it is damaged.
        SettingsError: `api_key_env` names another variable than the usual one, and it is not set.
    """
    if settings.kind == "none":
        return None
    if settings.kind == "local":
        return LocalRanker.load(bundle, engine.embedder, engine.item_embeddings)
    return _remote(settings)


def _remote(settings: LLMSettings) -> HttpLLM:
    key = os.environ.get(settings.api_key_env, "")
    if not key and settings.api_key_env != KEY_VARIABLE:
        # The client would fall back on the usual variable, and one provider's key would go to another.
        raise SettingsError(
            f"the environment variable {settings.api_key_env!r} named by llm.api_key_env is not set; set it to the "
            "key (to any text if the server asks for none)"
        )
    return HttpLLM(
        settings.model, base_url=settings.base_url or None, api_key=key or None, max_retries=settings.max_retries
    )


def prompt_template(settings: LLMSettings) -> PromptTemplate:
    """The template that the settings name. Raises SettingsError if there is none, or it is wrong."""
    name = settings.template
    return PromptTemplate.load(Path(name) if name.endswith(".toml") else name)


def create_store(path: Path, *, layout: str = "generic", bundle: Path | None = None) -> StorePaths:
    """Make an empty store with the packaged bundle, or another one.

    Raises:
        StoreError: there is a store already, or the folder cannot be written.
        InputError: `bundle` is not a folder with a retriever.
        BundleError: a model of it is damaged.
        SettingsError: there is no such layout.
    """
    paths = StorePaths(path)
    if paths.catalogue.exists():
        raise StoreError(f"there is a store at {str(path)!r} already; choose another folder, or delete that one")
    source, target = bundle or default_bundle(), paths.bundle
    if not (source / "retriever.json").is_file():
        raise InputError(f"{str(source)!r} is not a bundle folder; train one with: rarec train")
    chosen = load_layout(layout)  # before anything is written
    load_retriever(source, embedder=read_manifest(source, "retriever").embedder)
    if (source / "ranker.json").exists():
        load_model(source, "ranker", embedder=read_manifest(source, "ranker").embedder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not (target.exists() and source.samefile(target)):
            shutil.copytree(source, target, dirs_exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make a store at {str(path)!r}: {error.strerror or error}") from error
    if not paths.settings.exists():
        write_text(paths.settings, TEMPLATE)
    CatalogueStore.open(paths.catalogue, create=True, layout=chosen).close()
    return paths


def default_bundle() -> Path:
    """The folder of the bundle that is shipped with rarec."""
    return Path(str(resources.files("rarec") / "default_bundle"))
