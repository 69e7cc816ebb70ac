"""The merged film corpus taken apart again into what each of its sources would say.

    python benchmarks/corpus_apart.py --data ../shared/data --out apart      JSONL files and a recipe for `rarec corpus`

A row of the corpus says which sources it was merged of. Each of them becomes a record with the fields that such a
source has: IMDb its id, title, year and directors; TMDB its id, title, year and genres; MovieLens its ids and genres;
Letterboxd a slug; Wikipedia title, year and cast and no id; the catalogues of streaming services title, year, directors
and cast; a list of 2005 title and year alone. Which row a record is of is known, and so is what should come together.
Easier than the real dumps in one way: a title or a name is written alike in all of them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rarec.corpus.record import Record
from rarec.files import write_text

SOURCES = ("imdb", "tmdb", "movielens", "letterboxd", "wikipedia", "netflix", "amazon", "disney", "hulu", "list2005")
IDS = ("imdb", "tmdb", "movielens", "letterboxd")
COLUMNS = (
    "id", "title", "year", "genres", "directors", "cast", "imdb_id", "tmdb_id", "ml_ids", "letterboxd_slugs",
    "imdb_votes", "tmdb_vote_count", "language", "sources",
)  # fmt: skip
_TMDB = frozenset(("kaggle_movies", "tmdb5000", "tmdb10k", "mymoviedb", "tmdb2025", "tmdb_misc", "tmdb_ml1m"))
_STREAMING = ("netflix", "amazon", "disney", "hulu")
_NO_TITLE = "nan"


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of movies.parquet, those columns that are needed."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=4096, columns=list(COLUMNS)):
            yield from batch.to_pylist()


def records_of(row: Mapping[str, Any]) -> Iterator[Record]:
    """What the sources of a row would say, each by itself."""
    title = row["title"].strip()
    titles = () if title == _NO_TITLE else (title,)
    directors, cast = _distinct(row["directors"]), _distinct(row["cast"])
    genres = {"genres": _distinct(row["genres"])}
    known = set(row["sources"])
    imdb, tmdb = row["imdb_id"] or "", "" if row["tmdb_id"] is None else str(row["tmdb_id"])

    def said(source: str, key: str, ids: Mapping[str, str], **more: Any) -> Record:
        return Record(source, key, titles, row["year"], {n: v for n, v in ids.items() if v}, **more)

    if imdb:
        people = {"directors": directors} if directors else {}
        counts = {"imdb_votes": float(row["imdb_votes"] or 0)}
        yield said("imdb", imdb, {"imdb": imdb}, people=directors, attributes=people, counts=counts)
    if tmdb and known & _TMDB:
        language = {"language": (row["language"],)} if row["language"] else {}
        counts = {"tmdb_vote_count": float(row["tmdb_vote_count"] or 0)}
        ids = {"tmdb": tmdb, "imdb": imdb if "kaggle_movies" in known else ""}
        yield said("tmdb", f"{tmdb}-{row['id']}", ids, attributes={**genres, **language}, counts=counts)
    for number in row["ml_ids"] or ():
        yield said("movielens", str(number), {"movielens": str(number), "imdb": imdb, "tmdb": tmdb}, attributes=genres)
    for slug in row["letterboxd_slugs"] or ():
        yield said("letterboxd", f"{slug}-{row['id']}", {"letterboxd": slug})
    if "wikipedia" in known:
        yield said(
            "wikipedia", f"w{row['id']}", {}, people=cast, attributes={**genres, **({"cast": cast} if cast else {})}
        )
    for source in _STREAMING:
        if source in known:
            roles = {name: names for name, names in (("directors", directors), ("cast", cast)) if names}
            yield said(source, f"{source[0]}{row['id']}", {}, people=_distinct([*directors, *cast]), attributes=roles)
    if "imdb2005" in known:
        yield said("list2005", f"m{row['id']}", {})


def write_folder(corpus: Path, out: Path) -> dict[str, int]:
    """Write a JSONL file a source, a recipe, and which row each record is of; the number of records a source."""
    out.mkdir(parents=True, exist_ok=True)
    counts = dict.fromkeys(SOURCES, 0)
    files = {source: (out / f"{source}.jsonl").open("w", encoding="utf-8") for source in SOURCES}
    with (out / "truth.jsonl").open("w", encoding="utf-8") as truth:
        for row in rows_of(corpus):
            for record in records_of(row):
                if record.titles:
                    files[record.source].write(json.dumps(_document(record), ensure_ascii=False) + "\n")
                    truth.write(json.dumps([record.source, record.key, row["id"]]) + "\n")
                    counts[record.source] += 1
    for file in files.values():
        file.close()
    write_text(out / "recipe.toml", _recipe())
    return counts


def _document(record: Record) -> dict[str, Any]:
    attributes = {name: list(values) for name, values in record.attributes.items()}
    ids = {f"{name}_id": value for name, value in record.ids.items()}
    return {"key": record.key, "title": record.titles[0], "year": record.year, **ids, **attributes, **record.counts}


def _recipe() -> str:
    columns = {
        "imdb": 'people = ["directors"], ids = { imdb = "imdb_id" }, attributes = { directors = "directors" }, '
        'counts = { imdb_votes = "imdb_votes" }',
        "tmdb": 'ids = { tmdb = "tmdb_id", imdb = "imdb_id" }, '
        'attributes = { genres = "genres", language = "language" }, '
        'counts = { tmdb_vote_count = "tmdb_vote_count" }',
        "movielens": 'ids = { movielens = "movielens_id", imdb = "imdb_id", tmdb = "tmdb_id" }, '
        'attributes = { genres = "genres" }',
        "letterboxd": 'ids = { letterboxd = "letterboxd_id" }',
        "wikipedia": 'people = ["cast"], attributes = { cast = "cast", genres = "genres" }',
        **dict.fromkeys(
            _STREAMING,
            'people = ["directors", "cast"], attributes = { directors = "directors", cast = "cast" }',
        ),
        "list2005": "",
    }
    lines = ["format = 1", 'name = "apart"', f"ids = {json.dumps(list(IDS))}"]
    for source in SOURCES:
        more = f", {columns[source]}" if columns[source] else ""
        lines += [
            "[[sources]]",
            f'name = "{source}"',
            'kind = "table"',
            f'files = {{ rows = "{source}.jsonl" }}',
            f'columns = {{ id = "key", title = "title", year = "year"{more} }}',
        ]
    return "\n".join([*lines, "[popularity]", "imdb_votes = 1.0", "tmdb_vote_count = 25.0", ""])


def _distinct(values: list[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values or () if value.strip()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    counts = write_folder(options.data / "corpus" / "movies.parquet", options.out)
    print(", ".join(f"{source} {count:,}" for source, count in counts.items()))


if __name__ == "__main__":
    main()
