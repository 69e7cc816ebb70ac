"""docs/corpus_sources.md says what the readers read."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from corpus_sources import recipe_of
from rarec.corpus.recipe import parse_corpus_recipe
from rarec.corpus.sources import KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "corpus_sources.md").read_text(encoding="utf-8").replace("\\", "")
FILES = {
    "imdb": {"basics": "a"}, "tmdb": {"movies": "a"}, "wikipedia": {"a": "a"}, "wikidata": {"a": "a"},
    "movielens": {"movies": "a"}, "cmu": {"metadata": "a"}, "merged": {"movies": "a"},
}  # fmt: skip


@pytest.mark.parametrize("block", re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL))
def test_its_recipes_are_recipes(block: str) -> None:
    values = tomllib.loads(block.replace('sha256 = "..."', f'sha256 = "{"0" * 64}"'))
    assert parse_corpus_recipe(values, source="docs").sources


@pytest.mark.parametrize("kind", FILES)
def test_its_table_has_what_a_source_gives(kind: str, tmp_path: Path) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{kind}` |"))
    ids, attributes, counts = ({word.strip() for word in cell.split(",")} - {""} for cell in row[1:-1].split("|")[3:6])
    (source,) = recipe_of(tmp_path, kind=kind, files=FILES[kind]).sources
    assert ids == source.namespaces()
    assert attributes == source.attributes()
    assert counts == source.counts()
    keep = set(type(source.keep).model_fields) if hasattr(source, "keep") else set()
    assert all(name in PAGE for name in keep)


def test_every_kind_is_in_its_table() -> None:
    assert {*FILES, "table"} == set(KINDS)
