"""An invented dump in the form of the merged movie corpus, movies.parquet."""

from __future__ import annotations

from typing import Any

from rarec.errors import MissingExtra
from rarec.testing.dumps.files import DumpFolder
from rarec.testing.dumps.films import Film, World

_ROWS_A_GROUP = 20_000


class MergedDump:
    """The columns of movies.parquet, in row groups; rows are not sorted."""

    source = "merged"

    def __init__(self, world: World, folder: DumpFolder) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise MissingExtra.of("pyarrow", "train", "writing Parquet files") from None
        self._world = world
        texts = pyarrow.list_(pyarrow.string())
        self._schema = pyarrow.schema([
            ("id", pyarrow.int32()), ("title", pyarrow.string()), ("year", pyarrow.int32()), ("genres", texts),
            ("directors", texts), ("cast", texts), ("plot", pyarrow.string()), ("plot_source", pyarrow.string()),
            ("wiki_extract", pyarrow.string()), ("keywords", texts), ("imdb_id", pyarrow.string()),
            ("tmdb_id", pyarrow.int32()), ("ml_ids", pyarrow.list_(pyarrow.int64())), ("letterboxd_slugs", texts),
            ("imdb_votes", pyarrow.int64()), ("imdb_rating", pyarrow.float32()),
            ("tmdb_vote_count", pyarrow.int64()), ("tmdb_popularity", pyarrow.float32()),
            ("letterboxd_ratings", pyarrow.int64()), ("language", pyarrow.string()), ("sources", texts),
        ])  # fmt: skip
        self._writer = parquet.ParquetWriter(folder.binary("movies.parquet"), self._schema)
        self._rows: list[dict[str, Any]] = []
        self._count = 0

    def add(self, film: Film) -> list[str]:
        tmdb = film.id_in("merged", "tmdb") if film.sources & {"tmdb", "kaggle", "tmdb_json"} else ""
        movielens = [film.movielens] if "movielens" in film.sources else []
        full = film.number % 2 == 0
        self._rows.append({
            "id": self._count, "title": film.title, "year": film.year, "genres": list(film.genres),
            "directors": self._world.names(film.directors) if full else [],
            "cast": self._world.names(film.cast) if full else [],
            "plot": film.plot if full else None, "plot_source": "tmdb" if full else None,
            "wiki_extract": film.story if "extracts" in film.sources else None, "keywords": list(film.keywords),
            "imdb_id": film.imdb or None, "tmdb_id": int(tmdb) if tmdb else None, "ml_ids": movielens,
            "letterboxd_slugs": [], "imdb_votes": film.votes or None, "language": film.language, "sources": [],
        })  # fmt: skip
        self._count += 1
        if len(self._rows) == _ROWS_A_GROUP:
            self._flush()
        if film.imdb:
            return [f"imdb:{film.imdb}"]
        return [f"tmdb:{tmdb}" if tmdb else f"movielens:{movielens[0]}" if movielens else f"row:{self._count - 1}"]

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow

        if self._rows:
            self._writer.write_table(pyarrow.Table.from_pylist(self._rows, self._schema))
            self._rows.clear()
