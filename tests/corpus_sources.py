"""Reading a source as a build does, for tests: what it gives, told apart."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from rarec.corpus.recipe import CorpusRecipe, load_corpus_recipe, parse_corpus_recipe
from rarec.corpus.record import Problem, Record
from rarec.corpus.sources import reader_of


@dataclass
class Read:
    """Everything that a reader gave.

    Attributes:
        told: what it told of its progress: (stage, done, total, text).
    """

    records: list[Record]
    problems: list[Problem]
    rows: dict[str, int]
    told: list[tuple[str, int, int, str]]

    @property
    def by_key(self) -> dict[str, Record]:
        return {record.key: record for record in self.records}

    @property
    def lost(self) -> list[Problem]:
        """Problems of rows that are not used."""
        return [problem for problem in self.problems if not problem.used]

    def places(self) -> list[tuple[str, int]]:
        """File and line of each row that is not used."""
        return [(problem.file, problem.line) for problem in self.lost]


def recipe_of(folder: Path, **source: Any) -> CorpusRecipe:
    """A recipe with one source called "source"."""
    values = {"folder": str(folder), "sources": [{"name": "source", **source}]}
    return parse_corpus_recipe(values, source="test")


def read(folder: Path, **source: Any) -> Read:
    """Read the files of one source."""
    return read_source(recipe_of(folder, **source), "source")


def read_all(recipe: Path) -> dict[str, Read]:
    """Read each source of a recipe."""
    found = load_corpus_recipe(recipe)
    return {source.name: read_source(found, source.name) for source in found.sources}


def read_source(recipe: CorpusRecipe, name: str) -> Read:
    """Read one source of a recipe."""
    (source,) = [source for source in recipe.sources if source.name == name]
    rows: dict[str, int] = {}
    told: list[tuple[str, int, int, str]] = []
    with tempfile.TemporaryDirectory() as scratch:
        found = list(
            reader_of(source.kind)(
                source,
                recipe.paths_of(source),
                scratch=Path(scratch),
                progress=lambda *how: told.append(how),
                rows=rows,
            )
        )
    records = [one for one in found if isinstance(one, Record)]
    return Read(records, [one for one in found if isinstance(one, Problem)], rows, told)


def lines(path: Path, *rows: str | bytes) -> Path:
    """Write lines of text or bytes."""
    path.write_bytes(b"".join((row.encode() if isinstance(row, str) else row) + b"\n" for row in rows))
    return path


def tabbed(path: Path, columns: Sequence[str], *rows: Sequence[object]) -> Path:
    """Write a table with tabs and without quotes."""
    return lines(path, "\t".join(columns), *("\t".join(map(str, row)) for row in rows))


def table(path: Path, columns: Sequence[str], *rows: Mapping[str, object]) -> Path:
    """Write a CSV file; what a row does not name is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")
    return path


def zipped(content: bytes, *, name: str = "inner") -> bytes:
    """A zip archive with one file."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return held.getvalue()


PACKED: Mapping[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": zstandard.compress,
    "zip": zipped,
}
"""Ending -> how its files are packed."""


def texts(problems: Iterable[Problem]) -> str:
    """All problems, one a line."""
    return "\n".join(map(str, problems))
