"""TMDB as it goes around: CSV files with lists as text, as JSON or as Python writes them, answers of its API, its ids.

The columns decide, not the name of the file: the files of 930,000 and of 45,000 films, with or without credits and
keywords beside them, and lines of JSON with these inside are all read here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, model_validator

from rarec.catalogue.streams import plain_suffix
from rarec.catalogue.validation import shortened
from rarec.corpus.files import SourceFile
from rarec.corpus.record import Problem, Record
from rarec.corpus.sources.config import Part, TextSourceConfig
from rarec.corpus.sources.ids import entity_id, imdb_id, number_id
from rarec.corpus.sources.joining import Batch
from rarec.corpus.sources.literals import literal
from rarec.corpus.sources.notes import Notes
from rarec.corpus.sources.opening import source_file
from rarec.corpus.sources.seen import SeenKeys, scratch_database
from rarec.corpus.sources.values import distinct
from rarec.progress import OnProgress

_MAX_CELL: Final = 4_000_000
_MAX_LINE: Final = 16_000_000
_JSON: Final = (".json", ".jsonl", ".ndjson")
_Row = tuple[int, Mapping[str, Any]]


class TmdbFiles(Part):
    """Films, the daily list of ids, or both; credits and keywords as the smaller CSV file has them beside it."""

    movies: Path | None = None
    ids: Path | None = None
    credits: Path | None = None
    keywords: Path | None = None


class TmdbKeep(Part):
    """Which films are kept.

    Attributes:
        min_votes: films with fewer are left out; the list of ids, which has no votes, then gives nothing.
        adult: whether films for adults are kept.
        statuses: as the files have them, e.g. ``Released``; none named keeps all.
        cast: how many actors of a film.
    """

    min_votes: int = Field(default=0, ge=0)
    adult: bool = False
    statuses: tuple[str, ...] = ()
    cast: int = Field(default=10, ge=0, le=1000)


class TmdbSource(TextSourceConfig):
    """TMDB; see `TextSourceConfig`."""

    kind: Literal["tmdb"]
    files: TmdbFiles
    keep: TmdbKeep = TmdbKeep()

    @model_validator(mode="after")
    def _has_films(self) -> TmdbSource:
        if self.files.movies is None and self.files.ids is None:
            raise ValueError("give files.movies, the films, or files.ids, the daily list of ids, or both")
        if self.files.movies is None and (self.files.credits or self.files.keywords):
            raise ValueError("files.credits and files.keywords add to files.movies; give that too")
        return self

    def namespaces(self) -> frozenset[str]:
        return frozenset(("tmdb", "imdb", "wikidata"))

    def counts(self) -> frozenset[str]:
        return frozenset(("tmdb_vote_count", "tmdb_popularity"))

    def attributes(self) -> frozenset[str]:
        return frozenset(("genres", "keywords", "countries", "language", "directors", "cast"))


def read(
    source: TmdbSource,
    files: Mapping[str, Path],
    *,
    scratch: Path,
    progress: OnProgress,
    rows: dict[str, int] | None = None,
) -> Iterator[Record | Problem]:
    """Records of TMDB in the order of the films, then of the list of ids; see `rarec.corpus.sources.config.Reader`."""
    opened = {
        key: source_file(source, files, key, progress, rows, encoding=source.encoding, max_line_bytes=_MAX_LINE)
        for key in files
    }
    with closing(scratch_database(scratch / "tmdb.sqlite")) as database, SeenKeys(scratch) as seen:
        films = _Films(source, _Beside(database), seen)
        for name in ("credits", "keywords"):
            if name in opened:
                yield from films.beside.read(opened[name], name)
        if "movies" in opened:
            yield from films.read(opened["movies"])
        if "ids" in opened and not source.keep.min_votes:
            yield from films.read_ids(opened["ids"])


class _Beside:
    """Credits and keywords of films, on disk."""

    def __init__(self, database: Any) -> None:
        self._database = database
        database.execute("CREATE TABLE beside (film INTEGER, what TEXT, found TEXT, PRIMARY KEY (film, what))")

    def read(self, file: SourceFile, what: str) -> Iterator[Problem]:
        """Keep what a file says."""
        batch = Batch(self._database, "INSERT OR IGNORE INTO beside VALUES (?, ?, ?)")
        columns = ("cast", "crew") if what == "credits" else ("keywords",)
        for row in _rows(file, columns):
            if isinstance(row, Problem):
                yield row
                continue
            line, cells = row
            number = number_id(cells.get("id", cells.get("movie_id")))
            notes = Notes(file, line)
            found = {column: _list(notes, column, cells.get(column)) for column in columns}
            yield from notes.found
            if number:
                batch.add(int(number), what, json.dumps(found))
            else:
                yield _wrong_id(file, line, cells.get("id", cells.get("movie_id")))
        batch.flush()

    def of(self, film: str, what: str) -> Mapping[str, Any]:
        """What was kept of a film."""
        row = self._database.execute("SELECT found FROM beside WHERE film = ? AND what = ?", (int(film), what))
        found = row.fetchone()
        return {} if found is None else json.loads(found[0])


class _Films:
    def __init__(self, source: TmdbSource, beside: _Beside, seen: SeenKeys) -> None:
        self._source, self._seen = source, seen
        self.beside = beside

    def read(self, file: SourceFile) -> Iterator[Record | Problem]:
        """Records of the films."""
        for row in _rows(file, ("id", "title")):
            yield from [row] if isinstance(row, Problem) else self._film(file, *row)

    def read_ids(self, file: SourceFile) -> Iterator[Record | Problem]:
        """Records of films that are in the list of ids only."""
        for row in _rows(file, ("id", "original_title")):
            if isinstance(row, Problem):
                yield row
                continue
            line, cells = row
            # Lines of the films are below 0: to stand in both files is no mistake.
            key = self._key(file, line, cells, line)
            if isinstance(key, Problem):
                yield key
            elif key and not (_is_true(cells.get("adult")) and not self._source.keep.adult):
                yield from self._record(file, line, cells, key)

    def _film(self, file: SourceFile, line: int, cells: Mapping[str, Any]) -> Iterator[Record | Problem]:
        keep = self._source.keep
        if _is_true(cells.get("adult")) and not keep.adult:
            return
        if keep.statuses and cells.get("status") not in keep.statuses:
            if number := number_id(cells.get("id")):
                self._seen.first_line(number, -line)  # else the list of ids would bring it back
            return
        key = self._key(file, line, cells, -line)
        if isinstance(key, Problem):
            yield key
        elif key:
            yield from self._record(file, line, cells, key)

    def _key(self, file: SourceFile, line: int, cells: Mapping[str, Any], place: int) -> str | Problem:
        """The id of a row; empty if another file has it already."""
        key = number_id(cells.get("id"))
        if not key:
            return _wrong_id(file, line, cells.get("id"))
        if not distinct((cells.get("title"), cells.get("original_title"))):
            return file.problem(line, f"film {key} has no title", "give it a title or delete the row")
        first = self._seen.first_line(key, place)
        if first is not None and (first < 0) == (place < 0):
            return file.problem(line, f"the id {key} was on line {abs(first):,} already", "the first is kept")
        return key if first is None else ""

    def _record(self, file: SourceFile, line: int, cells: Mapping[str, Any], key: str) -> Iterator[Record | Problem]:
        notes = Notes(file, line)
        votes = notes.number("vote_count", cells.get("vote_count"))
        if (votes or 0) < self._source.keep.min_votes:
            return
        counts = {"tmdb_vote_count": votes, "tmdb_popularity": notes.number("popularity", cells.get("popularity"))}
        given = cells.get("external_ids")
        outside: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
        ids = {
            "tmdb": key,
            "imdb": imdb_id(cells.get("imdb_id") or outside.get("imdb_id") or ""),
            "wikidata": entity_id(cells.get("wikidata_id") or outside.get("wikidata_id")),
        }
        directors, cast = self._people(notes, cells, key)
        keywords = cells.get("keywords") if "keywords" in cells else self.beside.of(key, "keywords").get("keywords")
        if isinstance(keywords, Mapping):
            keywords = keywords.get("keywords", keywords.get("results"))
        others = cells.get("alternative_titles")
        others = _list(notes, "alternative_titles", others.get("titles")) if isinstance(others, Mapping) else []
        attributes = {
            "genres": _names(notes, "genres", cells.get("genres")),
            "keywords": _names(notes, "keywords", keywords),
            "countries": _names(notes, "production_countries", cells.get("production_countries")),
            "language": distinct((cells.get("original_language"),)),
            "directors": directors,
            "cast": cast,
        }
        record = Record(
            source=self._source.name,
            key=key,
            titles=distinct((cells.get("title"), cells.get("original_title"), *_named(others, "title"))),
            year=notes.year(cells.get("release_date")),
            ids={name: found for name, found in ids.items() if found},
            people=distinct((*directors, *cast)),
            attributes={name: values for name, values in attributes.items() if values},
            text=notes.text(cells.get("overview")),
            counts={name: number for name, number in counts.items() if number is not None},
            line=line,
        )
        yield from notes.found
        yield file.checked(record)

    def _people(self, notes: Notes, cells: Mapping[str, Any], key: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Directors, and as much of the cast as is kept."""
        credits = cells.get("credits")
        if not isinstance(credits, Mapping):
            credits = self.beside.of(key, "credits")
        crew, cast = (_list(notes, name, credits.get(name)) for name in ("crew", "cast"))
        directors = [one for one in crew if isinstance(one, Mapping) and one.get("job") == "Director"]
        return distinct(_named(directors)), distinct(_named(cast))[: self._source.keep.cast]


def _rows(file: SourceFile, columns: Sequence[str]) -> Iterator[_Row | Problem]:
    """Rows of a CSV file, or objects of a JSON file."""
    if plain_suffix(file.path) in _JSON:
        return file.objects()
    return file.table(columns, max_cell=_MAX_CELL)


def _list(notes: Notes, what: str, value: object) -> list[Any]:
    """A list, from JSON or from a cell."""
    if isinstance(value, str):
        if not value.strip():
            return []
        try:
            value = literal(value)
        except ValueError as error:
            notes.add(f"{what} is no list: {error}", "it is left out; correct it")
            return []
    return value if isinstance(value, list) else []


def _names(notes: Notes, what: str, value: object) -> tuple[str, ...]:
    """Names of a list, or of a text in which commas or bars stand between them."""
    if isinstance(value, str) and not value.lstrip().startswith(("[", "{")):
        return distinct(value.split("|" if "|" in value else ","))
    return distinct(_named(_list(notes, what, value)))


def _named(values: Sequence[Any], name: str = "name") -> list[object]:
    return [one.get(name) if isinstance(one, Mapping) else one for one in values]


def _is_true(value: object) -> bool:
    return value is True or str(value).casefold() == "true"


def _wrong_id(file: SourceFile, line: int, value: object) -> Problem:
    return file.problem(line, f"{shortened(value)} is no id of TMDB, a number above 0", "correct it or delete the row")
