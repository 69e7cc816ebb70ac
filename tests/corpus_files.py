"""A small world of two tables, and the recipe that makes a corpus of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SHOP = [
    {"sku": "s1", "name": "Grey Harbour", "made": 1990, "by": ["Ann Lee"], "isbn": "i1", "about": "A port.", "sold": 5},
    {"sku": "s2", "name": "Solo", "made": 2001, "by": ["Bo Marsh"], "isbn": "i2", "about": "", "sold": 9},
    {"sku": "s3", "name": "Twice", "made": 2003, "by": [], "isbn": "", "about": "", "sold": 0},
]
LIBRARY = [
    {"no": "1", "title": "Harbour, Grey", "year": "1990", "author": "Lee, Ann", "isbn": "i1", "kind": "novel|sea"},
    {"no": "2", "title": "Solo", "year": "2001", "author": "Bo Marsh", "isbn": "", "kind": "essay"},
    {"no": "3", "title": "Twice", "year": "2003", "author": "Dee Orr", "isbn": "i9", "kind": ""},
    {"no": "4", "title": "Twice", "year": "2003", "author": "Eve Fox", "isbn": "i10", "kind": ""},
]
RECIPE = """
format = 1
name = "books"
ids = ["isbn"]
on_bad = "{on_bad}"
[[sources]]
name = "shop"
kind = "table"
files = {{ goods = "shop.jsonl" }}
date = "2026-01-02"
[sources.columns]
id = "sku"
title = "name"
year = "made"
people = ["by"]
text = "about"
ids = {{ isbn = "isbn" }}
counts = {{ sold = "sold" }}
[[sources]]
name = "library"
kind = "table"
files = {{ books = "library.csv" }}
[sources.columns]
id = "no"
title = "title"
year = "year"
people = ["author"]
ids = {{ isbn = "isbn" }}
attributes = {{ kind = "kind" }}
[popularity]
sold = 2.0
"""


def write_world(folder: Path, *, on_bad: str = "skip", shop: list[dict[str, Any]] | None = None) -> Path:
    """Write both tables and the recipe, whose path is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row) for row in (SHOP if shop is None else shop)]
    (folder / "shop.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = [",".join(f'"{value}"' for value in row.values()) for row in LIBRARY]
    (folder / "library.csv").write_text("\n".join([",".join(LIBRARY[0]), *rows]) + "\n", encoding="utf-8")
    recipe = folder / "books.toml"
    recipe.write_text(RECIPE.format(on_bad=on_bad), encoding="utf-8")
    return recipe
