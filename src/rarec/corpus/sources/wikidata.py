"""Wikidata: a JSON dump, or a part of one, with an entity a line, bare or between the brackets of one list.

It is read twice: for films, and then for the labels of those whom films name. Only numbers are held between.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

from rarec.corpus.files import SourceFile
from rarec.corpus.record import Problem, Record
from rarec.corpus.sources.config import Named, Part, SourceConfig
from rarec.corpus.sources.ids import imdb_id, number_id
from rarec.corpus.sources.joining import Batch, NumberSet, number_in
from rarec.corpus.sources.opening import source_file
from rarec.corpus.sources.seen import scratch_database
from rarec.corpus.sources.values import distinct
from rarec.progress import OnProgress

_MAX_LINE: Final = 16_000_000
_ID: Final = re.compile(r'"id"\s*:\s*"(Q[0-9]{1,10})"')
_HEAD: Final = 400
_YEAR: Final = re.compile(r"\+?([0-9]{4})-")
_YEAR_KNOWN: Final = 9
"""Precision of a time from which its year is known."""
_LINKED: Final = {"P57": "directors", "P161": "cast", "P136": "genres", "P495": "countries"}
"""Property -> attribute that has the labels of what it names."""
_OF_GENRE: Final = re.compile(r" films?$", re.IGNORECASE)


class WikidataKeep(Part):
    """What is kept.

    Attributes:
        types: entities that are an instance (P31) of one of these; films of several kinds.
        languages: whose labels are titles and names, the most wanted first; ``mul`` is the label for all languages.
        cast: how many actors of a film.
    """

    types: tuple[str, ...] = Field(
        default=("Q11424", "Q506240", "Q24862", "Q202866", "Q29168811", "Q93204", "Q226730"), min_length=1
    )
    languages: tuple[str, ...] = Field(
        default=("en", "mul", "fr", "de", "es", "it", "pt", "ru", "ja", "zh", "ko", "hi"), min_length=1
    )
    cast: int = Field(default=10, ge=0, le=1000)


class WikidataSource(SourceConfig):
    """Wikidata: files of any names; see `SourceConfig`."""

    kind: Literal["wikidata"]
    files: Named
    keep: WikidataKeep = WikidataKeep()

    def namespaces(self) -> frozenset[str]:
        return frozenset(("wikidata", "imdb", "tmdb", "freebase", "letterboxd", "wikipedia"))

    def counts(self) -> frozenset[str]:
        return frozenset()

    def attributes(self) -> frozenset[str]:
        return frozenset(_LINKED.values())


def read(
    source: WikidataSource,
    files: Mapping[str, Path],
    *,
    scratch: Path,
    progress: OnProgress,
    rows: dict[str, int] | None = None,
) -> Iterator[Record | Problem]:
    """Records of films in order of their numbers; see `rarec.corpus.sources.config.Reader`."""
    with closing(scratch_database(scratch / "wikidata.sqlite")) as database:
        entities = _Entities(source, database)
        for key in files:
            yield from entities.films(source_file(source, files, key, progress, rows, max_line_bytes=_MAX_LINE), key)
        for key in files:
            entities.names(source_file(source, files, key, progress, None, max_line_bytes=_MAX_LINE, again="names"))
        opened = {key: source_file(source, files, key, progress, None) for key in files}
        yield from entities.records(opened)


class _Entities:
    def __init__(self, source: WikidataSource, database: Any) -> None:
        self._source, self._keep, self._database = source, source.keep, database
        self._seen, self._named = NumberSet(), NumberSet()
        self._types = frozenset(source.keep.types)
        self._marks = [f'"{one}"' for one in source.keep.types]
        database.execute("CREATE TABLE film (number INTEGER PRIMARY KEY, line INTEGER, file TEXT, said TEXT)")
        database.execute("CREATE TABLE label (number INTEGER PRIMARY KEY, name TEXT)")

    def films(self, file: SourceFile, key: str) -> Iterator[Problem]:
        """Keep what a file says of films."""
        batch = Batch(self._database, "INSERT OR IGNORE INTO film VALUES (?, ?, ?, ?)")
        for row in file.lines():
            if isinstance(row, Problem):
                yield row
                continue
            line, text = row
            if not any(mark in text for mark in self._marks) and _ends_well(text):
                continue
            entity = _entity(file, line, text)
            if isinstance(entity, Problem):
                yield entity
            elif entity:
                film = self._film(file, line, entity)
                if isinstance(film, Problem):
                    yield film
                elif film is not None:
                    batch.add(film[0], line, key, film[1])
        batch.flush()

    def names(self, file: SourceFile) -> None:
        """Keep the labels of those who were named; what is wrong was said when the films were read."""
        batch = Batch(self._database, "INSERT OR IGNORE INTO label VALUES (?, ?)")
        for row in file.lines():
            if isinstance(row, Problem):
                continue
            found = _ID.search(row[1], 0, _HEAD)
            if found is not None and number_in(found[1], "Q") not in self._named:
                continue
            entity = _entity(file, *row)
            if isinstance(entity, Problem) or entity is None:
                continue
            number = number_in(str(entity.get("id")), "Q")
            if number in self._named and (names := self._labels(entity)):
                batch.add(number, names[0])
        batch.flush()

    def records(self, files: Mapping[str, SourceFile]) -> Iterator[Record | Problem]:
        """One for each film."""
        for number, line, key, text in self._database.execute("SELECT * FROM film ORDER BY number"):
            said = json.loads(text)
            attributes = {name: self._names_of(said[name]) for name in _LINKED.values()}
            attributes["cast"] = attributes["cast"][: self._keep.cast]
            attributes["genres"] = distinct(_OF_GENRE.sub("", genre) for genre in attributes["genres"])
            yield files[key].checked(
                Record(
                    source=self._source.name,
                    key=f"Q{number}",
                    titles=tuple(said["titles"]),
                    year=said["year"],
                    ids=said["ids"],
                    people=distinct((*attributes["directors"], *attributes["cast"])),
                    attributes={name: values for name, values in attributes.items() if values},
                    line=line,
                )
            )

    def _film(self, file: SourceFile, line: int, entity: Mapping[str, Any]) -> tuple[int, str] | Problem | None:
        """The number of a film and what is said of it; None if it is none."""
        try:
            if not self._types.intersection(_linked(entity, "P31")):
                return None
            number = number_in(str(entity.get("id")), "Q")
            if number < 0:
                reason = f"{str(entity.get('id'))[:40]!r} is no id of an item"
                return file.problem(line, reason, "correct it or delete the line")
            if number in self._seen:
                return file.problem(line, f"the id Q{number} was there before", "the first is kept; delete one")
            said = json.dumps(self._said(entity))
        except (AttributeError, KeyError, TypeError) as error:
            reason = f"not laid out as an entity of Wikidata: {error}"
            return file.problem(line, reason, "correct it or delete the line")
        self._seen.add(number)
        return number, said

    def _said(self, entity: Mapping[str, Any]) -> dict[str, Any]:
        links = {name: _linked(entity, property_) for property_, name in _LINKED.items()}
        links["cast"] = links["cast"][: self._keep.cast]
        for named in links.values():
            for one in named:
                if (number := number_in(one, "Q")) >= 0:
                    self._named.add(number)
        sitelinks = entity.get("sitelinks")
        page = sitelinks.get("enwiki", {}).get("title") if isinstance(sitelinks, dict) else None
        ids = {
            "wikidata": entity["id"],
            "imdb": next((one for text in _texts(entity, "P345") if (one := _title_id(text))), ""),
            "tmdb": next((one for text in _texts(entity, "P4947") if (one := number_id(text))), ""),
            "freebase": next(_texts(entity, "P646"), ""),
            "letterboxd": next(_texts(entity, "P6127"), ""),
            "wikipedia": page or "",
        }
        return {
            **links,
            "titles": distinct((*self._labels(entity), *_texts(entity, "P1476"))),
            "year": min(_years(entity), default=None),
            "ids": {name: text for name, text in ids.items() if text},
        }

    def _labels(self, entity: Mapping[str, Any]) -> tuple[str, ...]:
        labels = entity.get("labels")
        if not isinstance(labels, dict):  # an empty table is written as an empty list
            return ()
        found = (labels.get(language) for language in self._keep.languages)
        return distinct(label.get("value") for label in found if isinstance(label, dict))

    def _names_of(self, entities: Sequence[str]) -> tuple[str, ...]:
        found = (
            self._database.execute("SELECT name FROM label WHERE number = ?", (number_in(one, "Q"),)).fetchone()
            for one in entities
        )
        return distinct(row[0] for row in found if row is not None)


def _entity(file: SourceFile, line: int, text: str) -> Mapping[str, Any] | Problem | None:
    """The entity of a line; None for the brackets around all."""
    text = text.strip().removeprefix("[").removesuffix(",").strip()
    if text in ("", "]"):
        return None
    try:
        entity = json.loads(text.removesuffix("]") if text.endswith("}]") else text)
    except (ValueError, RecursionError) as error:
        reason = f"not valid JSON ({error}): {text[:60]!r}"
        return file.problem(line, reason, "write one entity a line; take the dump again if it is cut")
    if not isinstance(entity, dict):
        return file.problem(line, f"not an entity: {text[:60]!r}", "write one JSON object a line")
    return entity


def _ends_well(text: str) -> bool:
    """Whether a line that has no film in it looks complete; one that does not is looked at."""
    return text.rstrip().removesuffix(",").endswith(("}", "[", "]")) or not text.strip()


def _statements(entity: Mapping[str, Any], property_: str) -> list[Any]:
    """Values of a property: the preferred ones, else the others that are not deprecated."""
    claims = entity.get("claims")
    given = claims.get(property_) if isinstance(claims, dict) else None
    found: dict[str, list[Any]] = {}
    for statement in given if isinstance(given, list) else ():
        value = statement.get("mainsnak", {}).get("datavalue", {}) if isinstance(statement, dict) else {}
        if "value" in value:
            found.setdefault(statement.get("rank", "normal"), []).append(value["value"])
    return found.get("preferred") or found.get("normal", [])


def _linked(entity: Mapping[str, Any], property_: str) -> list[str]:
    """Ids of the entities that a property names."""
    found = []
    for value in _statements(entity, property_):
        if isinstance(value, dict):
            found.append(str(value.get("id") or f"Q{value.get('numeric-id')}"))
    return found


def _texts(entity: Mapping[str, Any], property_: str) -> Iterator[str]:
    for value in _statements(entity, property_):
        text = value.get("text") if isinstance(value, dict) else value
        if isinstance(text, str) and text.strip():
            yield text.strip()


def _years(entity: Mapping[str, Any]) -> Iterator[int]:
    for value in _statements(entity, "P577"):
        if isinstance(value, dict) and value.get("precision", _YEAR_KNOWN) >= _YEAR_KNOWN:
            found = _YEAR.match(str(value.get("time")))
            if found is not None and int(found[1]):
                yield int(found[1])


def _title_id(text: str) -> str:
    """P345 names people and companies too."""
    return imdb_id(text) if text.startswith("tt") else ""
