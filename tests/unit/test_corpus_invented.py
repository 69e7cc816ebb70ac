"""The files that the recipes of other catalogues read: invented, the same for a seed, and with a next dump."""

from __future__ import annotations

import csv
import json
import tomllib
from pathlib import Path

import pytest

from scripts import ROOT, load_script

RECIPES = ROOT / "recipes" / "corpus"


def rows_of(folder: Path) -> dict[str, list[dict[str, str]]]:
    found = {}
    for name, delimiter in (("books.csv", ","), ("loans.tsv", "\t"), ("products.csv", ";")):
        with (folder / name).open(encoding="utf-8", newline="") as file:
            found[name] = list(csv.DictReader(file, delimiter=delimiter))
    found["games.jsonl"] = [json.loads(line) for line in (folder / "games.jsonl").read_text().splitlines()]
    return found


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    invent = load_script("recipes/corpus/invent.py").invent
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        invent(tmp_path / name, seed=seed)
    for path in sorted((tmp_path / "a").iterdir()):
        same, other = (tmp_path / name / path.name for name in ("b", "c"))
        assert path.read_bytes() == same.read_bytes() != other.read_bytes()


def test_the_next_dump_has_what_stayed_word_for_word(tmp_path: Path) -> None:
    script = load_script("recipes/corpus/invent.py")
    script.invent(tmp_path / "first")
    script.invent(tmp_path / "next", later=True)
    first, later = rows_of(tmp_path / "first"), rows_of(tmp_path / "next")
    for name, key in (("books.csv", "isbn"), ("games.jsonl", "game"), ("products.csv", "sku"), ("loans.tsv", "isbn")):
        old, new = ({row[key]: row for row in rows[name]} for rows in (first, later))
        assert len(old) == script.COUNT
        assert (len(old.keys() - new.keys()), len(new.keys() - old.keys())) == (script.LATER_GONE, script.LATER_NEW)
        changed = sum(old[one] != new[one] for one in old.keys() & new.keys())
        assert changed == (0 if name == "loans.tsv" else script.LATER_CHANGED)


@pytest.mark.parametrize("name", ["books", "games", "shop"])
def test_a_recipe_names_columns_that_are_there(name: str, tmp_path: Path) -> None:
    load_script("recipes/corpus/invent.py").invent(tmp_path)
    text = (RECIPES / f"{name}.toml").read_text(encoding="utf-8")
    assert sum(not line.startswith("#") for line in text.splitlines()) <= 25
    rows = rows_of(tmp_path)
    for source in tomllib.loads(text)["sources"]:
        (file,) = source["files"].values()
        columns = source["columns"]
        named = [columns[key] for key in ("id", "title", "year", "text") if key in columns]
        tables = [columns.get(key, {}) for key in ("ids", "attributes", "counts")]
        named += [*columns.get("people", []), *(column for table in tables for column in table.values())]
        assert set(named) <= set(rows[file][0])
