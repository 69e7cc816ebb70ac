"""Invented dumps in the forms in which TMDB's films go around: two CSV files, answers of its API, its daily list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rarec.testing.dumps.files import DumpFolder
from rarec.testing.dumps.films import Film, World
from rarec.testing.dumps.words import COUNTRIES, LANGUAGES


class TmdbDump:
    """The large CSV file: lists are texts with commas, and nobody is named. Some films stand there twice."""

    source = "tmdb"

    def __init__(self, _: World, folder: DumpFolder) -> None:
        self._file = folder.text("TMDB_movie_dataset_v11.csv", "csv", once=True, packed=False)
        self._file.head((
            "id", "title", "vote_average", "vote_count", "status", "release_date", "revenue", "runtime", "adult",
            "backdrop_path", "budget", "homepage", "imdb_id", "original_language", "original_title", "overview",
            "popularity", "poster_path", "tagline", "genres", "production_companies", "production_countries",
            "spoken_languages", "keywords",
        ))  # fmt: skip

    def add(self, film: Film) -> list[str]:
        self._row(film, film.tmdb, film.title, film.id_in("tmdb", "imdb"))
        if not film.double:
            return [str(film.tmdb)]
        self._row(film, film.double, film.original, "")
        return [str(film.tmdb), str(film.double)]

    def close(self) -> None:
        pass

    def _row(self, film: Film, number: int, title: str, imdb: str) -> None:
        plot = f"<p>{film.plot.replace('. ', '.<br>')}</p>" if film.messy else film.plot
        self._file.add((
            number, title, f"{film.votes % 90 / 10:.3f}", film.votes // 40, "Released", _date(film), 0, film.runtime,
            False, "", 0, "", imdb, film.language, film.original, plot, f"{film.votes ** 0.4:.3f}", "", "",
            ", ".join(film.genres), "", COUNTRIES[film.language][0], LANGUAGES[film.language],
            ", ".join(film.keywords),
        ))  # fmt: skip


class KaggleDump:
    """movies_metadata.csv with lists as Python writes them, credits.csv and keywords.csv."""

    source = "kaggle"

    def __init__(self, world: World, folder: DumpFolder) -> None:
        self._world = world
        self._movies = folder.text("movies_metadata.csv", "csv", once=True, packed=False)
        self._credits = folder.text("credits.csv", "csv", packed=False)
        self._keywords = folder.text("keywords.csv", "csv", packed=False)
        self._movies.head((
            "adult", "belongs_to_collection", "budget", "genres", "homepage", "id", "imdb_id", "original_language",
            "original_title", "overview", "popularity", "poster_path", "production_companies", "production_countries",
            "release_date", "revenue", "runtime", "spoken_languages", "status", "tagline", "title", "video",
            "vote_average", "vote_count",
        ))  # fmt: skip
        self._credits.head(("cast", "crew", "id"))
        self._keywords.head(("id", "keywords"))

    def add(self, film: Film) -> list[str]:
        country, code, _ = COUNTRIES[film.language]
        self._movies.add((
            False, "", 0, _python(_named(film.genres)), "", film.tmdb, film.id_in("kaggle", "imdb"), film.language,
            film.original, film.plot, f"{film.votes ** 0.4:.6f}", "", "[]",
            _python([{"iso_3166_1": code, "name": country}]), _date(film), 0, f"{film.runtime}.0",
            _python([{"iso_639_1": film.language, "name": LANGUAGES[film.language]}]), "Released", "", film.title,
            False, f"{film.votes % 90 / 10:.1f}", f"{film.votes // 45}.0",
        ))  # fmt: skip
        people = _credits(self._world, film)
        self._credits.add((_python(people["cast"]), _python(people["crew"]), film.tmdb))
        self._keywords.add((film.tmdb, _python(_named(film.keywords))))
        return [str(film.tmdb)]

    def close(self) -> None:
        pass


class TmdbJsonDump:
    """Answers of the API with credits, keywords, ids and titles appended, one a line."""

    source = "tmdb_json"

    def __init__(self, world: World, folder: DumpFolder) -> None:
        self._world = world
        self._file = folder.text("tmdb_movies.jsonl", "json", once=True)

    def add(self, film: Film) -> list[str]:
        country, code, _ = COUNTRIES[film.language]
        imdb = film.id_in("tmdb_json", "imdb") or None
        self._file.add({
            "adult": False, "id": film.tmdb, "imdb_id": imdb, "title": film.title, "original_title": film.original,
            "original_language": film.language, "overview": film.plot, "release_date": _date(film),
            "runtime": film.runtime, "popularity": round(film.votes**0.4, 3), "vote_count": film.votes // 40,
            "genres": _named(film.genres), "production_countries": [{"iso_3166_1": code, "name": country}],
            "credits": _credits(self._world, film), "keywords": {"keywords": _named(film.keywords)},
            "external_ids": {"imdb_id": imdb, "wikidata_id": film.id_in("tmdb_json", "wikidata") or None},
            "alternative_titles": {"titles": [
                {"iso_3166_1": COUNTRIES[language][1], "title": title, "type": ""} for language, title in film.akas
            ]},
        })  # fmt: skip
        return [str(film.tmdb)]

    def close(self) -> None:
        pass


class TmdbIdsDump:
    """The daily list of ids: original titles, and nothing else that tells films apart."""

    source = "tmdb_ids"

    def __init__(self, _: World, folder: DumpFolder) -> None:
        self._file = folder.text("movie_ids_05_15_2025.json", "json", once=True)

    def add(self, film: Film) -> list[str]:
        self._file.add({
            "adult": False, "id": film.tmdb, "original_title": film.original,
            "popularity": round(film.votes**0.4, 3), "video": False,
        })  # fmt: skip
        return [str(film.tmdb)]

    def close(self) -> None:
        pass


def _date(film: Film) -> str:
    return f"{film.year}-{1 + film.number % 12:02d}-{1 + film.number % 28:02d}"


def _named(names: Sequence[str]) -> list[dict[str, object]]:
    return [{"id": sum(name.encode()) % 10_000, "name": name} for name in names]


def _credits(world: World, film: Film) -> Mapping[str, list[dict[str, Any]]]:
    cast = [
        {"cast_id": place, "character": f"Part {place}", "id": number + 1, "name": world.person(number), "order": place}
        for place, number in enumerate(film.cast)
    ]
    crew = [
        {"department": "Directing", "id": number + 1, "job": "Director", "name": world.person(number)}
        for number in film.directors
    ]
    return {"cast": cast, "crew": crew}


def _python(value: object) -> str:
    """As Python writes it, which is no JSON."""
    return repr(value)
