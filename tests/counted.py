"""What counts add to the scores of items, as a plain dictionary."""

from __future__ import annotations

from collections.abc import Collection

from rarec.retriever.associations import Associations


def counted_bonuses(
    associations: Associations, items: Collection[str] = (), words: Collection[str] = ()
) -> dict[str, float]:
    """By the names of the items."""
    found: dict[str, float] = {}
    for _, counts, keys in associations.parts(items, words):
        for place, gained in zip(*(part.tolist() for part in counts.scored(keys)), strict=True):
            found[counts.items[place]] = found.get(counts.items[place], 0.0) + gained
    return found
