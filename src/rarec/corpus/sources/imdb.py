r"""IMDb's non-commercial dumps: TSV files without quotes, ``\N`` for nothing, joined on disk by the numbers of ids.

title.basics says which titles there are; ratings, crew, principals, akas and name.basics add to those that are kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, model_validator

from rarec.corpus.files import SourceFile
from rarec.corpus.record import Problem, Record
from rarec.corpus.sources.config import Part, SourceConfig
from rarec.corpus.sources.joining import Batch, NumberSet, number_in
from rarec.corpus.sources.notes import Notes
from rarec.corpus.sources.opening import source_file
from rarec.corpus.sources.seen import scratch_database
from rarec.corpus.sources.values import distinct
from rarec.progress import OnProgress

_NULL: Final = r"\N"
_CAST: Final = ("actor", "actress", "self")
_TABLES: Final = (
    "rated (title INTEGER PRIMARY KEY, votes INTEGER)",
    "kept (title INTEGER PRIMARY KEY, line INTEGER, name TEXT, original TEXT, kind TEXT, year INTEGER, genres TEXT)",
    "directed (title INTEGER, place INTEGER, person INTEGER, PRIMARY KEY (title, place)) WITHOUT ROWID",
    "played (title INTEGER, place INTEGER, person INTEGER, PRIMARY KEY (title, place)) WITHOUT ROWID",
    "called (title INTEGER, place INTEGER, name TEXT, PRIMARY KEY (title, place)) WITHOUT ROWID",
    "person (number INTEGER PRIMARY KEY, name TEXT)",
)
_PEOPLE: Final = (
    "SELECT person.name FROM {table} JOIN person ON person.number = {table}.person WHERE title = ? ORDER BY place"
)


class ImdbFiles(Part):
    """The dumps; people have names only where `names` is given."""

    basics: Path
    ratings: Path | None = None
    crew: Path | None = None
    principals: Path | None = None
    names: Path | None = None
    akas: Path | None = None


class ImdbKeep(Part):
    """Which titles are kept; others take neither time nor space behind the first file.

    Attributes:
        title_types: as title.basics has them; none named keeps all.
        min_votes: titles with fewer, or without ratings, are left out.
        adult: whether titles for adults are kept.
        cast: how many actors of a title.
        akas: how many other titles of it.
    """

    title_types: tuple[str, ...] = ("movie", "tvMovie")
    min_votes: int = Field(default=0, ge=0)
    adult: bool = False
    cast: int = Field(default=10, ge=0, le=1000)
    akas: int = Field(default=20, ge=0, le=1000)


class ImdbSource(SourceConfig):
    """IMDb; see `SourceConfig`."""

    kind: Literal["imdb"]
    files: ImdbFiles
    keep: ImdbKeep = ImdbKeep()

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> ImdbSource:
        if self.keep.min_votes and self.files.ratings is None:
            raise ValueError("keep.min_votes needs files.ratings: title.ratings.tsv.gz says how many votes there are")
        if self.files.names is not None and self.files.crew is None and self.files.principals is None:
            raise ValueError("files.names has names only; give files.crew or files.principals, or leave it out")
        return self

    def namespaces(self) -> frozenset[str]:
        return frozenset(("imdb",))

    def counts(self) -> frozenset[str]:
        return frozenset(("imdb_votes",))

    def attributes(self) -> frozenset[str]:
        return frozenset(("genres", "directors", "cast", "title_type"))


def read(
    source: ImdbSource,
    files: Mapping[str, Path],
    *,
    scratch: Path,
    progress: OnProgress,
    rows: dict[str, int] | None = None,
) -> Iterator[Record | Problem]:
    """Records of IMDb in order of their numbers; see `rarec.corpus.sources.config.Reader`."""
    with closing(scratch_database(scratch / "imdb.sqlite")) as database:
        for table in _TABLES:
            database.execute(f"CREATE TABLE {table}")
        opened = {key: source_file(source, files, key, progress, rows) for key in files}
        joined = _Joined(source, database, opened)
        yield from joined.read()
        yield from joined.records()


class _Joined:
    """What the files say of the titles that are kept."""

    def __init__(self, source: ImdbSource, database: sqlite3.Connection, files: Mapping[str, SourceFile]) -> None:
        self._source, self._database, self._files = source, database, files
        self._rated = NumberSet()
        self._kept = NumberSet()
        self._people = NumberSet()

    def read(self) -> Iterator[Problem]:
        """Read all files, those that decide what is kept first."""
        steps = {
            "ratings": self._ratings, "basics": self._basics, "crew": self._crew, "principals": self._principals,
            "akas": self._akas, "names": self._names,
        }  # fmt: skip
        for name, step in steps.items():
            if name in self._files:
                yield from step(self._files[name])

    def records(self) -> Iterator[Record | Problem]:
        """One for each title that is kept."""
        file = self._files["basics"]
        directed, played = (_PEOPLE.format(table=table) for table in ("directed", "played"))
        kept = "SELECT kept.*, rated.votes FROM kept LEFT JOIN rated USING (title) ORDER BY kept.title"
        for number, line, name, original, kind, year, genres, votes in self._database.execute(kept):
            directors = distinct(one for (one,) in self._database.execute(directed, (number,)))
            cast = distinct(one for (one,) in self._database.execute(played, (number,)))[: self._source.keep.cast]
            others = self._database.execute("SELECT name FROM called WHERE title = ? ORDER BY place", (number,))
            attributes = {
                "genres": distinct(genres.split(",")), "directors": directors, "cast": cast, "title_type": (kind,),
            }  # fmt: skip
            imdb = f"tt{number:07d}"
            yield file.checked(
                Record(
                    source=self._source.name,
                    key=imdb,
                    titles=distinct([name, original, *(one for (one,) in others)]),
                    year=year,
                    ids={"imdb": imdb},
                    people=distinct((*directors, *cast)),
                    attributes={name: values for name, values in attributes.items() if values},
                    counts={} if votes is None else {"imdb_votes": float(votes)},
                    line=line,
                )
            )

    def _ratings(self, file: SourceFile) -> Iterator[Problem]:
        batch = Batch(self._database, "INSERT OR REPLACE INTO rated VALUES (?, ?)")
        least = self._source.keep.min_votes
        for row in file.separated("\t", ("tconst", "numVotes")):
            if isinstance(row, Problem):
                yield row
                continue
            line, (name, votes) = row
            number = number_in(name, "tt")
            if number < 0 or not (votes.isascii() and votes.isdigit()) or len(votes) > 15:
                yield (
                    _wrong_id(file, line, name)
                    if number < 0
                    else file.problem(
                        line, f"numVotes {votes[:40]!r} is no whole number", "correct it; the title has no votes now"
                    )
                )
            elif int(votes) >= least:
                self._rated.add(number)
                batch.add(number, int(votes))
        batch.flush()

    def _basics(self, file: SourceFile) -> Iterator[Problem]:
        columns = ("tconst", "titleType", "primaryTitle", "originalTitle", "isAdult", "startYear", "genres")
        batch = Batch(self._database, "INSERT OR IGNORE INTO kept VALUES (?, ?, ?, ?, ?, ?, ?)")
        keep = self._source.keep
        for row in file.separated("\t", columns):
            if isinstance(row, Problem):
                yield row
                continue
            line, (name, kind, title, original, adult, started, genres) = row
            if (keep.title_types and kind not in keep.title_types) or (adult == "1" and not keep.adult):
                continue
            number = number_in(name, "tt")
            if keep.min_votes and number not in self._rated and number >= 0:
                continue
            if number < 0:
                yield _wrong_id(file, line, name)
            elif number in self._kept:
                batch.flush()
                first = self._database.execute("SELECT line FROM kept WHERE title = ?", (number,)).fetchone()[0]
                reason = f"the id {name!r} was on line {first:,} already"
                yield file.problem(line, reason, "the first is kept; delete one")
            elif not (title.strip() and title != _NULL):
                yield file.problem(line, f"{name!r} has no primaryTitle", "give it a title or delete the row")
            else:
                notes = Notes(file, line)
                year = notes.year(started)
                yield from notes.found
                self._kept.add(number)
                batch.add(number, line, title, _cell(original), kind, year, _cell(genres))
        batch.flush()

    def _crew(self, file: SourceFile) -> Iterator[Problem]:
        batch = Batch(self._database, "INSERT OR IGNORE INTO directed VALUES (?, ?, ?)")
        for row in _rows_of(self._kept, "tt", file, ("tconst", "directors")):
            if isinstance(row, Problem):
                yield row
            elif (directors := row[1][0]) != _NULL:
                for place, person in enumerate(directors.split(",")):
                    self._add_person(batch, row[0], place, person)
        batch.flush()

    def _principals(self, file: SourceFile) -> Iterator[Problem]:
        played = Batch(self._database, "INSERT OR IGNORE INTO played VALUES (?, ?, ?)")
        directed = Batch(self._database, "INSERT OR IGNORE INTO directed VALUES (?, ?, ?)")
        batches = dict.fromkeys(_CAST, played) | ({} if "crew" in self._files else {"director": directed})
        for row in file.separated("\t", ("tconst", "ordering", "nconst", "category")):
            if isinstance(row, Problem):
                yield row
                continue
            line, (name, ordering, person, category) = row
            if (batch := batches.get(category)) is None:
                continue
            number = number_in(name, "tt")
            if number < 0:
                yield _wrong_id(file, line, name)
            elif number in self._kept:
                self._add_person(batch, number, _place(ordering), person)
        played.flush()
        directed.flush()

    def _akas(self, file: SourceFile) -> Iterator[Problem]:
        batch = Batch(self._database, "INSERT OR IGNORE INTO called VALUES (?, ?, ?)")
        most = self._source.keep.akas
        for row in _rows_of(self._kept, "tt", file, ("titleId", "ordering", "title")):
            if isinstance(row, Problem):
                yield row
                continue
            number, (ordering, title) = row
            if title != _NULL and (place := _place(ordering)) <= most:
                batch.add(number, place, title)
        batch.flush()

    def _names(self, file: SourceFile) -> Iterator[Problem]:
        batch = Batch(self._database, "INSERT OR IGNORE INTO person VALUES (?, ?)")
        for row in _rows_of(self._people, "nm", file, ("nconst", "primaryName")):
            if isinstance(row, Problem):
                yield row
            elif (name := row[1][0]) != _NULL:
                batch.add(row[0], name)
        batch.flush()

    def _add_person(self, batch: Batch, title: int, place: int, person: str) -> None:
        number = number_in(person, "nm")
        if number >= 0:
            self._people.add(number)
            batch.add(title, place, number)


def _rows_of(
    wanted: NumberSet, prefix: str, file: SourceFile, columns: tuple[str, ...]
) -> Iterator[tuple[int, Sequence[str]] | Problem]:
    """Rows whose first column is the id of something that is wanted: its number, and the other columns."""
    for row in file.separated("\t", columns):
        if isinstance(row, Problem):
            yield row
            continue
        line, (name, *others) = row
        number = number_in(name, prefix)
        if number < 0:
            yield _wrong_id(file, line, name)
        elif number in wanted:
            yield number, others


def _wrong_id(file: SourceFile, line: int, name: str) -> Problem:
    return file.problem(line, f"{name[:40]!r} is no id of IMDb", "correct it or delete the row")


def _cell(value: str) -> str:
    return "" if value == _NULL else value


def _place(ordering: str) -> int:
    return int(ordering) if ordering.isascii() and ordering.isdigit() and len(ordering) < 10 else 0
