"""MovieLens ratings -> one sequence of interactions a user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rarec.conversations.parquet import read_table
from rarec.errors import InputError
from rarec.types import ItemId, Sentiment

LIKED_FROM = 4
DISLIKED_TO = 2


@dataclass(frozen=True, slots=True)
class Interactions:
    """What one user did, oldest first; `items` and `sentiments` have the same length, at least 1."""

    user: str
    items: tuple[ItemId, ...]
    sentiments: tuple[Sentiment, ...]


def read_ml1m(path: str | Path) -> Iterator[Interactions]:
    """Users of a ratings file (columns user_id, item, rating, position) in order of their ids.

    Items follow `position`; ratings without a position or whose film could not be mapped are left out.
    A rating of 4 or more is liked, of 2 or less disliked, else mentioned. A file without rows gives nothing.

    Raises:
        InputError: there is no such file, it is not Parquet, lacks a column or holds a wrong type.
        MissingExtra: pyarrow is not installed.
    """
    table = read_table(path, ("user_id", "item", "rating", "position"), purpose="reading MovieLens")
    import pyarrow.compute as compute

    keep = compute.and_(compute.is_valid(table["position"]), compute.is_valid(table["item"]))
    table = table.filter(keep)
    columns = {name: table[name].to_numpy() for name in ("user_id", "item", "rating", "position")}
    for name, values in columns.items():
        if not np.issubdtype(values.dtype, np.number):
            raise InputError(f"{str(path)!r}: column {name!r} is {values.dtype}, not a number; is it the ratings file?")
    order = np.lexsort((columns["position"], columns["user_id"]))
    users, items, ratings = (columns[name][order] for name in ("user_id", "item", "rating"))
    starts = np.flatnonzero(np.r_[True, users[1:] != users[:-1]]) if len(users) else np.empty(0, np.intp)
    for start, end in zip(starts, np.r_[starts[1:], len(users)], strict=False):
        yield Interactions(
            user=str(users[start]),
            items=tuple(ItemId(str(item)) for item in items[start:end].tolist()),
            sentiments=tuple(map(_sentiment, ratings[start:end].tolist())),
        )


def _sentiment(rating: float) -> Sentiment:
    return "liked" if rating >= LIKED_FROM else "disliked" if rating <= DISLIKED_TO else "mentioned"
