"""Invented dumps in the forms of MovieLens, CMU MovieSummaries, and a table with columns of its own."""

from __future__ import annotations

import json

from rarec.testing.dumps.files import DumpFolder
from rarec.testing.dumps.films import Film, World
from rarec.testing.dumps.words import COUNTRIES, LANGUAGES

_MOST_RATINGS = 20


class MovieLensDump:
    """movies.csv, links.csv, tags.csv and ratings.csv; the article stands behind, the year in brackets."""

    source = "movielens"

    def __init__(self, _: World, folder: DumpFolder) -> None:
        self._movies = folder.text("movies.csv", "csv", once=True, packed=False)
        self._links = folder.text("links.csv", "csv", packed=False)
        self._tags = folder.text("tags.csv", "csv", packed=False)
        self._ratings = folder.text("ratings.csv", "csv", packed=False)
        self._movies.head(("movieId", "title", "genres"))
        self._links.head(("movieId", "imdbId", "tmdbId"))
        self._tags.head(("userId", "movieId", "tag", "timestamp"))
        self._ratings.head(("userId", "movieId", "rating", "timestamp"))

    def add(self, film: Film) -> list[str]:
        known = f" ({_behind(film.original)})" if film.original != film.title and film.number % 2 else ""
        years = f"{film.year}-{film.year + 1}" if film.messy else str(film.year)
        genres = "|".join({"Science Fiction": "Sci-Fi"}.get(genre, genre) for genre in film.genres)
        self._movies.add((film.movielens, f"{_behind(film.title)}{known} ({years})", genres))
        self._links.add((film.movielens, film.imdb[2:], film.id_in("movielens", "tmdb")))
        for user, tag in enumerate(film.keywords, start=1):
            self._tags.add((user, film.movielens, tag, 1_400_000_000 + film.number))
        for user in range(1, 1 + min(_MOST_RATINGS, film.votes // 50)):
            self._ratings.add((user, film.movielens, 0.5 + (user + film.number) % 10 / 2, 1_400_000_000 + user))
        return [str(film.movielens)]

    def close(self) -> None:
        pass


class CmuDump:
    """movie.metadata.tsv with lists as JSON objects, and plot_summaries.txt."""

    source = "cmu"

    def __init__(self, _: World, folder: DumpFolder) -> None:
        self._metadata = folder.text("movie.metadata.tsv", "tsv", once=True, packed=False)
        self._plots = folder.text("plot_summaries.txt", "tsv", packed=False)

    def add(self, film: Film) -> list[str]:
        date = f"{film.year}-{1 + film.number % 12:02d}-{1 + film.number % 28:02d}" if film.number % 3 else film.year
        self._metadata.add((
            film.page_number, film.freebase, film.title, date, "", f"{film.runtime}.0",
            _freebase(f"{LANGUAGES[film.language]} Language"), _freebase(COUNTRIES[film.language][0]),
            _freebase(*film.genres),
        ))  # fmt: skip
        self._plots.add((film.page_number, film.story))
        return [str(film.page_number)]

    def close(self) -> None:
        pass


class TableDump:
    """A CSV file with semicolons as somebody may keep one, for the reader of any table."""

    source = "table"

    def __init__(self, world: World, folder: DumpFolder) -> None:
        self._world = world
        self._file = folder.text("films.csv", "csv", once=True, packed=False)
        self._file.head(("no", "name", "made", "by", "with", "what", "about", "seen", "imdb"))

    def add(self, film: Film) -> list[str]:
        year = f"{film.year}-{film.year + 1}" if film.messy else film.year
        self._file.add((
            f"F{film.number}", film.title, year, "|".join(self._world.names(film.directors)),
            "|".join(self._world.names(film.cast)), "|".join(film.genres), film.plot, film.votes // 100,
            film.id_in("table", "imdb"),
        ))  # fmt: skip
        return [f"F{film.number}"]

    def close(self) -> None:
        pass


def _behind(title: str) -> str:
    """Its article behind it."""
    return f"{title[4:]}, The" if title.startswith("The ") else title


def _freebase(*names: str) -> str:
    return json.dumps({f"/m/{sum(name.encode()):05x}": name for name in names}, ensure_ascii=False)
