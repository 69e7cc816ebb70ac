"""CMU MovieSummaries: movie.metadata.tsv with lists as JSON, plot_summaries.txt and character.metadata.tsv."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from rarec.corpus.files import SourceFile
from rarec.corpus.record import Problem, Record
from rarec.corpus.sources.config import Part, TextSourceConfig
from rarec.corpus.sources.ids import number_id
from rarec.corpus.sources.joining import Batch
from rarec.corpus.sources.literals import literal
from rarec.corpus.sources.notes import Notes
from rarec.corpus.sources.opening import source_file
from rarec.corpus.sources.seen import SeenKeys, scratch_database
from rarec.corpus.sources.values import distinct
from rarec.progress import OnProgress

_MOVIE: Final = ("page", "freebase", "title", "date", "revenue", "runtime", "languages", "countries", "genres")
_CHARACTER: Final = (
    "page", "freebase", "date", "character", "born", "gender", "height", "ethnicity", "actor", "age", "map",
    "character_id", "actor_id",
)  # fmt: skip
_PLOT: Final = ("page", "plot")
_LANGUAGE: Final = " Language"


class CmuFiles(Part):
    """The files; none has a line with columns."""

    metadata: Path
    plots: Path | None = None
    characters: Path | None = None


class CmuKeep(Part):
    """What is kept.

    Attributes:
        cast: how many actors of a film.
    """

    cast: int = Field(default=10, ge=0, le=1000)


class CmuSource(TextSourceConfig):
    """CMU MovieSummaries; see `TextSourceConfig`. Its key is the number of the article at Wikipedia."""

    kind: Literal["cmu"]
    files: CmuFiles
    keep: CmuKeep = CmuKeep()

    def namespaces(self) -> frozenset[str]:
        return frozenset(("freebase", "wikipedia_page"))

    def counts(self) -> frozenset[str]:
        return frozenset()

    def attributes(self) -> frozenset[str]:
        return frozenset(("genres", "countries", "languages", "cast"))


def read(
    source: CmuSource,
    files: Mapping[str, Path],
    *,
    scratch: Path,
    progress: OnProgress,
    rows: dict[str, int] | None = None,
) -> Iterator[Record | Problem]:
    """Records in the order of the metadata; see `rarec.corpus.sources.config.Reader`."""
    opened = {key: source_file(source, files, key, progress, rows, encoding=source.encoding) for key in files}
    with closing(scratch_database(scratch / "cmu.sqlite")) as database, SeenKeys(scratch) as seen:
        database.execute("CREATE TABLE plot (film INTEGER PRIMARY KEY, line INTEGER, text TEXT)")
        database.execute("CREATE TABLE played (film INTEGER, place INTEGER, actor TEXT, PRIMARY KEY (film, place))")
        if "plots" in opened:
            batch = Batch(database, "INSERT OR IGNORE INTO plot VALUES (?, ?, ?)")
            yield from _keep(opened["plots"], _PLOT, lambda film, line, row: batch.add(film, line, row[1]))
            batch.flush()
        if "characters" in opened:
            played = Batch(database, "INSERT OR IGNORE INTO played VALUES (?, ?, ?)")
            yield from _keep(opened["characters"], _CHARACTER, lambda film, line, row: played.add(film, line, row[8]))
            played.flush()
        for row in opened["metadata"].separated("\t", _MOVIE, header=False):
            if isinstance(row, Problem):
                yield row
            else:
                yield from _record(source, opened, row[0], row[1], database, seen)


def _keep(file: SourceFile, columns: tuple[str, ...], keep: Any) -> Iterator[Problem]:
    for row in file.separated("\t", columns, header=False):
        if isinstance(row, Problem):
            yield row
        elif film := number_id(row[1][0]):
            keep(int(film), row[0], row[1])
        else:
            yield _wrong_id(file, row[0], row[1][0])


def _record(
    source: CmuSource, files: Mapping[str, SourceFile], line: int, row: list[str], database: Any, seen: SeenKeys
) -> Iterator[Record | Problem]:
    file, cells = files["metadata"], dict(zip(_MOVIE, row, strict=True))
    key = number_id(cells["page"])
    titles = distinct((cells["title"],))
    if not key:
        yield _wrong_id(file, line, cells["page"])
        return
    if not titles:
        yield file.problem(line, f"film {key} has no title", "give it a title or delete the row")
        return
    if (first := seen.first_line(key, line)) is not None:
        yield file.problem(line, f"the id {key} was on line {first:,} already", "the first is kept; delete one")
        return
    notes = Notes(file, line)
    year = notes.year(cells["date"])
    attributes = {name: _names(notes, name, cells[name]) for name in ("genres", "countries", "languages")}
    attributes["languages"] = distinct(name.removesuffix(_LANGUAGE) for name in attributes["languages"])
    actors = database.execute("SELECT actor FROM played WHERE film = ? ORDER BY place", (int(key),))
    attributes["cast"] = distinct(actor for (actor,) in actors)[: source.keep.cast]
    found, plot = database.execute("SELECT line, text FROM plot WHERE film = ?", (int(key),)).fetchone() or (0, "")
    plot_notes = Notes(files.get("plots", file), found)
    record = Record(
        source=source.name,
        key=key,
        titles=titles,
        year=year,
        ids={"wikipedia_page": key, **({"freebase": cells["freebase"]} if cells["freebase"].strip() else {})},
        people=attributes["cast"],
        attributes={name: values for name, values in attributes.items() if values},
        text=plot_notes.text(plot),
        line=line,
    )
    yield from (*notes.found, *plot_notes.found)
    yield file.checked(record)


def _names(notes: Notes, what: str, cell: str) -> tuple[str, ...]:
    """The values of an object of ids and names."""
    if not cell.strip():
        return ()
    try:
        found = literal(cell)
    except ValueError as error:
        notes.add(f"{what} is no list of names: {error}", "it is left out; correct it")
        return ()
    return distinct(found.values()) if isinstance(found, dict) else ()


def _wrong_id(file: SourceFile, line: int, value: str) -> Problem:
    return file.problem(line, f"{value[:40]!r} is no number of an article", "correct it or delete the row")
