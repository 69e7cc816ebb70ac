"""Each reader on files in its publisher's form, written here by hand, with what is wrong in real dumps."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus_sources import Read, lines, read, tabbed, table, texts

N = r"\N"
BASICS = ("tconst", "titleType", "primaryTitle", "originalTitle", "isAdult", "startYear", "endYear", "runtimeMinutes")


def imdb(folder: Path, files: dict[str, str], **keep: Any) -> Read:
    return read(folder, kind="imdb", files=files, keep=keep)


@pytest.fixture
def imdb_files(tmp_path: Path) -> dict[str, str]:
    """The six files with three films, one of which is for adults, and a series."""
    tabbed(
        tmp_path / "basics.tsv", (*BASICS, "genres"),
        ("tt0000012", "movie", 'The "Lamp"', "Die Lampe", 0, 1990, N, 90, "Drama,Sci-Fi"),
        ("tt0000013", "tvSeries", "Lamp", "Lamp", 0, 1990, 1995, 45, "Drama"),
        ("tt12345678", "tvMovie", "Stool", "Stool", 0, N, N, N, N),
        ("tt0000015", "movie", "Red Stool", "Red Stool", 1, 2001, N, N, N),
    )  # fmt: skip
    tabbed(
        tmp_path / "ratings.tsv", ("tconst", "averageRating", "numVotes"),
        ("tt0000012", 7.1, 1200), ("tt0000013", 8.0, 5), ("tt12345678", 5.0, 9),
    )  # fmt: skip
    tabbed(
        tmp_path / "crew.tsv", ("tconst", "directors", "writers"),
        ("tt0000012", "nm0000002,nm0000001", N), ("tt12345678", N, "nm0000001"),
    )  # fmt: skip
    tabbed(
        tmp_path / "principals.tsv", ("tconst", "ordering", "nconst", "category", "job", "characters"),
        ("tt0000012", 2, "nm0000004", "actress", N, '["Lena"]'), ("tt0000012", 1, "nm0000003", "actor", N, N),
        ("tt0000012", 3, "nm0000005", "writer", N, N), ("tt12345678", 1, "nm0000002", "director", N, N),
        ("tt12345678", 2, "nm0000009", "self", N, N),
    )  # fmt: skip
    tabbed(
        tmp_path / "akas.tsv",
        ("titleId", "ordering", "title", "region", "language", "types", "attributes", "isOriginalTitle"),
        ("tt0000012", 2, "La Lampe", "FR", "fr", "imdbDisplay", N, 0),
        ("tt0000012", 1, "Die Lampe", N, N, "original", N, 1),
        ("tt0000013", 1, "Series", "US", "en", N, N, 0),
    )  # fmt: skip
    tabbed(
        tmp_path / "names.tsv", ("nconst", "primaryName", "birthYear", "deathYear", "profession", "knownForTitles"),
        *((f"nm000000{number}", f"Person {number}", N, N, N, N) for number in range(1, 6)),
    )  # fmt: skip
    return {name: f"{name}.tsv" for name in ("basics", "ratings", "crew", "principals", "akas", "names")}


def test_imdb_files_are_joined(tmp_path: Path, imdb_files: dict[str, str]) -> None:
    found = imdb(tmp_path, imdb_files)
    assert found.problems == []
    lamp, stool = found.records
    assert (lamp.key, lamp.ids, lamp.line, lamp.year) == ("tt0000012", {"imdb": "tt0000012"}, 2, 1990)
    assert lamp.titles == ('The "Lamp"', "Die Lampe", "La Lampe")
    assert lamp.people == ("Person 2", "Person 1", "Person 3", "Person 4")
    assert lamp.attributes == {
        "genres": ("Drama", "Sci-Fi"), "directors": ("Person 2", "Person 1"), "cast": ("Person 3", "Person 4"),
        "title_type": ("movie",),
    }  # fmt: skip
    assert lamp.counts == {"imdb_votes": 1200.0}
    assert (stool.key, stool.titles, stool.year, stool.people) == ("tt12345678", ("Stool",), None, ())
    assert found.rows == {"basics": 4, "ratings": 3, "crew": 2, "principals": 5, "akas": 3, "names": 5}


def test_imdb_keeps_what_is_asked_for(tmp_path: Path, imdb_files: dict[str, str]) -> None:
    assert [one.key for one in imdb(tmp_path, imdb_files, min_votes=100).records] == ["tt0000012"]
    assert [one.key for one in imdb(tmp_path, imdb_files, title_types=["tvSeries"]).records] == ["tt0000013"]
    everything = imdb(tmp_path, imdb_files, title_types=[], adult=True, cast=1, akas=1)
    assert len(everything.records) == 4
    assert everything.by_key["tt0000012"].attributes["cast"] == ("Person 3",)
    assert everything.by_key["tt0000012"].titles == ('The "Lamp"', "Die Lampe")


def test_imdb_directors_come_from_principals_where_there_is_no_crew(tmp_path: Path, imdb_files: dict[str, str]) -> None:
    del imdb_files["crew"]
    found = imdb(tmp_path, imdb_files)
    assert found.by_key["tt12345678"].attributes["directors"] == ("Person 2",)


def test_imdb_mistakes_are_told(tmp_path: Path, imdb_files: dict[str, str]) -> None:
    with (tmp_path / "basics.tsv").open("a") as file:
        file.write("tt0000012\tmovie\tAgain\tAgain\t0\t1990\t\\N\t90\tDrama\n")
        file.write("tt0000016\tmovie\tShort\n")
        file.write("nm0000001\tmovie\tPerson\tPerson\t0\t1990\t\\N\t90\tDrama\n")
        file.write("tt0000017\tmovie\t\\N\t\\N\t0\t1990\t\\N\t90\tDrama\n")
        file.write("tt0000018\tmovie\tSoon\tSoon\t0\t2019-2021\t\\N\t90\tDrama\n")
    lines(tmp_path / "ratings.tsv", "tconst\taverageRating\tnumVotes", "tt0000012\t7\tmany", "x\t1\t1")
    found = imdb(tmp_path, imdb_files)
    assert found.places() == [("ratings.tsv", 2), ("ratings.tsv", 3), *(("basics.tsv", line) for line in (6, 7, 8, 9))]
    assert "'tt0000012' was on line 2 already" in texts(found.problems)
    assert "3 values, a row has 9" in texts(found.problems)
    assert "'nm0000001' is no id of IMDb" in texts(found.problems)
    assert "basics.tsv:10: year '2019-2021' is taken as 2019" in texts(found.problems)
    assert found.by_key["tt0000018"].year == 2019


def test_imdb_file_in_the_place_of_another_is_told(tmp_path: Path, imdb_files: dict[str, str]) -> None:
    found = imdb(tmp_path, {"basics": imdb_files["ratings"]})
    assert "has no column 'titleType', 'primaryTitle'" in texts(found.problems)
    assert found.problems[0].fatal


LARGE = ("id", "title", "vote_count", "status", "release_date", "adult", "imdb_id", "original_language",
         "original_title", "overview", "popularity", "genres", "production_countries", "keywords")  # fmt: skip


def test_tmdb_large_csv(tmp_path: Path) -> None:
    table(
        tmp_path / "m.csv", LARGE,
        {
            "id": 12, "title": "The Lamp", "vote_count": 30, "status": "Released", "release_date": "1990-05-01",
            "adult": "False", "imdb_id": "tt0000012", "original_language": "de", "original_title": "Die Lampe",
            "overview": "A lamp.\nIt glows.", "popularity": 1.5, "genres": "Drama, Science Fiction",
            "production_countries": "Germany, France", "keywords": "lamp, night",
        },
        {"id": 13, "title": "Red", "adult": "True"},
        {"id": 14, "title": "Plan", "status": "Planned", "vote_count": "x"},
        {"id": 12, "title": "Again", "adult": "False"},
        {"id": "1997-08-20", "title": "Shifted"},
        {"id": 15},
    )  # fmt: skip
    found = read(tmp_path, kind="tmdb", files={"movies": "m.csv"})
    lamp, plan = found.records
    assert (lamp.key, lamp.titles, lamp.year) == ("12", ("The Lamp", "Die Lampe"), 1990)
    assert lamp.ids == {"tmdb": "12", "imdb": "tt0000012"}
    assert lamp.text == "A lamp.\nIt glows."
    assert lamp.attributes == {
        "genres": ("Drama", "Science Fiction"), "keywords": ("lamp", "night"), "countries": ("Germany", "France"),
        "language": ("de",),
    }  # fmt: skip
    assert lamp.counts == {"tmdb_vote_count": 30.0, "tmdb_popularity": 1.5}
    assert plan.counts == {}
    assert [problem.line for problem in found.lost] == [6, 7, 8]
    assert "'1997-08-20' is no id of TMDB" in texts(found.problems)
    assert "vote_count is no number of at least 0: 'x'" in texts(found.problems)
    keep = {"statuses": ["Released"], "min_votes": 10, "adult": True}
    kept = read(tmp_path, kind="tmdb", files={"movies": "m.csv"}, keep=keep)
    assert [one.key for one in kept.records] == ["12"]


def test_tmdb_small_csv_with_lists_as_python_writes_them(tmp_path: Path) -> None:
    table(
        tmp_path / "m.csv", ("id", "title", "genres", "imdb_id", "production_countries"),
        {"id": 12, "title": "Lamp", "genres": "[{'id': 18, 'name': 'Drama'}, {'id': 1, 'name': \"Kid's\"}]"},
        {"id": 13, "title": "Stool", "genres": '[{"id": 18, "name": "Drama"}]', "production_countries": "[]"},
        {"id": 14, "title": "Bad", "genres": "[__import__('os').system('x')]"},
    )  # fmt: skip
    cast = [{"cast_id": 1, "name": "Ada O'Neil", "order": 0}, {"name": 'Bo "B" Cox', "order": 1}]
    crew = [{"job": "Producer", "name": "Pia"}, {"job": "Director", "name": "Dov"}]
    table(tmp_path / "c.csv", ("cast", "crew", "id"), {"cast": repr(cast), "crew": repr(crew), "id": 12})
    table(tmp_path / "k.csv", ("id", "keywords"), {"id": 12, "keywords": "[{'id': 1, 'name': 'night'}]"}, {"id": "x"})
    files = {"movies": "m.csv", "credits": "c.csv", "keywords": "k.csv"}
    found = read(tmp_path, kind="tmdb", files=files)
    lamp = found.by_key["12"]
    assert lamp.people == ("Dov", "Ada O'Neil", 'Bo "B" Cox')
    assert lamp.attributes == {
        "genres": ("Drama", "Kid's"), "keywords": ("night",), "directors": ("Dov",),
        "cast": ("Ada O'Neil", 'Bo "B" Cox'),
    }  # fmt: skip
    assert found.by_key["13"].attributes == {"genres": ("Drama",)}
    assert found.by_key["14"].attributes == {}
    assert "m.csv:4: genres is no list" in texts(found.problems)
    assert found.places() == [("k.csv", 3)]


def test_tmdb_answers_of_the_api_and_the_list_of_ids(tmp_path: Path) -> None:
    film = {
        "id": 12, "imdb_id": None, "title": "The Lamp", "original_title": "Die Lampe", "release_date": "",
        "overview": None, "genres": [{"id": 18, "name": "Drama"}], "vote_count": 3, "adult": False,
        "credits": {"cast": [{"name": "Ada"}], "crew": [{"job": "Director", "name": "Dov"}]},
        "keywords": {"keywords": [{"name": "night"}]}, "external_ids": {"imdb_id": "tt0000012", "wikidata_id": "Q7"},
        "alternative_titles": {"titles": [{"iso_3166_1": "FR", "title": "La Lampe"}]},
    }  # fmt: skip
    lines(tmp_path / "m.jsonl", json.dumps(film), json.dumps(film)[:50], json.dumps({"id": 13, "title": "Stool"}))
    lines(
        tmp_path / "ids.json",
        *(json.dumps({"adult": False, "id": key, "original_title": "T", "popularity": 0.6}) for key in (12, 14, 14)),
    )
    found = read(tmp_path, kind="tmdb", files={"movies": "m.jsonl", "ids": "ids.json"})
    assert [one.key for one in found.records] == ["12", "13", "14"]
    lamp = found.records[0]
    assert lamp.ids == {"tmdb": "12", "imdb": "tt0000012", "wikidata": "Q7"}
    assert lamp.titles == ("The Lamp", "Die Lampe", "La Lampe")
    assert (lamp.people, lamp.year) == (("Dov", "Ada"), None)
    assert found.by_key["14"].counts == {"tmdb_popularity": 0.6}
    assert found.places() == [("m.jsonl", 2), ("ids.json", 3)]


def test_wikipedia_plots(tmp_path: Path) -> None:
    columns = ("Release Year", "Title", "Origin/Ethnicity", "Director", "Cast", "Genre", "Wiki Page", "Plot")
    page = "https://en.wikipedia.org/wiki/The_Lamp_(1990_film)"
    row = {
        "Release Year": 1990, "Title": "The Lamp", "Origin/Ethnicity": "German", "Director": "Dov Ek and Ada Ro",
        "Cast": "Cast: Bo Cox, Unknown\nPia Li", "Genre": "drama / sci-fi", "Wiki Page": page,
        "Plot": "A lamp.\r\nIt <i>glows</i>.",
    }  # fmt: skip
    unknown = {"Release Year": 1991, "Title": "Stool", "Director": "Unknown", "Genre": "unknown"}
    table(tmp_path / "p.csv", columns, row, row, unknown, {"Release Year": 1991})
    found = read(tmp_path, kind="wikipedia", files={"plots": "p.csv"})
    lamp, stool = found.records
    assert (lamp.key, lamp.ids) == ("The Lamp (1990 film)", {"wikipedia": "The Lamp (1990 film)"})
    assert lamp.people == ("Dov Ek", "Ada Ro", "Bo Cox", "Pia Li")
    assert lamp.attributes["genres"] == ("drama", "sci-fi")
    assert lamp.text == "A lamp.\nIt glows."
    assert (stool.key, stool.ids, stool.people, stool.attributes) == ("Stool (1991)", {}, (), {})
    assert [problem.reason.partition(" ")[0] for problem in found.lost] == ["the", "the"]


@pytest.mark.parametrize("indent", [None, 2])
def test_wikipedia_introductions_in_one_list(tmp_path: Path, indent: int | None) -> None:
    films = [
        {
            "title": "The Lamp",
            "year": 1990,
            "cast": ["Bo"],
            "genres": ["Drama"],
            "href": "The_Lamp",
            "extract": "Glows.",
        },
        {"title": "Stool", "year": 1991, "cast": [], "genres": [], "href": None, "extract": None},
    ]
    (tmp_path / "a.json").write_text(json.dumps(films, indent=indent))
    (tmp_path / "b.json").write_text(json.dumps(films[1:]) + "\n")
    found = read(tmp_path, kind="wikipedia", files={"1990s": "a.json", "again": "b.json"})
    lamp, stool = found.records
    assert (lamp.key, lamp.text, lamp.people) == ("The Lamp", "Glows.", ("Bo",))
    assert (stool.key, stool.ids) == ("Stool (1991)", {})
    assert found.places() == [("b.json", 1)]
    assert found.rows == {"1990s": 2, "again": 1}


def item(number: str) -> dict[str, Any]:
    return {"mainsnak": {"snaktype": "value", "datavalue": {"value": {"id": number}}}, "rank": "normal"}


def text(value: object, rank: str = "normal") -> dict[str, Any]:
    return {"mainsnak": {"snaktype": "value", "datavalue": {"value": value}}, "rank": rank}


def entity(number: str, labels: dict[str, str] | None, claims: dict[str, Any], **more: Any) -> str:
    tables = {code: {"language": code, "value": label} for code, label in (labels or {}).items()}
    return json.dumps({"type": "item", "id": number, "labels": tables or [], "claims": claims or [], **more})


LAMP = entity(
    "Q12", {"fr": "La Lampe", "en": "The Lamp", "xx": "Xyz"},
    {
        "P31": [item("Q11424")], "P57": [item("Q101")], "P161": [item("Q102"), item("Q999")], "P136": [item("Q103")],
        "P345": [text("nm0000001"), text("tt0000012")], "P4947": [text("77")], "P646": [text("/m/1")],
        "P1476": [text({"text": "Die Lampe", "language": "de"})],
        "P577": [
            text({"time": "+1990-05-01T00:00:00Z", "precision": 11}),
            text({"time": "+1989-00-00T00:00:00Z", "precision": 9}),
            text({"time": "+1900-00-00T00:00:00Z", "precision": 7}),
            text({"time": "+1950-00-00T00:00:00Z", "precision": 9}, "deprecated"),
        ],
    },
    sitelinks={"enwiki": {"site": "enwiki", "title": "The Lamp (film)"}},
)  # fmt: skip
OTHERS = (
    entity("Q101", {"en": "Dov Ek"}, {"P31": [item("Q5")]}),
    entity("Q102", {"fr": "Ada Ro"}, {"P31": [item("Q5")]}),
    entity("Q103", {"en": "drama film"}, {}),
    entity("Q104", None, {}),
)


@pytest.mark.parametrize("listed", [False, True])
def test_wikidata_entities(tmp_path: Path, listed: bool) -> None:
    entities = [OTHERS[0], LAMP, *OTHERS[1:], LAMP]
    if listed:
        lines(tmp_path / "w.json", "[", *(f"{one}," for one in entities[:-1]), entities[-1], "]")
    else:
        lines(tmp_path / "w.json", *entities)
    found = read(tmp_path, kind="wikidata", files={"entities": "w.json"})
    (lamp,) = found.records
    assert (lamp.key, lamp.year, lamp.line) == ("Q12", 1989, 3 if listed else 2)
    assert lamp.titles == ("The Lamp", "La Lampe", "Die Lampe")
    assert lamp.ids == {
        "wikidata": "Q12", "imdb": "tt0000012", "tmdb": "77", "freebase": "/m/1", "wikipedia": "The Lamp (film)",
    }  # fmt: skip
    assert lamp.people == ("Dov Ek", "Ada Ro")
    assert lamp.attributes == {"directors": ("Dov Ek",), "cast": ("Ada Ro",), "genres": ("drama",)}
    assert "the id Q12 was there before" in texts(found.problems)


def test_wikidata_broken_lines_are_told_once(tmp_path: Path) -> None:
    lines(tmp_path / "w.json", "[", LAMP[:-20] + ",", LAMP + ",", '{"id": "Q5", "labels": ', "]")
    found = read(tmp_path, kind="wikidata", files={"entities": "w.json"})
    assert [one.line for one in found.records] == [3]
    assert found.places() == [("w.json", 2), ("w.json", 4)]


def test_wikidata_types_and_languages_are_chosen(tmp_path: Path) -> None:
    lines(tmp_path / "w.json", LAMP, *OTHERS)
    keep = {"types": ["Q5"], "languages": ["fr", "en"]}
    found = read(tmp_path, kind="wikidata", files={"entities": "w.json"}, keep=keep)
    assert [(one.key, one.titles) for one in found.records] == [("Q101", ("Dov Ek",)), ("Q102", ("Ada Ro",))]


def test_movielens_csv_files(tmp_path: Path) -> None:
    table(
        tmp_path / "movies.csv", ("movieId", "title", "genres"),
        {"movieId": 1, "title": "Grey Lamp, The (Lampe grise, La) (1990)", "genres": "Drama|Sci-Fi"},
        {"movieId": 2, "title": "Stool (a.k.a. The Stool) (2019-2021) ", "genres": "(no genres listed)"},
        {"movieId": 3, "title": "Nameless", "genres": "Drama"},
        {"movieId": 1, "title": "Again (1990)", "genres": "Drama"},
        {"movieId": "x", "title": "Wrong (1990)", "genres": "Drama"},
    )  # fmt: skip
    lines(tmp_path / "links.csv", "movieId,imdbId,tmdbId", "1,0000012,77", "2,12345678,", "3,,")
    lines(
        tmp_path / "tags.csv", "userId,movieId,tag,timestamp",
        "1,1,Night,1", "2,1,night,2", '3,1,"one, two",3', "4,1,one",
    )  # fmt: skip
    lines(tmp_path / "ratings.csv", "userId,movieId,rating,timestamp", *(f"{user},1,4.0,9" for user in range(7)), "1,2")
    files = {name: f"{name}.csv" for name in ("movies", "links", "tags", "ratings")}
    found = read(tmp_path, kind="movielens", files=files)
    lamp, stool, nameless = found.records
    assert (lamp.titles, lamp.year) == (("The Grey Lamp", "La Lampe grise"), 1990)
    assert lamp.ids == {"movielens": "1", "imdb": "tt0000012", "tmdb": "77"}
    assert lamp.attributes == {"genres": ("Drama", "Sci-Fi"), "tags": ("night",)}
    assert lamp.counts == {"movielens_ratings": 7.0}
    assert (stool.titles, stool.year, stool.ids) == (
        ("Stool", "The Stool"), 2019, {"movielens": "2", "imdb": "tt12345678"},
    )  # fmt: skip
    assert (nameless.titles, nameless.year) == (("Nameless",), None)
    assert nameless.counts == {"movielens_ratings": 0.0}
    assert found.places() == [("tags.csv", 5), ("ratings.csv", 9), ("movies.csv", 5), ("movies.csv", 6)]
    keep = {"tag_users": 1, "min_ratings": 1}
    assert read(tmp_path, kind="movielens", files=files, keep=keep).records[0].attributes["tags"] == (
        "night", "one, two",
    )  # fmt: skip


def test_movielens_files_with_colons(tmp_path: Path) -> None:
    (tmp_path / "movies.dat").write_bytes("1::Thé, The (1990)::Drama|War\n2::Stool (1991)\n".encode("latin-1"))
    lines(tmp_path / "ratings.dat", "1::1::5::9", "2::1::4::9")
    lines(tmp_path / "tags.dat", "1::1::night::9", "2::1::night::9")
    files = {name: f"{name}.dat" for name in ("movies", "ratings", "tags")}
    assert "not valid UTF-8" in texts(read(tmp_path, kind="movielens", files=files).problems)
    found = read(tmp_path, kind="movielens", files=files, encoding="latin-1")
    (record,) = found.records
    assert (record.titles, record.year, record.line) == (("The Thé",), 1990, 1)
    assert record.counts == {"movielens_ratings": 2.0}
    assert record.attributes == {"genres": ("Drama", "War"), "tags": ("night",)}
    assert found.places() == [("movies.dat", 2)]


def test_cmu_files(tmp_path: Path) -> None:
    names = '{"/m/1": "German Language"}\t{"/m/2": "Germany"}\t{"/m/3": "Drama", "/m/4": "Caf\\u00e9"}'
    lines(
        tmp_path / "m.tsv",
        f"77\t/m/0lamp\tThe Lamp\t1990-05-01\t\t90.0\t{names}",
        f"78\t/m/0stool\tStool\t1991\t\t\t{names[:10]}\t{{}}\t",
        f"77\t/m/0again\tAgain\t1990\t\t90.0\t{names}",
        f"x\t/m/0x\tX\t1990\t\t90.0\t{names}",
        "79\t/m/0cut",
    )
    lines(tmp_path / "p.txt", "77\tA lamp &amp; a stool.", "nothing")
    actor = ["77", "/m/0lamp", "1990", "Lena", "1960", "F", "", "", "Ada Ro", "30", "/m/a", "/m/b", "/m/c"]
    lines(tmp_path / "c.tsv", "\t".join(actor))
    files = {"metadata": "m.tsv", "plots": "p.txt", "characters": "c.tsv"}
    found = read(tmp_path, kind="cmu", files=files)
    lamp, stool = found.records
    assert (lamp.key, lamp.ids) == ("77", {"wikipedia_page": "77", "freebase": "/m/0lamp"})
    assert (lamp.year, lamp.text, lamp.people) == (1990, "A lamp & a stool.", ("Ada Ro",))
    assert lamp.attributes == {
        "genres": ("Drama", "Café"), "countries": ("Germany",), "languages": ("German",), "cast": ("Ada Ro",),
    }  # fmt: skip
    assert (stool.year, stool.attributes) == (1991, {})
    assert found.places() == [("p.txt", 2), ("m.tsv", 3), ("m.tsv", 4), ("m.tsv", 5)]
    assert "m.tsv:2: languages is no list of names" in texts(found.problems)


def test_merged_rows_have_keys_that_outlast_a_merge(tmp_path: Path) -> None:
    rows = {
        "id": [0, 1, 2, 3], "title": ["Lamp", "Lamp", "Stool", ""], "year": [1990, 1991, None, 1992],
        "imdb_id": ["tt0000012", None, None, None], "tmdb_id": [77, 77, 77, None], "ml_ids": [[1, 9], [2], [], []],
        "plot": ["", "Glows.", None, None], "wiki_extract": ["An <i>intro</i>.", "Other.", None, None],
        "directors": [["Dov"], [], [], []], "cast": [["Ada", "Dov"], [], [], []],
        "imdb_votes": [1200, None, None, None],
    }  # fmt: skip
    pq.write_table(pa.table(rows), tmp_path / "m.parquet")
    found = read(tmp_path, kind="merged", files={"movies": "m.parquet"})
    assert [one.key for one in found.records] == ["imdb:tt0000012", "tmdb:77", "row:2"]
    first, second, _ = found.records
    assert first.ids == {"imdb": "tt0000012", "tmdb": "77", "movielens": "1"}
    assert (first.text, first.people, first.counts) == ("An intro.", ("Dov", "Ada"), {"imdb_votes": 1200.0})
    assert second.text == "Glows."
    assert found.places() == [("m.parquet", 4)]


def test_movielens_archives_of_either_form_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "ml-10m.zip", "w") as archive:
        archive.writestr("ml-10M/movies.dat", "1::Lamp (1990)::Drama\n")
        archive.writestr("ml-10M/ratings.dat", "1::1::5::9\n2::1::4::9\n")
        archive.writestr("ml-10M/tags.dat", "1::1::night::9\n2::1::night::9\nx\n")
    found = read(tmp_path, kind="movielens", files=dict.fromkeys(("movies", "ratings", "tags"), "ml-10m.zip"))
    assert [(problem.file, problem.line) for problem in found.problems] == [("ml-10m.zip (tags)", 3)]
    (record,) = found.records
    assert (record.titles, record.attributes["tags"], record.counts) == (
        ("Lamp",), ("night",), {"movielens_ratings": 2.0},
    )  # fmt: skip


def test_tmdb_films_of_another_status_do_not_come_back_by_the_list_of_ids(tmp_path: Path) -> None:
    films = [{"id": 12, "title": "Lamp", "status": "Released"}, {"id": 13, "title": "Stool", "status": "Rumored"}]
    lines(tmp_path / "m.jsonl", *map(json.dumps, films))
    lines(tmp_path / "ids.json", *(json.dumps({"id": key, "original_title": "T"}) for key in (12, 13, 14)))
    files = {"movies": "m.jsonl", "ids": "ids.json"}
    assert list(read(tmp_path, kind="tmdb", files=files, keep={"statuses": ["Released"]}).by_key) == ["12", "14"]


def test_what_stands_for_no_id_is_none(tmp_path: Path) -> None:
    lines(tmp_path / "m.jsonl", json.dumps({"id": 12, "title": "Lamp", "wikidata_id": "nan", "imdb_id": "nan"}))
    assert read(tmp_path, kind="tmdb", files={"movies": "m.jsonl"}).records[0].ids == {"tmdb": "12"}
    lines(tmp_path / "a.csv", "no,name,isbn", "1,Lamp,NULL", "2,Stool,nan", "3,Rug,None", "4,Mug,90")
    columns = {"id": "no", "title": "name", "ids": {"isbn": "isbn"}}
    found = read(tmp_path, kind="table", files={"a": "a.csv"}, columns=columns)
    assert [record.ids for record in found.records] == [{}, {}, {}, {"isbn": "90"}]
