"""Readers of dumps, one a kind. Only here may anything know what a film is."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from rarec.corpus.sources import cmu, imdb, merged, movielens, table, tmdb, wikidata, wikipedia
from rarec.corpus.sources.cmu import CmuSource
from rarec.corpus.sources.config import Reader
from rarec.corpus.sources.imdb import ImdbSource
from rarec.corpus.sources.merged import MergedSource
from rarec.corpus.sources.movielens import MovieLensSource
from rarec.corpus.sources.table import TableSource
from rarec.corpus.sources.tmdb import TmdbSource
from rarec.corpus.sources.wikidata import WikidataSource
from rarec.corpus.sources.wikipedia import WikipediaSource

Source = Annotated[
    ImdbSource
    | TmdbSource
    | WikipediaSource
    | WikidataSource
    | MovieLensSource
    | CmuSource
    | MergedSource
    | TableSource,
    Field(discriminator="kind"),
]
"""A source of a recipe: its ``kind`` says which."""

_READERS: Final[dict[str, Reader]] = {
    "imdb": imdb.read,
    "tmdb": tmdb.read,
    "wikipedia": wikipedia.read,
    "wikidata": wikidata.read,
    "movielens": movielens.read,
    "cmu": cmu.read,
    "merged": merged.read,
    "table": table.read,
}
KINDS: Final = tuple(_READERS)


def reader_of(kind: str) -> Reader:
    """The reader of a kind, one of `KINDS`."""
    return _READERS[kind]


__all__ = ["KINDS", "Reader", "Source", "reader_of"]
