"""Invented dumps in the form of IMDb's non-commercial TSV files."""

from __future__ import annotations

from rarec.testing.dumps.files import DumpFolder
from rarec.testing.dumps.films import Film, World
from rarec.testing.dumps.words import COUNTRIES

_NULL = r"\N"


class ImdbDump:
    """title.basics, ratings, crew, principals and akas, and name.basics."""

    source = "imdb"

    def __init__(self, world: World, folder: DumpFolder) -> None:
        self._world = world
        self._basics = folder.text("title.basics.tsv", "tsv", once=True)
        self._ratings = folder.text("title.ratings.tsv", "tsv")
        self._crew = folder.text("title.crew.tsv", "tsv")
        self._principals = folder.text("title.principals.tsv", "tsv")
        self._akas = folder.text("title.akas.tsv", "tsv")
        self._names = folder.text("name.basics.tsv", "tsv")
        self._basics.head((
            "tconst", "titleType", "primaryTitle", "originalTitle", "isAdult", "startYear", "endYear",
            "runtimeMinutes", "genres",
        ))  # fmt: skip
        self._ratings.head(("tconst", "averageRating", "numVotes"))
        self._crew.head(("tconst", "directors", "writers"))
        self._principals.head(("tconst", "ordering", "nconst", "category", "job", "characters"))
        self._akas.head((
            "titleId", "ordering", "title", "region", "language", "types", "attributes", "isOriginalTitle",
        ))  # fmt: skip
        self._names.head((
            "nconst", "primaryName", "birthYear", "deathYear", "primaryProfession", "knownForTitles",
        ))  # fmt: skip

    def add(self, film: Film) -> list[str]:
        name = film.imdb
        genres = ",".join({"Science Fiction": "Sci-Fi"}.get(genre, genre) for genre in film.genres)
        self._basics.add((
            name, film.kind, film.title, film.original, 0, film.year, _NULL, film.runtime, genres,
        ))  # fmt: skip
        if film.votes:
            self._ratings.add((name, f"{4 + film.votes % 50 / 10:.1f}", film.votes))
        self._crew.add((name, ",".join(map(_person, film.directors)), _NULL))
        people = [*((one, "actor") for one in film.cast), *((one, "director") for one in film.directors)]
        for place, (person, category) in enumerate(people, start=1):
            played = f'["Part {place}"]' if category == "actor" else _NULL
            self._principals.add((name, place, _person(person), category, _NULL, played))
        titles = [(film.title, "US", "en", 0), (film.original, _NULL, _NULL, 1)]
        titles += [(title, COUNTRIES[language][1], language, 0) for language, title in film.akas]
        for place, (title, region, language, own) in enumerate(titles, start=1):
            types = "original" if own else "imdbDisplay"
            self._akas.add((name, place, title, region, language, types, _NULL, own))
        return [name]

    def close(self) -> None:
        for number in range(self._world.people):
            self._names.add((_person(number), self._world.person(number), _NULL, _NULL, "actor,director", _NULL))


def _person(number: int) -> str:
    return f"nm{number + 1:07d}"
