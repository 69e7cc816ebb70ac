"""The merged movie corpus (movies.parquet): a corpus that others have made is a source like any other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from rarec.corpus.files import SourceFile
from rarec.corpus.record import Problem, Record
from rarec.corpus.sources.config import Part, SourceConfig
from rarec.corpus.sources.notes import Notes
from rarec.corpus.sources.opening import source_file
from rarec.corpus.sources.seen import SeenKeys
from rarec.corpus.sources.values import distinct, number_of
from rarec.progress import OnProgress

_LISTS: Final = ("genres", "directors", "cast", "keywords", "countries")
_COUNTS: Final = ("imdb_votes", "tmdb_vote_count", "letterboxd_ratings")
_IDS: Final = {
    "imdb": "imdb_id",
    "tmdb": "tmdb_id",
    "movielens": "ml_ids",
    "letterboxd": "letterboxd_slugs",
}
"""Namespace -> column, the most trusted first."""
_REQUIRED: Final = ("id", "title", "year")


class MergedFiles(Part):
    """The file of the corpus."""

    movies: Path


class MergedKeep(Part):
    """What is read of it.

    Attributes:
        texts: columns with a text, the first that is not empty is taken.
    """

    texts: tuple[Literal["plot", "wiki_extract"], ...] = Field(default=("plot", "wiki_extract"), min_length=1)


class MergedSource(SourceConfig):
    """The corpus; see `SourceConfig`. Columns that it lacks, of those that are read, are empty."""

    kind: Literal["merged"]
    files: MergedFiles
    keep: MergedKeep = MergedKeep()

    def namespaces(self) -> frozenset[str]:
        return frozenset(_IDS)

    def counts(self) -> frozenset[str]:
        return frozenset(_COUNTS)

    def attributes(self) -> frozenset[str]:
        return frozenset((*_LISTS, "language"))


def read(
    source: MergedSource,
    files: Mapping[str, Path],
    *,
    scratch: Path,
    progress: OnProgress,
    rows: dict[str, int] | None = None,
) -> Iterator[Record | Problem]:
    """Records of the corpus, ``line`` is the row from 1; see `rarec.corpus.sources.config.Reader`.

    The number of a row changes with every merge, so a key is made of the first id that the row has and no row before
    had, ``imdb:tt0000001``; of the number only where there is none, ``row:12``.
    """
    file = source_file(source, files, "movies", progress, rows)
    with SeenKeys(scratch) as seen:
        for row in file.table(_REQUIRED, form="parquet"):
            if isinstance(row, Problem):
                yield row
            else:
                yield from _record(source, file, row, seen)


def _record(
    source: MergedSource, file: SourceFile, row: tuple[int, Mapping[str, Any]], seen: SeenKeys
) -> Iterator[Record | Problem]:
    line, cells = row
    titles = distinct([cells.get("title")])
    if not titles:
        yield file.problem(line, "the title is empty", "give it a title or delete the row")
        return
    ids = {name: found for name, column in _IDS.items() if (found := _first(cells.get(column)))}
    key = next((key for name, text in ids.items() if seen.first_line(key := f"{name}:{text}", line) is None), "")
    notes = Notes(file, line)
    attributes = {name: values for name in _LISTS if (values := distinct(cells.get(name) or ()))}
    if language := cells.get("language"):
        attributes["language"] = (language,)
    counts = {name: number for name in _COUNTS if (number := number_of(cells.get(name))) is not None}
    record = Record(
        source=source.name,
        key=key or f"row:{cells['id']}",
        titles=titles,
        year=notes.year(cells.get("year")),
        ids=ids,
        people=distinct([*(cells.get("directors") or ()), *(cells.get("cast") or ())]),
        attributes=attributes,
        text=notes.text(next((cells[name] for name in source.keep.texts if cells.get(name)), "")),
        counts=counts,
        line=line,
    )
    yield from notes.found
    yield file.checked(record)


def _first(value: object) -> str:
    """One id of a cell, which may have several."""
    values = value if isinstance(value, list) else [value]
    return next((str(one) for one in values if one not in (None, "")), "")
