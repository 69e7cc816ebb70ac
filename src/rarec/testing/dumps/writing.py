"""Writing the dumps of one invented world, a recipe that reads them all, and the truth about them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from importlib import resources
from pathlib import Path
from typing import Protocol

from rarec.errors import InputError
from rarec.files import atomic_write, write_text
from rarec.testing.dumps.files import DumpFolder
from rarec.testing.dumps.films import SOURCES, DumpOptions, Film, World
from rarec.testing.dumps.imdb import ImdbDump
from rarec.testing.dumps.merged import MergedDump
from rarec.testing.dumps.others import CmuDump, MovieLensDump, TableDump
from rarec.testing.dumps.tmdb import KaggleDump, TmdbDump, TmdbIdsDump, TmdbJsonDump
from rarec.testing.dumps.wiki import ExtractsDump, WikidataDump, WikipediaDump

RECIPE, TRUTH, DAMAGE = "recipe.toml", "truth.jsonl", "damage.jsonl"
_TOLD = 1000
_IDS = 'ids = ["imdb", "tmdb", "wikidata"]'
_NAMED = {
    "imdb": {*SOURCES} - {"tmdb_ids", "wikipedia", "extracts", "cmu"},
    "tmdb": {"tmdb", "kaggle", "tmdb_json", "tmdb_ids", "wikidata", "movielens", "merged"},
    "wikidata": {"tmdb_json", "wikidata"},
}
"""Namespace -> sources that have ids of it."""
_COUNTED = {
    "imdb_votes": {"imdb", "merged"},
    "tmdb_vote_count": {"tmdb", "kaggle", "tmdb_json", "merged"},
    "movielens_ratings": {"movielens"},
    "seen": {"table"},
}
"""Count -> sources that have it."""


class _Dump(Protocol):
    source: str

    def add(self, film: Film) -> list[str]:
        """Write what the dump says of a film; the keys under which it stands there."""

    def close(self) -> None:
        """Write what stands at the end."""


_DUMPS: tuple[Callable[[World, DumpFolder], _Dump], ...] = (
    ImdbDump, TmdbDump, KaggleDump, TmdbJsonDump, TmdbIdsDump, WikipediaDump, ExtractsDump, WikidataDump,
    MovieLensDump, CmuDump, MergedDump, TableDump,
)  # fmt: skip


def write_dumps(
    folder: str | Path,
    options: DumpOptions | None = None,
    *,
    sources: Collection[str] = SOURCES,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write dumps, ``recipe.toml``, ``truth.jsonl`` and ``damage.jsonl``; the same options give the same bytes.

    Each line of the truth is ``{"source", "key", "film", "planted"}``: records with the same film are the same thing,
    and ``planted`` says why it is hard to tell, see `rarec.testing.dumps.films.Planted`. Each line of the damage is
    ``{"file", "line", "way"}``: a line that no reader may take for a row.

    Args:
        folder: made if it is not there; files of the same name are replaced.
        sources: which dumps, of `SOURCES`.
        progress: called with (films written, films in all).
    Returns:
        the files, in order of their names.
    Raises:
        InputError: there is no dump of a name.
        MissingExtra: pyarrow is not installed, and the merged corpus is among the dumps.
        StoreError: the folder cannot be written.
    """
    if unknown := sorted(set(sources) - set(SOURCES)):
        raise InputError(f"there is no dump {unknown[0]!r}; use some of {', '.join(SOURCES)}")
    options = options or DumpOptions()
    path, world = Path(folder), World(options)
    path.mkdir(parents=True, exist_ok=True)
    with DumpFolder(path, options) as files, atomic_write(path / TRUTH) as truth:
        made = [dump(world, files) for dump in _DUMPS if getattr(dump, "source", "") in sources]
        for number in range(options.films):
            film = world.film(number)
            for dump in made:
                if dump.source in film.sources:
                    for place, key in enumerate(dump.add(film)):
                        planted = "duplicate" if place else film.planted
                        told = {"source": dump.source, "key": key, "film": number, "planted": planted}
                        truth.write(json.dumps(told, ensure_ascii=False).encode() + b"\n")
            if progress is not None and (number + 1) % _TOLD == 0:
                progress(number + 1, options.films)
        for dump in made:
            dump.close()
    broken = [{"file": text.name, "line": line, "way": way} for text in files.texts for line, way in text.broken]
    write_text(path / DAMAGE, "".join(json.dumps(told) + "\n" for told in broken))
    write_text(path / RECIPE, _recipe(sources, packed=options.packed))
    return sorted(path.iterdir())


def _recipe(sources: Collection[str], *, packed: bool) -> str:
    """The recipe of all dumps without what the sources that were not written would give."""
    text = resources.files("rarec.testing.dumps").joinpath("recipe.toml").read_text(encoding="utf-8")
    head, *tables = text.split("[[sources]]\n")
    last, mark, tail = tables.pop().partition("[popularity]\n")
    kept = [table for table in (*tables, last) if table.split('"')[1] in sources]
    counts = "".join(line for line in tail.splitlines(keepends=True) if _COUNTED[line.split(" ")[0]] & set(sources))
    ids = ", ".join(f'"{name}"' for name, known in _NAMED.items() if known & set(sources))
    head = head.replace(_IDS, f"ids = [{ids}]")
    text = "[[sources]]\n".join([head, *kept]) + mark + counts
    return text if packed else text.replace('.gz"', '"')
