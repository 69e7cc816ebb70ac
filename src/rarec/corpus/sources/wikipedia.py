"""Films of Wikipedia: plots in CSV files, and introductions of articles in JSON files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from rarec.catalogue.streams import plain_suffix
from rarec.corpus.files import SourceFile
from rarec.corpus.record import Problem, Record
from rarec.corpus.sources.config import Named, TextSourceConfig
from rarec.corpus.sources.ids import page_title
from rarec.corpus.sources.notes import Notes
from rarec.corpus.sources.opening import source_file
from rarec.corpus.sources.seen import SeenKeys
from rarec.corpus.sources.values import distinct
from rarec.progress import OnProgress

_COLUMNS: Final = ("Release Year", "Title", "Director", "Cast", "Genre", "Wiki Page", "Plot")
_MAX_CELL: Final = 1_000_000
_JSON: Final = (".json", ".jsonl", ".ndjson")
_BETWEEN_NAMES: Final = re.compile(r"[,;\n/]| and | & ")
_BETWEEN_GENRES: Final = re.compile(r"[,;\n/|]")
_UNKNOWN: Final = ("unknown", "n/a", "-", "various")
_CREDITED: Final = re.compile(r"^(?:directors?|cast)\s*:\s*", re.IGNORECASE)


class WikipediaSource(TextSourceConfig):
    """Wikipedia: files of any names, CSV with plots or JSON with introductions; see `TextSourceConfig`."""

    kind: Literal["wikipedia"]
    files: Named

    def namespaces(self) -> frozenset[str]:
        return frozenset(("wikipedia",))

    def counts(self) -> frozenset[str]:
        return frozenset()

    def attributes(self) -> frozenset[str]:
        return frozenset(("genres", "directors", "cast", "origin"))


def read(
    source: WikipediaSource,
    files: Mapping[str, Path],
    *,
    scratch: Path,
    progress: OnProgress,
    rows: dict[str, int] | None = None,
) -> Iterator[Record | Problem]:
    """Records of articles in the order of the files; see `rarec.corpus.sources.config.Reader`.

    The key is the title of the article, else the film's own title and year.
    """
    with SeenKeys(scratch) as seen:
        for key in files:
            file = source_file(source, files, key, progress, rows, encoding=source.encoding)
            listed = plain_suffix(file.path) in _JSON
            for row in file.objects() if listed else file.table(_COLUMNS, max_cell=_MAX_CELL):
                if isinstance(row, Problem):
                    yield row
                else:
                    yield from _record(source, file, row[0], _introduced(row[1]) if listed else _plotted(row[1]), seen)


def _plotted(cells: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "title": cells["Title"], "year": cells["Release Year"], "page": cells["Wiki Page"], "text": cells["Plot"],
        "directors": _split(_BETWEEN_NAMES, cells["Director"]), "cast": _split(_BETWEEN_NAMES, cells["Cast"]),
        "genres": _split(_BETWEEN_GENRES, cells["Genre"]),
        "origin": _split(_BETWEEN_GENRES, cells.get("Origin/Ethnicity", "")),
    }  # fmt: skip


def _introduced(cells: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "title": cells.get("title"), "year": cells.get("year"), "page": cells.get("href"),
        "text": cells.get("extract"), "directors": _listed(cells.get("directors")), "cast": _listed(cells.get("cast")),
        "genres": _listed(cells.get("genres")), "origin": (),
    }  # fmt: skip


def _record(
    source: WikipediaSource, file: SourceFile, line: int, said: Mapping[str, Any], seen: SeenKeys
) -> Iterator[Record | Problem]:
    notes = Notes(file, line)
    titles, year = distinct((said["title"],)), notes.year(said["year"])
    if not titles:
        yield file.problem(line, "the title is empty", "give it a title or delete the row")
        return
    page = page_title(said["page"])
    key = page or f"{titles[0]} ({year})"
    if first := seen.first_place(key, line, file.name):
        reason = f"the article {key[:80]!r} was on {first} already"
        yield file.problem(line, reason, "the first is kept; delete one")
        return
    attributes = {name: values for name in ("genres", "directors", "cast", "origin") if (values := said[name])}
    record = Record(
        source=source.name,
        key=key,
        titles=titles,
        year=year,
        ids={"wikipedia": page} if page else {},
        people=distinct((*said["directors"], *said["cast"])),
        attributes=attributes,
        text=notes.text(said["text"]),
        line=line,
    )
    yield from notes.found
    yield file.checked(record)


def _split(between: re.Pattern[str], value: object) -> tuple[str, ...]:
    parts = (_CREDITED.sub("", part.strip()) for part in between.split(str(value or "")))
    return distinct(part for part in parts if part.casefold() not in _UNKNOWN)


def _listed(value: object) -> tuple[str, ...]:
    return distinct(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()
