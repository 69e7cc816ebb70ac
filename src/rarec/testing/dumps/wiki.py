"""Invented dumps in the forms of Wikipedia plots, Wikipedia extracts and Wikidata entities."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from rarec.testing.dumps.files import DumpFolder
from rarec.testing.dumps.films import Film, World
from rarec.testing.dumps.words import COUNTRIES

_KINDS = {"movie": 11424, "tvMovie": 506240}
_HUMAN = 5
_PEOPLE_FROM = 500_000_000
_GENRES_FROM = 200_000


class WikipediaDump:
    """Plots of films in a CSV file."""

    source = "wikipedia"

    def __init__(self, world: World, folder: DumpFolder) -> None:
        self._world = world
        self._file = folder.text("wiki_movie_plots_deduped.csv", "csv", once=True, packed=False)
        self._file.head((
            "Release Year", "Title", "Origin/Ethnicity", "Director", "Cast", "Genre", "Wiki Page", "Plot",
        ))  # fmt: skip

    def add(self, film: Film) -> list[str]:
        year = f"{film.year}-{film.year + 2}" if film.messy else film.year
        story = film.story.replace(". ", ".<br/>\r\n", 1) if film.messy else film.story.replace(". ", ".\r\n", 1)
        self._file.add((
            year, film.title, COUNTRIES[film.language][2], ", ".join(self._world.names(film.directors)),
            ", ".join(self._world.names(film.cast)), " / ".join(film.genres).lower() or "unknown",
            f"https://en.wikipedia.org/wiki/{_page(film)}", story,
        ))  # fmt: skip
        return [film.page]

    def close(self) -> None:
        pass


class ExtractsDump:
    """Introductions of articles about films, one JSON list."""

    source = "extracts"

    def __init__(self, world: World, folder: DumpFolder) -> None:
        self._world = world
        self._file = folder.text("movies.json", "array", packed=False)

    def add(self, film: Film) -> list[str]:
        self._file.add({
            "title": film.title, "year": film.year, "cast": self._world.names(film.cast),
            "genres": list(film.genres), "href": _page(film), "extract": film.story,
            "thumbnail": None, "thumbnail_width": 0, "thumbnail_height": 0,
        })  # fmt: skip
        return [film.page]

    def close(self) -> None:
        pass


class WikidataDump:
    """Entities one a line between brackets: films, those who made them, and genres."""

    source = "wikidata"

    def __init__(self, world: World, folder: DumpFolder) -> None:
        self._world = world
        self._file = folder.text("wikidata.json", "array")
        self._genres: dict[str, int] = {}

    def add(self, film: Film) -> list[str]:
        for genre in film.genres:
            self._genres.setdefault(genre, _GENRES_FROM + len(self._genres))
        claims: dict[str, list[dict[str, Any]]] = {
            "P31": [_item(_KINDS.get(film.kind, _KINDS["movie"]))],
            "P577": [_time(f"+{film.year}-00-00T00:00:00Z", 9)],
            "P57": [_item(_PEOPLE_FROM + number) for number in film.directors],
            "P161": [_item(_PEOPLE_FROM + number) for number in film.cast],
            "P136": [_item(self._genres[genre]) for genre in film.genres],
        }
        for property_, namespace in (("P345", "imdb"), ("P4947", "tmdb"), ("P646", "freebase")):
            if text := film.id_in("wikidata", namespace):
                claims[property_] = [_text(text)]
        labels = {"en": film.title, film.language: film.original, **dict(film.akas)}
        page = film.id_in("wikidata", "wikipedia") if film.sources & {"wikipedia", "extracts", "cmu"} else ""
        self._file.add(_entity(film.wikidata, {**labels, "en": film.title}, claims, page))
        return [film.wikidata]

    def close(self) -> None:
        for genre, number in self._genres.items():
            self._file.add(_entity(f"Q{number}", {"en": f"{genre.lower()} film"}, {"P31": [_item(201_658)]}))
        for number in range(self._world.people):
            name = {"en": self._world.person(number)}
            self._file.add(_entity(f"Q{_PEOPLE_FROM + number}", name, {"P31": [_item(_HUMAN)]}))


def _page(film: Film) -> str:
    return quote(film.page.replace(" ", "_"), safe="()_,.'")


def _entity(
    name: str, labels: dict[str, str], claims: dict[str, list[dict[str, Any]]], page: str = ""
) -> dict[str, Any]:
    return {
        "type": "item", "id": name,
        "labels": {language: {"language": language, "value": text} for language, text in labels.items()},
        "descriptions": {}, "aliases": {}, "claims": claims,
        "sitelinks": {"enwiki": {"site": "enwiki", "title": page, "badges": []}} if page else {},
        "lastrevid": 1,
    }  # fmt: skip


def _item(number: int) -> dict[str, Any]:
    value = {"entity-type": "item", "numeric-id": number, "id": f"Q{number}"}
    return _statement(value, "wikibase-entityid")


def _text(value: str) -> dict[str, Any]:
    return _statement(value, "string")


def _time(value: str, precision: int) -> dict[str, Any]:
    calendar = "http://www.wikidata.org/entity/Q1985727"
    return _statement({"time": value, "timezone": 0, "precision": precision, "calendarmodel": calendar}, "time")


def _statement(value: object, kind: str) -> dict[str, Any]:
    snak = {"snaktype": "value", "datavalue": {"value": value, "type": kind}}
    return {"mainsnak": snak, "type": "statement", "rank": "normal"}
