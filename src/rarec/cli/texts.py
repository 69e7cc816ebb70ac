"""The embedder of a store, opened only if it is needed, and how items are written for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rarec.catalogue import Layout
    from rarec.embed import CachedEmbedder
    from rarec.types import Item

Opened = Callable[[], "CachedEmbedder"]


@contextmanager
def opened_when_needed(store: Path) -> Iterator[Opened]:
    """The store's embedder on the first call, the same one on later calls; torch takes seconds to load."""
    from rarec.settings import StorePaths, read_settings

    with ExitStack() as stack:
        made: list[CachedEmbedder] = []

        def opened() -> CachedEmbedder:
            if not made:
                from rarec.assembly import cached_embedder

                made.append(stack.enter_context(cached_embedder(StorePaths(store), read_settings(store))))
            return made[0]

        yield opened


def written_by(layout: Layout, embedder: Opened) -> Callable[[Item], str]:
    """Item -> the text that is embedded; the embedder is asked for its tokens only if the layout counts them."""
    if layout.max_tokens is None:
        return layout.render
    return partial(layout.render, tokens=embedder().tokens)
