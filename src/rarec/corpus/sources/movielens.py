"""MovieLens: the files of 10M with ``::`` between their values, and the CSV files of 20M and later.

Ratings are counted, nothing more.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from rarec.catalogue.streams import plain_suffix
from rarec.corpus.files import SourceFile
from rarec.corpus.record import Problem, Record
from rarec.corpus.sources.config import Part, TextSourceConfig
from rarec.corpus.sources.ids import imdb_id, number_id
from rarec.corpus.sources.joining import Batch
from rarec.corpus.sources.notes import Notes
from rarec.corpus.sources.opening import source_file
from rarec.corpus.sources.seen import SeenKeys, scratch_database
from rarec.corpus.sources.values import distinct, title_in_order
from rarec.progress import OnProgress

_YEAR: Final = re.compile(r"(.*?)\s*\(\s*([0-9]{4}\s*(?:[-–]\s*[0-9]{0,4})?)\s*\)\s*", re.DOTALL)
_OTHER: Final = re.compile(r"(.+?)\s+\(((?:[^()]|\([^()]*\))+)\)\s*", re.DOTALL)
_KNOWN_AS: Final = re.compile(r"^(?:a\.?k\.?a\.?|also known as)\s*:?\s*", re.IGNORECASE)
_NO_GENRES: Final = "(no genres listed)"
_MAX_ID: Final = 50_000_000
_DAT: Final = "::"


class MovieLensFiles(Part):
    """Films, and what there is about them. Each may be the zip archive that it is published in."""

    movies: Path
    links: Path | None = None
    tags: Path | None = None
    ratings: Path | None = None


class MovieLensKeep(Part):
    """What is kept.

    Attributes:
        tags: how many tags of a film, those that most people gave first.
        tag_users: a tag counts if so many people gave it.
        min_ratings: films with fewer are left out; needs the ratings.
    """

    tags: int = Field(default=20, ge=0, le=1000)
    tag_users: int = Field(default=2, ge=1)
    min_ratings: int = Field(default=0, ge=0)


class MovieLensSource(TextSourceConfig):
    """MovieLens; see `TextSourceConfig`."""

    kind: Literal["movielens"]
    files: MovieLensFiles
    keep: MovieLensKeep = MovieLensKeep()

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> MovieLensSource:
        if self.keep.min_ratings and self.files.ratings is None:
            raise ValueError("keep.min_ratings needs files.ratings, in which they are counted")
        return self

    def namespaces(self) -> frozenset[str]:
        return frozenset(("movielens", "imdb", "tmdb"))

    def counts(self) -> frozenset[str]:
        return frozenset(("movielens_ratings",))

    def attributes(self) -> frozenset[str]:
        return frozenset(("genres", "tags"))


def read(
    source: MovieLensSource,
    files: Mapping[str, Path],
    *,
    scratch: Path,
    progress: OnProgress,
    rows: dict[str, int] | None = None,
) -> Iterator[Record | Problem]:
    """Records of MovieLens in the order of its films; see `rarec.corpus.sources.config.Reader`."""
    opened = {
        key: source_file(
            source, files, key, progress, rows, encoding=source.encoding, members=(f"{key}.csv", f"{key}.dat")
        )
        for key in files
    }
    with closing(scratch_database(scratch / "movielens.sqlite")) as database, SeenKeys(scratch) as seen:
        films = _Films(source, database, seen)
        for name, step in (("links", films.links), ("tags", films.tags), ("ratings", films.ratings)):
            if name in opened:
                yield from step(opened[name])
        yield from films.records(opened["movies"])


class _Films:
    def __init__(self, source: MovieLensSource, database: Any, seen: SeenKeys) -> None:
        self._source, self._database, self._seen = source, database, seen
        self._ratings: array[int] | None = None
        database.execute("CREATE TABLE link (film INTEGER PRIMARY KEY, imdb TEXT, tmdb TEXT)")
        database.execute("CREATE TABLE tag (film INTEGER, name TEXT, users INTEGER, PRIMARY KEY (film, name))")

    def links(self, file: SourceFile) -> Iterator[Problem]:
        """Keep the ids of others."""
        batch = Batch(self._database, "INSERT OR IGNORE INTO link VALUES (?, ?, ?)")
        for row in _rows(file, ("movieId", "imdbId", "tmdbId")):
            if isinstance(row, Problem):
                yield row
                continue
            line, cells = row
            film = _film(file, line, cells["movieId"])
            if isinstance(film, Problem):
                yield film
            else:
                batch.add(film, imdb_id(cells["imdbId"]), number_id(cells["tmdbId"]))
        batch.flush()

    def tags(self, file: SourceFile) -> Iterator[Problem]:
        """Count the tags."""
        statement = "INSERT INTO tag VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET users = users + 1"
        batch = Batch(self._database, statement)
        for row in _rows(file, ("userId", "movieId", "tag", "timestamp")):
            if isinstance(row, Problem):
                yield row
                continue
            line, cells = row
            film, tag = _film(file, line, cells["movieId"]), " ".join(str(cells["tag"]).casefold().split())
            if isinstance(film, Problem):
                yield film
            elif tag:
                batch.add(film, tag)
        batch.flush()

    def ratings(self, file: SourceFile) -> Iterator[Problem]:
        """Count the ratings."""
        self._ratings = array("I")
        columns, dat = ("userId", "movieId", "rating", "timestamp"), _is_dat(file)
        for row in file.separated(_DAT if dat else ",", columns, header=not dat):
            if isinstance(row, Problem):
                yield row
                continue
            film = _film(file, row[0], row[1][1])
            if isinstance(film, Problem):
                yield film
                continue
            if film >= len(self._ratings):
                self._ratings.frombytes(bytes(self._ratings.itemsize * (film + 1 + film // 4 - len(self._ratings))))
            self._ratings[film] += 1

    def records(self, file: SourceFile) -> Iterator[Record | Problem]:
        """One for each film."""
        for row in _rows(file, ("movieId", "title", "genres")):
            if isinstance(row, Problem):
                yield row
                continue
            line, cells = row
            film = _film(file, line, cells["movieId"])
            yield from [film] if isinstance(film, Problem) else self._record(file, line, cells, film)

    def _record(self, file: SourceFile, line: int, cells: Mapping[str, Any], film: int) -> Iterator[Record | Problem]:
        key = str(film)
        if (first := self._seen.first_line(key, line)) is not None:
            yield file.problem(line, f"the id {key} was on line {first:,} already", "the first is kept; delete one")
            return
        titles, years = titles_of(str(cells["title"]))
        if not titles:
            yield file.problem(line, f"film {key} has no title", "give it a title or delete the row")
            return
        rated = self._ratings[film] if self._ratings is not None and film < len(self._ratings) else 0
        if rated < self._source.keep.min_ratings:
            return
        notes = Notes(file, line)
        imdb, tmdb = self._database.execute("SELECT imdb, tmdb FROM link WHERE film = ?", (film,)).fetchone() or (
            "",
            "",
        )
        ids = {"movielens": key, "imdb": imdb, "tmdb": tmdb}
        genres = distinct(genre for genre in str(cells["genres"]).split("|") if genre != _NO_GENRES)
        attributes = {"genres": genres, "tags": self._tags_of(film)}
        record = Record(
            source=self._source.name,
            key=key,
            titles=titles,
            year=notes.year(years),
            ids={name: found for name, found in ids.items() if found},
            attributes={name: values for name, values in attributes.items() if values},
            counts={} if self._ratings is None else {"movielens_ratings": float(rated)},
            line=line,
        )
        yield from notes.found
        yield file.checked(record)

    def _tags_of(self, film: int) -> tuple[str, ...]:
        keep = self._source.keep
        statement = "SELECT name FROM tag WHERE film = ? AND users >= ? ORDER BY users DESC, name LIMIT ?"
        return tuple(name for (name,) in self._database.execute(statement, (film, keep.tag_users, keep.tags)))


def titles_of(title: str) -> tuple[tuple[str, ...], str]:
    """The titles in a film's name, articles in front, and the year that stands behind them, as text.

    >>> titles_of("Grey Lamp, The (Lampe grise, La) (1995)")
    (('The Grey Lamp', 'La Lampe grise'), '1995')
    >>> titles_of("Two Rooms (a.k.a. Rooms) (2019-2021)")
    (('Two Rooms', 'Rooms'), '2019-2021')
    """
    found = _YEAR.fullmatch(title)
    name, years = (found[1], found[2]) if found else (title, "")
    others: list[str] = []
    while (other := _OTHER.fullmatch(name)) is not None:
        name = other[1]
        others.insert(0, _KNOWN_AS.sub("", other[2]))
    return distinct(title_in_order(one.strip()) for one in (name, *others)), years


def _rows(file: SourceFile, columns: tuple[str, ...]) -> Iterator[tuple[int, Mapping[str, Any]] | Problem]:
    if not _is_dat(file):
        yield from file.table(columns, form="csv")
        return
    for row in file.separated(_DAT, columns, header=False):
        yield row if isinstance(row, Problem) else (row[0], dict(zip(columns, row[1], strict=True)))


def _is_dat(file: SourceFile) -> bool:
    """Whether colons stand between the values; the name of an archive does not say it, the first line does."""
    return plain_suffix(file.path) == ".dat" or _DAT in file.beginning()


def _film(file: SourceFile, line: int, value: object) -> int | Problem:
    text = str(value).strip()
    if text.isascii() and text.isdigit() and len(text) < 10 and 0 < int(text) < _MAX_ID:
        return int(text)
    return file.problem(line, f"{text[:40]!r} is no id of a film", "correct it or delete the row")
